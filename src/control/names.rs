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
    /// Soft edges *
    #[value(aliases = ["hed", "softedge-hed"])]
    Softedge,
    /// Bold lines of soft edges *
    ScribbleHed,
    /// Line art *
    #[value(alias = "lineart-realistic")]
    Lineart,
    /// Line art with fewer lines *
    LineartCoarse,
    /// Depth, bright for near (Depth Anything V2 small) *
    #[value(aliases = ["depth-anything", "depth-anything-v2"])]
    Depth,
    /// Depth with the larger network (Depth Anything V2 base) *
    DepthBase,
    /// Skeletons of people *
    Openpose,
    /// Skeletons with faces *
    OpenposeFace,
    /// Skeletons with hands *
    OpenposeHand,
    /// Skeletons with faces and hands *
    OpenposeFull,
    /// Faces of people *
    OpenposeFaceonly,
}

/// A network that a preprocessor needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// Soft edges.
    Hed,
    /// Line art.
    Lineart,
    /// Line art with fewer lines.
    LineartCoarse,
    /// Bodies of people.
    BodyPose,
    /// Hands.
    HandPose,
    /// Faces.
    FacePose,
    /// Depth Anything V2 small.
    DepthSmall,
    /// Depth Anything V2 base.
    DepthBase,
}

impl Network {
    /// Its short name, as `sdgen download` knows it.
    #[must_use]
    pub fn alias(self) -> &'static str {
        match self {
            Network::Hed => "annotator-hed",
            Network::Lineart | Network::LineartCoarse => "annotator-lineart",
            Network::BodyPose | Network::HandPose | Network::FacePose => "annotator-openpose",
            Network::DepthSmall => "depth-anything-v2-small",
            Network::DepthBase => "depth-anything-v2-base",
        }
    }

    /// Names of its file, as it is published; the first is the one that `sdgen download` fetches.
    #[must_use]
    pub fn files(self) -> &'static [&'static str] {
        match self {
            Network::Hed => &["ControlNetHED.pth"],
            Network::Lineart => &["sk_model.pth"],
            Network::LineartCoarse => &["sk_model2.pth"],
            Network::BodyPose => &["body_pose_model.pth"],
            Network::HandPose => &["hand_pose_model.pth"],
            Network::FacePose => &["facenet.pth"],
            Network::DepthSmall => &["depth_anything_v2_vits.pth", "model.safetensors"],
            Network::DepthBase => &["depth_anything_v2_vitb.pth", "model.safetensors"],
        }
    }
}

/// How other programs' preprocessors begin that are not here, and what to do instead.
const ABSENT: [(&str, &str); 19] = [
    ("inpaint", "a ControlNet for inpainting takes the picture and the mask themselves"),
    ("mlsd", "for straight lines take `canny` or `lineart`"),
    ("pidi", "for soft edges take `softedge`"),
    ("softedge-pidi", "for soft edges take `softedge`"),
    ("softedge-teed", "for soft edges take `softedge`"),
    ("teed", "for soft edges take `softedge`"),
    ("scribble-pidi", "take `scribble-hed` or `scribble-xdog`"),
    ("lineart-anime", "take `lineart`, or `lineart-standard` without a network"),
    ("normal-bae", "make a map with `depth`, and of it one with `normal-from-depth`"),
    ("normalbae", "make a map with `depth`, and of it one with `normal-from-depth`"),
    ("normal-midas", "make a map with `depth`, and of it one with `normal-from-depth`"),
    ("depth-", "take `depth` or `depth-base`"),
    ("midas", "take `depth` or `depth-base`"),
    ("zoe", "take `depth` or `depth-base`"),
    ("leres", "take `depth` or `depth-base`"),
    ("dw", "take `openpose-full`"),
    ("densepose", "take `openpose`"),
    ("seg", "make the map with another program, and give it as it is"),
    ("mediapipe", "take `openpose-faceonly`"),
];

impl Preprocessor {
    /// The name, as it is typed.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
    }

    /// The networks that it needs.
    #[must_use]
    pub fn networks(self) -> &'static [Network] {
        match self {
            Preprocessor::Softedge | Preprocessor::ScribbleHed => &[Network::Hed],
            Preprocessor::Lineart => &[Network::Lineart],
            Preprocessor::LineartCoarse => &[Network::LineartCoarse],
            Preprocessor::Depth => &[Network::DepthSmall],
            Preprocessor::DepthBase => &[Network::DepthBase],
            Preprocessor::Openpose => &[Network::BodyPose],
            Preprocessor::OpenposeHand => &[Network::BodyPose, Network::HandPose],
            Preprocessor::OpenposeFace | Preprocessor::OpenposeFaceonly => &[Network::BodyPose, Network::FacePose],
            Preprocessor::OpenposeFull => &[Network::BodyPose, Network::HandPose, Network::FacePose],
            _ => &[],
        }
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
        for (name, hint) in [
            ("cany", "`canny`"),
            ("inpaint_only", "mask themselves"),
            ("depth_midas", "`depth-base`"),
            ("zzz", "one of: canny, "),
        ] {
            let error = Preprocessor::parse(name).unwrap_err();
            assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
            assert!(error.hint().unwrap().contains(hint), "{name}: {:?}", error.hint());
        }
    }
}
