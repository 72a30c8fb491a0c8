//! Man pages. clap writes the options; examples and the like are set here, line by line as they stand in the help.

use clap::Command;
use clap_mangen::Man;

use super::{page_name, sections, Page};
use crate::{Error, Result};

/// The page of a command, or of the program with its commands.
///
/// # Errors
/// When a part cannot be written.
pub(super) fn page(command: &Command) -> Result<Page> {
    let name = page_name(command);
    let usage = command.clone().render_usage().to_string();
    // Otherwise each option stands in the synopsis, and again under its heading.
    let short =
        command.clone().display_name(name.clone()).override_usage(usage.trim_start_matches("Usage: ").to_string());
    let man =
        Man::new(short).title(name.to_uppercase()).source(concat!("sdgen ", env!("CARGO_PKG_VERSION"))).manual("sdgen");
    let mut text = Vec::new();
    render(&man, command, &mut text).map_err(Error::io("put together", "a man page"))?;
    let mut text = String::from_utf8_lossy(&text).into_owned();
    for (heading, lines) in sections(command) {
        text += &section(&heading, &lines);
    }
    Ok(Page { name: format!("{name}.1"), text })
}

fn render(man: &Man, command: &Command, text: &mut Vec<u8>) -> std::io::Result<()> {
    man.render_title(text)?;
    man.render_name_section(text)?;
    man.render_synopsis_section(text)?;
    man.render_description_section(text)?;
    man.render_options_section(text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(text)?;
    }
    Ok(())
}

/// Lines that are not filled. A backslash, a dash and a line that begins with a dot mean something to roff.
fn section(heading: &str, lines: &[String]) -> String {
    let escaped = lines.iter().map(|line| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        if line.starts_with(['.', '\'']) {
            format!("\\&{line}\n")
        } else {
            format!("{line}\n")
        }
    });
    format!(".SH {}\n.nf\n{}.fi\n", heading.to_uppercase(), escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_command_nothing() {
        let lines = ["sdgen x -o a\\b", ".TH x"].map(String::from);
        assert_eq!(section("Examples", &lines), ".SH EXAMPLES\n.nf\nsdgen x \\-o a\\eb\n\\&.TH x\n.fi\n");
    }
}
