//! `sdgen man`: prints or writes man pages.

use crate::cli::reference::man_pages;
use crate::cli::ManArgs;
use crate::image::{write_atomic, Collision};
use crate::suggest;
use crate::ui::Ui;
use crate::{Error, Result};

/// Prints the page that was asked for, or writes all of them.
///
/// # Errors
/// [`Error::Usage`] for a command that there is not; otherwise when a file cannot be written.
pub fn man(args: &ManArgs, ui: &mut Ui) -> Result<()> {
    let pages = man_pages()?;
    if let Some(folder) = &args.dir {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        for page in &pages {
            let path = folder.join(&page.name);
            write_atomic(&path, page.text.as_bytes(), Collision::Replace)?;
            ui.data(&path.to_string_lossy());
        }
        return Ok(());
    }
    let name = args.of.as_ref().map_or("sdgen.1".into(), |command| format!("sdgen-{command}.1"));
    match pages.iter().find(|page| page.name == name) {
        Some(page) => ui.text(&page.text),
        None => {
            let known: Vec<&str> =
                pages.iter().filter_map(|page| page.name.strip_prefix("sdgen-")?.strip_suffix(".1")).collect();
            let command = args.of.as_deref().unwrap_or_default();
            let hint = match suggest::nearest(command, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("one of: {}", known.join(", ")),
            };
            return Err(Error::usage(format!("there is no command `{command}`"), hint));
        }
    }
    Ok(())
}
