//! Control maps: what a ControlNet is shown of a picture (edges, depth, a skeleton), made by a [`Preprocessor`].
//!
//! [`control_map`] is the way in. One file an operation: [`canny`], [`simple`] (what comes from colours alone), [`normal`], [`shuffle`];
//! [`softedge`], [`lineart`], [`depth`], [`openpose`] with a network. They follow controlnet_aux and the ControlNet extension of A1111,
//! with OpenCV's arithmetic ([`mod@resize`], [`blur`], [`draw`]), which is not Pillow's. The networks of annotators are in
//! [`crate::models`]; here are the work before and after them, and the drawing. Nothing here knows files: [`Networks`] brings weights.

mod blur;
mod canny;
mod depth;
mod draw;
mod lineart;
mod names;
mod network;
mod normal;
mod openpose;
mod pixels;
mod prepare;
mod resize;
mod settings;
mod shuffle;
mod simple;
mod softedge;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use image::RgbImage;

pub use names::{Network, Preprocessor};
pub use settings::{limits, Settings};

use self::network::Loader;
use self::prepare::{at_resolution, check_size, for_network, in_shape_of, with_shorter_side};
use self::resize::Interpolation;
use crate::nn::ParamSource;
use crate::Result;

/// Where the weights of annotators come from.
pub trait Networks {
    /// The weights of a network.
    ///
    /// # Errors
    /// When they are not on this machine, with what fetches them, or cannot be opened.
    fn open(&self, network: Network) -> Result<Arc<dyn ParamSource>>;
}

/// What a preprocessor made of a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlMap {
    /// The map. Of the picture's size or, with [`Settings::resolution`], of its shape; [`Preprocessor::Tile`] makes it smaller.
    pub map: RgbImage,
    /// What the user should know: that nothing was found, that nothing was changed.
    pub notes: Vec<String>,
}

/// The shorter side at which networks look at a picture when nothing is said.
const LOOKED_AT: u32 = 512;

/// The control map of an upright picture. Networks run on the CPU.
///
/// # Errors
/// [`crate::Error::Usage`] for settings that are out of range or not of this preprocessor; what `networks` says; weights of another
/// network, with the tensors that do not fit.
pub fn control_map(
    preprocessor: Preprocessor,
    picture: &RgbImage,
    settings: &Settings,
    networks: &dyn Networks,
) -> Result<ControlMap> {
    settings.check(preprocessor)?;
    check_size(picture, settings.resolution)?;
    let mut notes = Vec::new();
    if let Some(map) = without_network(preprocessor, picture, settings) {
        if preprocessor == Preprocessor::Tile
            && map.dimensions() == picture.dimensions()
            && settings.resolution.is_none()
        {
            notes.push("tile leaves the picture as it is at a rate below 1.1; `--rate 2` halves its sides".into());
        }
        return Ok(ControlMap { map, notes });
    }
    let load = Loader(networks);
    let looked_at = for_network(picture, settings.resolution.unwrap_or(LOOKED_AT));
    let map = match preprocessor {
        Preprocessor::Softedge => softedge::softedge(&looked_at, settings.safe, &load)?,
        Preprocessor::ScribbleHed => softedge::softedge(&looked_at, false, &load)?,
        Preprocessor::Lineart => lineart::lineart(&looked_at, Network::Lineart, &load)?,
        Preprocessor::LineartCoarse => lineart::lineart(&looked_at, Network::LineartCoarse, &load)?,
        Preprocessor::DepthBase => depth::depth(picture, depth::SIDE, Network::DepthBase, &load)?,
        Preprocessor::Openpose
        | Preprocessor::OpenposeFace
        | Preprocessor::OpenposeHand
        | Preprocessor::OpenposeFull
        | Preprocessor::OpenposeFaceonly => {
            let (map, people) = openpose::openpose(&looked_at, parts(preprocessor), &load)?;
            if people == 0 {
                notes.push("nobody was found in the picture: the map is black".into());
            }
            map
        }
        // All others came back above.
        _ => depth::depth(picture, depth::SIDE, Network::DepthSmall, &load)?,
    };
    let map = in_shape_of(picture, settings.resolution, &map);
    let map = if preprocessor == Preprocessor::ScribbleHed { softedge::scribble(&map) } else { map };
    Ok(ControlMap { map, notes })
}

/// What of people is drawn.
fn parts(preprocessor: Preprocessor) -> openpose::Wanted {
    let networks = preprocessor.networks();
    openpose::Wanted {
        body: preprocessor != Preprocessor::OpenposeFaceonly,
        hands: networks.contains(&Network::HandPose),
        faces: networks.contains(&Network::FacePose),
    }
}

/// The map of a preprocessor that needs no network; nothing for the others.
fn without_network(preprocessor: Preprocessor, picture: &RgbImage, settings: &Settings) -> Option<RgbImage> {
    let resolution = settings.resolution;
    let padded = |work: &dyn Fn(&RgbImage) -> RgbImage| at_resolution(picture, resolution, work);
    let sized = || with_shorter_side(picture, resolution, Interpolation::Cubic);
    let threshold = settings.threshold.unwrap_or(settings::default_threshold(preprocessor));
    let gamma = settings.gamma.unwrap_or(settings::GAMMA);
    Some(match preprocessor {
        Preprocessor::Canny => {
            let (low, high) = settings.edges();
            canny::canny(&sized(), low, high)
        }
        Preprocessor::Invert => simple::invert(&sized()),
        Preprocessor::Threshold => simple::threshold(&sized(), threshold),
        Preprocessor::Scribble => simple::scribble(&sized(), threshold),
        Preprocessor::ScribbleXdog => padded(&|picture| simple::scribble_xdog(picture, threshold)),
        Preprocessor::LineartStandard => padded(&simple::lineart_standard),
        Preprocessor::Blur => simple::blur(&sized(), settings.sigma.unwrap_or(settings::SIGMA)),
        Preprocessor::Tile => simple::tile(&sized(), settings.rate.unwrap_or(settings::RATE)),
        Preprocessor::Color => simple::color_grid(&with_shorter_side(picture, resolution, Interpolation::Area)),
        Preprocessor::RecolorLuminance => simple::recolor_luminance(&sized(), gamma),
        Preprocessor::RecolorIntensity => simple::recolor_intensity(&sized(), gamma),
        Preprocessor::NormalFromDepth => {
            let flatness = settings.flatness.unwrap_or(normal::FLATNESS);
            let background = settings.background.unwrap_or(normal::BACKGROUND);
            normal::normals_of_map(&sized(), flatness, background)
        }
        Preprocessor::Shuffle => shuffle::shuffle(&sized(), settings.seed.unwrap_or_default()),
        _ => return None,
    })
}
