//! The pages of `docs/cli/`: a command's help as Markdown.

use std::fmt::Write;

use clap::{Arg, Command};

use super::{commands, page_name, sections, Page};

const GENERATED: &str =
    "<!-- Made of the help by `SDGEN_REGENERATE=1 cargo test --test it generated`: change that instead. -->\n\n";

/// The list of commands.
pub(super) fn index(program: &Command) -> Page {
    let mut text = format!("{GENERATED}# sdgen\n\n{}\n\n| command | what it does |\n| --- | --- |\n", about(program));
    for command in commands(program) {
        let short = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "| [{0}]({0}.md) | {1} |", command.get_name(), short.replace('|', "\\|"));
    }
    text += &behind(program);
    Page { name: "README.md".into(), text }
}

/// The page of a command.
pub(super) fn page(command: &Command) -> Page {
    let usage = command.clone().render_usage().to_string();
    let mut text = format!(
        "{GENERATED}# {}\n\n{}\n\n    {}\n",
        page_name(command).replace('-', " "),
        about(command),
        usage.trim_start_matches("Usage: "),
    );
    let mut headings = Vec::new();
    for arg in arguments(command) {
        let heading = heading(arg);
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for wanted in headings {
        let _ = write!(text, "\n## {wanted}\n");
        arguments(command).filter(|arg| heading(arg) == wanted).for_each(|arg| text += &option(arg));
    }
    text += &behind(command);
    Page { name: format!("{}.md", command.get_name()), text }
}

fn arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_hide_set())
}

fn heading(arg: &Arg) -> &str {
    arg.get_help_heading().unwrap_or(if arg.is_positional() { "Arguments" } else { "Options" })
}

fn about(command: &Command) -> String {
    let about = command.get_long_about().or_else(|| command.get_about());
    escape(&about.map(ToString::to_string).unwrap_or_default())
}

/// An option, what it takes, what it does, and the values it knows.
fn option(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut text = format!("\n### `{}`\n\n{}\n", arg.to_string().replace('`', ""), escape(help.trim()));
    if let Some(short) = arg.get_short() {
        let long = arg.get_long().unwrap_or_default();
        text = text.replacen(&format!("`--{long}"), &format!("`-{short}`, `--{long}"), 1);
    }
    let values: Vec<_> = arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set()).collect();
    let takes = arg.get_action().takes_values() && !arg.is_hide_possible_values_set();
    if takes && !values.is_empty() {
        text.push('\n');
        for value in values {
            let help = value.get_help().map(|help| format!(": {}", escape(&help.to_string()))).unwrap_or_default();
            let _ = writeln!(text, "- `{}`{help}", value.get_name());
        }
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if arg.get_action().takes_values() && !arg.is_hide_default_value_set() && !defaults.is_empty() {
        let _ = write!(text, "\nDefault: `{}`\n", defaults.join(" "));
    }
    text
}

/// What stands behind the options.
fn behind(command: &Command) -> String {
    let section = |(heading, lines): (String, Vec<String>)| {
        format!("\n## {heading}\n\n{}\n", lines.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n"))
    };
    sections(command).into_iter().map(section).collect()
}

/// Text in which `<lora:...>` is not a tag of HTML, nor `*` or `_` a mark of Markdown; what stands in backticks is as it is.
fn escape(text: &str) -> String {
    let mut code = false;
    let mut escaped = String::new();
    for c in text.chars() {
        code ^= c == '`';
        if !code && matches!(c, '<' | '*' | '_') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_names_its_values_and_its_default() {
        let arg = Arg::new("color").short('c').long("color").value_name("WHEN").help("When to <use> `a_b` *.");
        let arg = arg.value_parser(["auto", "never"]).default_value("auto");
        let expected =
            "\n### `-c`, `--color <WHEN>`\n\nWhen to \\<use> `a_b` \\*.\n\n- `auto`\n- `never`\n\nDefault: `auto`\n";
        let mut command = Command::new("x").arg(arg);
        command.build();
        assert_eq!(option(command.get_arguments().next().unwrap()), expected);
    }
}
