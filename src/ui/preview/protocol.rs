//! Which protocol a terminal understands, as far as its environment tells. Asking it would mean reading from it.

use clap::ValueEnum;

use super::Protocol;

/// The values of `--preview`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PreviewChoice {
    /// What the terminal is known to understand, half blocks otherwise
    #[default]
    Auto,
    /// The graphics protocol of kitty
    Kitty,
    /// Inline images of iTerm2
    Iterm,
    /// Sixel, in 252 colours
    Sixel,
    /// Half blocks of text, for any terminal with colours
    Blocks,
}

/// The environment variables that tell what the terminal is.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment(Vec<(String, String)>);

/// Konsole's first version with sixel, as it tells it.
const KONSOLE_WITH_SIXEL: u32 = 220_400;

impl Environment {
    /// Of this process.
    pub(super) fn of_process() -> Self {
        const NAMES: [&str; 8] = [
            "TERM",
            "TERM_PROGRAM",
            "LC_TERMINAL",
            "KITTY_WINDOW_ID",
            "KONSOLE_VERSION",
            "COLORTERM",
            "TMUX",
            "WT_SESSION",
        ];
        let set =
            |name: &&str| Some(((*name).to_string(), std::env::var(name).ok().filter(|value| !value.is_empty())?));
        Environment(NAMES.iter().filter_map(set).collect())
    }

    #[cfg(test)]
    pub(super) fn of(variables: &[(&str, &str)]) -> Self {
        Environment(variables.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect())
    }

    fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Whether tmux lies between the program and the terminal.
    pub(super) fn in_tmux(&self) -> bool {
        !self.get("TMUX").is_empty()
    }

    fn true_color(&self) -> bool {
        matches!(self.get("COLORTERM"), "truecolor" | "24bit")
            || self.get("TERM").ends_with("-direct")
            || !self.get("WT_SESSION").is_empty()
    }

    /// The best of the terminal's protocols for pictures, if it is known to have one. Through tmux and screen none is sure to arrive.
    fn graphics(&self) -> Option<Protocol> {
        let (term, program) = (self.get("TERM"), self.get("TERM_PROGRAM"));
        if self.in_tmux() || term.starts_with("screen") || term.starts_with("tmux") {
            return None;
        }
        if !self.get("KITTY_WINDOW_ID").is_empty()
            || ["xterm-kitty", "xterm-ghostty"].contains(&term)
            || program == "ghostty"
        {
            return Some(Protocol::Kitty);
        }
        if ["iTerm.app", "WezTerm", "mintty"].contains(&program) || self.get("LC_TERMINAL") == "iTerm2" {
            return Some(Protocol::Iterm);
        }
        let konsole = self.get("KONSOLE_VERSION").parse().is_ok_and(|version: u32| version >= KONSOLE_WITH_SIXEL);
        let sixel = konsole || ["foot", "mlterm", "contour"].iter().any(|name| term.starts_with(name));
        sixel.then_some(Protocol::Sixel)
    }
}

/// The protocol to use, or why there is none. `color` is whether the terminal gets colours; `None` where there is no terminal.
pub(super) fn choose(
    choice: PreviewChoice,
    environment: &Environment,
    color: Option<bool>,
) -> Result<Protocol, &'static str> {
    let Some(color) = color else { return Err("standard error is no terminal") };
    if environment.get("TERM") == "dumb" {
        return Err("the terminal cannot show pictures (`TERM=dumb`)");
    }
    let blocks = Protocol::Blocks { true_color: environment.true_color() };
    match choice {
        PreviewChoice::Kitty => Ok(Protocol::Kitty),
        PreviewChoice::Iterm => Ok(Protocol::Iterm),
        PreviewChoice::Sixel => Ok(Protocol::Sixel),
        PreviewChoice::Blocks => Ok(blocks),
        PreviewChoice::Auto => match environment.graphics() {
            Some(protocol) => Ok(protocol),
            None if color => Ok(blocks),
            None => Err("colours are off, and this terminal is not known to show pictures; `--preview=blocks` does it all the same"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(variables: &[(&str, &str)]) -> Result<Protocol, &'static str> {
        choose(PreviewChoice::Auto, &Environment::of(variables), Some(true))
    }

    #[test]
    fn the_environment_tells_what_the_terminal_is() {
        let (plain, full) = (Protocol::Blocks { true_color: false }, Protocol::Blocks { true_color: true });
        assert_eq!(auto(&[("TERM", "xterm-256color")]), Ok(plain));
        assert_eq!(auto(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), Ok(full));
        assert_eq!(auto(&[("TERM", "xterm-kitty")]), Ok(Protocol::Kitty));
        assert_eq!(auto(&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "WezTerm")]), Ok(Protocol::Iterm));
        assert_eq!(auto(&[("LC_TERMINAL", "iTerm2")]), Ok(Protocol::Iterm));
        assert_eq!(auto(&[("TERM", "foot-extra")]), Ok(Protocol::Sixel));
        assert_eq!(auto(&[("KONSOLE_VERSION", "230804")]), Ok(Protocol::Sixel));
        assert_eq!(auto(&[("KONSOLE_VERSION", "211203")]), Ok(plain));
        let in_tmux = [("TERM", "tmux-256color"), ("TMUX", "/tmp/tmux-0/default,1,0"), ("KITTY_WINDOW_ID", "1")];
        assert_eq!(auto(&in_tmux), Ok(plain));
    }

    #[test]
    fn without_a_terminal_or_colours_there_is_a_reason() {
        let choose = |choice, term, color| choose(choice, &Environment::of(&[("TERM", term)]), color);
        assert!(choose(PreviewChoice::Kitty, "xterm-kitty", None).unwrap_err().contains("no terminal"));
        assert!(choose(PreviewChoice::Blocks, "dumb", Some(true)).unwrap_err().contains("dumb"));
        assert!(choose(PreviewChoice::Auto, "xterm", Some(false)).unwrap_err().contains("colours"));
        assert_eq!(choose(PreviewChoice::Auto, "xterm-kitty", Some(false)), Ok(Protocol::Kitty));
        assert!(choose(PreviewChoice::Blocks, "xterm", Some(false)).is_ok(), "what is asked for by name is done");
    }
}
