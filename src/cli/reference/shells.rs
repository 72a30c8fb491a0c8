//! The scripts that make shells ask the program for candidates.

use clap::ValueEnum;
use clap_complete::env::{Elvish, EnvCompleter, Fish, Powershell, Zsh};

use super::{Page, VARIABLE};
use crate::{Error, Result};

/// clap's own for bash takes words as bash cuts them, in pieces at `=` and `:`.
const BASH: &str = include_str!("completion.bash");

/// A shell that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash, 3.2 and later
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
    /// Elvish
    Elvish,
    /// PowerShell
    #[value(name = "powershell")]
    PowerShell,
}

impl Shell {
    /// All of them.
    pub const ALL: [Shell; 5] = [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell];

    /// The script, under the name that the shell's folder of completions wants.
    ///
    /// # Errors
    /// When it cannot be put together.
    pub fn page(self) -> Result<Page> {
        let (name, completer): (_, &dyn EnvCompleter) = match self {
            Shell::Bash => return Ok(Page { name: "sdgen.bash".into(), text: BASH.into() }),
            Shell::Zsh => ("_sdgen", &Zsh),
            Shell::Fish => ("sdgen.fish", &Fish),
            Shell::Elvish => ("sdgen.elv", &Elvish),
            Shell::PowerShell => ("sdgen.ps1", &Powershell),
        };
        let mut text = Vec::new();
        completer
            .write_registration(VARIABLE, "sdgen", "sdgen", "sdgen", &mut text)
            .map_err(Error::io("put together", "a script"))?;
        let text = String::from_utf8_lossy(&text);
        let text = if self == Shell::Zsh { autoloaded(text.trim()) } else { text.trim().to_string() };
        Ok(Page { name: name.into(), text: text + "\n" })
    }
}

/// clap's script for zsh, which registers a function, completes at once where zsh runs it as a function of `$fpath`.
fn autoloaded(script: &str) -> String {
    let Some((functions, register)) = script.rsplit_once('\n') else { return script.into() };
    let function = register.split_whitespace().nth(1).unwrap_or_default();
    format!("{functions}\nif [[ $funcstack[1] == _sdgen ]]; then\n    {function} \"$@\"\nelse\n    {register}\nfi")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_ask_the_program() {
        for shell in Shell::ALL {
            let page = shell.page().unwrap();
            assert!(page.text.contains(VARIABLE) && page.text.contains("sdgen"), "{}", page.text);
        }
    }
}
