//! `sdgen completions`: prints a shell's script.

use crate::cli::CompletionsArgs;
use crate::ui::Ui;
use crate::Result;

/// Prints the script.
///
/// # Errors
/// When it cannot be put together.
pub fn completions(args: &CompletionsArgs, ui: &mut Ui) -> Result<()> {
    ui.text(&args.shell.page()?.text);
    Ok(())
}
