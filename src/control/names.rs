//! What preprocessors are called.

use std::fmt;

use clap::ValueEnum;

use crate::{suggest, Error, Result};

/// A way from a picture to a control map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Preprocessor {
    /// Edges
    Canny,
    /// Soft lines where the picture is darker than its surroundings
    LineartStandard,
    /// Bright for dark, for line drawings on white
    Invert,
    /// A drawing of dark lines as a scribble
    Scribble,
    /// Bold lines
    ScribbleXdog,
    /// White where the picture is bright
    Threshold,
    /// The picture out of focus
    Blur,
    /// The picture made smaller, for ControlNets that add detail
    #[value(alias = "tile-resample")]
    Tile,
    /// Squares of one colour
    Color,
    /// Brightness, to colour anew
    #[value(alias = "recolor")]
    RecolorLuminance,
    /// The strongest channel, to colour anew
    RecolorIntensity,
    /// Surface normals of a picture that is a depth map
    NormalFromDepth,
    /// Colours and shapes at other places
    Shuffle,
}

/// A network that a preprocessor needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {}

/// Names of other programs' preprocessors that are not here, and what to do instead.
const ABSENT: [(&str, &str); 1] =
    [("inpaint", "a ControlNet for inpainting takes the picture and the mask themselves")];

impl Preprocessor {
    /// The name, as it is typed.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
    }

    /// The preprocessor of this name, in any case, with `_` for `-` too.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown name, with the one that is most like it, or what to use instead of one that other programs have.
    pub fn parse(name: &str) -> Result<Self> {
        let typed = name.trim().to_lowercase().replace('_', "-");
        if let Ok(preprocessor) = <Self as ValueEnum>::from_str(&typed, true) {
            return Ok(preprocessor);
        }
        if let Some((_, instead)) = ABSENT.iter().find(|(start, _)| typed.starts_with(start)) {
            return Err(Error::usage(format!("there is no preprocessor `{name}` here"), *instead));
        }
        let names = || Self::value_variants().iter().map(|preprocessor| preprocessor.name());
        let hint = match suggest::nearest(&typed, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("one of: {}", names().collect::<Vec<_>>().join(", ")),
        };
        Err(Error::usage(format!("there is no preprocessor `{name}`"), hint))
    }
}

impl fmt::Display for Preprocessor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_spelling() {
        for preprocessor in Preprocessor::value_variants() {
            assert_eq!(Preprocessor::parse(&preprocessor.name()).unwrap(), *preprocessor);
        }
        assert_eq!(Preprocessor::parse(" Scribble_XDOG").unwrap(), Preprocessor::ScribbleXdog);
        assert_eq!(Preprocessor::parse("tile_resample").unwrap(), Preprocessor::Tile);
    }

    #[test]
    fn unknown_names_are_refused_with_a_way_out() {
        for (name, hint) in [("cany", "`canny`"), ("inpaint_only", "mask themselves"), ("zzz", "one of: canny, ")] {
            let error = Preprocessor::parse(name).unwrap_err();
            assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
            assert!(error.hint().unwrap().contains(hint), "{name}: {:?}", error.hint());
        }
    }
}
