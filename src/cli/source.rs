//! The picture of `--from`, read before the rest of the command line: what is made, it says.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::config::{Given, Layer, Origin};
use crate::recipe::{self, Finder, Recipe};
use crate::Result;

/// Commands that take a recipe.
const COMMANDS: [&str; 7] = ["generate", "img2img", "inpaint", "controlnet", "flux", "sheet", "config"];
/// The one that makes what the recipe is of.
const ANY: &str = "generate";

/// A picture with its recipe.
#[derive(Debug)]
pub struct Source {
    picture: PathBuf,
    recipe: Recipe,
}

impl Source {
    /// The picture that a command line names, if it does. The command of `generate` becomes that of the recipe.
    ///
    /// # Errors
    /// As [`recipe::read_file`].
    pub fn of(args: &mut [OsString]) -> Result<Option<Self>> {
        let Some(picture) = named(args) else { return Ok(None) };
        let recipe = recipe::read_file(&picture)?;
        if args[1] == ANY {
            args[1] = recipe.command().into();
        }
        Ok(Some(Source { picture, recipe }))
    }

    /// Its values as settings.
    pub fn layer(&self) -> Layer {
        self.recipe.layer(&self.picture)
    }

    /// What is to be known about it.
    pub fn notes(&self) -> Vec<String> {
        let from = format!("the recipe of {} is by {}", self.picture.display(), self.recipe.program);
        std::iter::once(from).chain(self.recipe.notes.iter().cloned()).collect()
    }

    /// What of it does not count: what there is nothing for, and what is nothing for this command.
    pub fn not_taken(&self, fits: impl Fn(&Given) -> bool) -> Vec<String> {
        let layer = self.layer();
        let foreign =
            layer.given.iter().filter(|given| !fits(given)).map(|given| format!("--{}", given.setting.option));
        let all: Vec<String> = self.recipe.not_taken.iter().cloned().chain(foreign).collect();
        if all.is_empty() {
            return Vec::new();
        }
        vec![format!("not taken from the recipe of {}: {}", self.picture.display(), all.join(", "))]
    }

    /// Those of its values that won, with the files that they name.
    ///
    /// # Errors
    /// As [`Finder::find`].
    pub fn found(&self, winners: Vec<Given>) -> Result<Vec<Given>> {
        let finder = Finder::new(&self.recipe, &self.picture);
        let find = |given: Given| match given.origin {
            Origin::Recipe(_) => finder.find(&given).transpose(),
            _ => Some(Ok(given)),
        };
        winners.into_iter().filter_map(find).collect()
    }
}

/// The last picture that is named. Words that begin so are this option wherever they stand: no value begins with a dash.
fn named(args: &[OsString]) -> Option<PathBuf> {
    if !args.get(1).is_some_and(|command| COMMANDS.iter().any(|known| command == known)) {
        return None;
    }
    let words: Vec<&OsString> = args.iter().take_while(|word| *word != "--").collect();
    let picture = |(at, word): (usize, &&OsString)| match word.to_str()? {
        "--from" => words.get(at + 1).map(PathBuf::from),
        word => word.strip_prefix("--from=").map(PathBuf::from),
    };
    words.iter().enumerate().filter_map(picture).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_found_among_words() {
        let of = |line: &str| named(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of("sdgen generate x --from a.png"), Some("a.png".into()));
        assert_eq!(of("sdgen img2img --from=a.png --from b.png --steps 3"), Some("b.png".into()));
        assert_eq!(of("sdgen generate -- --from a.png"), None);
        assert_eq!(of("sdgen info --from a.png"), None);
        assert_eq!(of("sdgen generate --from"), None);
        assert_eq!(of("sdgen"), None);
    }
}
