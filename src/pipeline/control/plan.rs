//! [`PlannedControl`]: before any weights are read, which ControlNet it is, that it fits, and the picture that it is shown, at size.

use image::RgbImage;

use super::config::ControlConfig;
use super::fit::{check, family_of, of_another_family, unet_of};
use super::kinds;
use crate::control::{control_map, Preprocessor, Settings};
use crate::hub::{Annotators, ControlFiles, ModelFiles};
use crate::image::input::{fit, load, picture_size, Alpha, Mask, Resize, Source};
use crate::image::model_label;
use crate::pipeline::canvas::Canvas;
use crate::pipeline::Family;
use crate::request::{limits, Control, Preprocessing, Request};
use crate::{Error, Result};

/// The kind of ControlNets that are shown the picture to be painted on, with its mask.
const INPAINT: &str = "inpaint";
/// Kinds of ControlNets that are shown pictures, and no maps.
const TAKEN_AS_IT_IS: [&str; 3] = [INPAINT, "ip2p", "tile"];

/// A ControlNet that was found and fits the model, and what it is shown.
#[derive(Debug, Clone)]
pub struct PlannedControl {
    /// Where it lies.
    pub files: ControlFiles,
    /// What it is.
    pub config: ControlConfig,
    /// The number of the kind of map that it is shown, where it wants to be told.
    pub kind: Option<usize>,
    /// What it is shown, of the size of the picture that is made.
    pub picture: RgbImage,
    /// What of that is hidden from it.
    pub mask: Option<Mask>,
}

impl PlannedControl {
    /// Whether it is a ControlNet, which says something for each skip connection at each step.
    #[must_use]
    pub fn is_net(&self) -> bool {
        matches!(self.config, ControlConfig::Net(_))
    }

    /// What the ControlNet is shown, with black where it is hidden.
    #[must_use]
    pub fn shown(&self) -> RgbImage {
        let mut picture = self.picture.clone();
        if let Some(mask) = &self.mask {
            for (pixel, mask) in picture.pixels_mut().zip(mask.values().pixels()) {
                if mask.0[0] > 127 {
                    *pixel = image::Rgb([0; 3]);
                }
            }
        }
        picture
    }
}

/// Reads the control pictures of a request and fills in their hashes. Returns them with what the user should know.
///
/// # Errors
/// When a file is no picture, or none to work with.
pub fn read(request: &mut Request) -> Result<(Vec<RgbImage>, Vec<String>)> {
    let (mut pictures, mut notes) = (Vec::new(), Vec::new());
    for control in &mut request.controls {
        let loaded = load(&Source::new(&control.picture.file), Alpha::Drop)?;
        control.picture.sha256 = Some(loaded.record.sha256);
        notes.extend(loaded.notes);
        pictures.push(loaded.rgb);
    }
    Ok((pictures, notes))
}

/// The size of the first control picture becomes that of the picture to be made, as far as none is asked for. Returns what was rounded.
///
/// # Errors
/// When that is smaller or larger than pictures can be.
pub fn size(request: &mut Request, pictures: &[RgbImage]) -> Result<Option<String>> {
    let (Some(control), Some(picture)) = (request.controls.first(), pictures.first()) else { return Ok(None) };
    let asked = (request.image.width, request.image.height);
    let how = control.resize.unwrap_or(Resize::Stretch);
    let planned = picture_size(picture.dimensions(), asked, how, limits::SIDE_STEP)?;
    (request.image.width, request.image.height) = (Some(planned.width as usize), Some(planned.height as usize));
    Ok(planned.note)
}

/// Finds the ControlNets of a complete request, brings their pictures to its size and makes maps of them. What
/// makes each map is filled in. Returns also what the user should know.
///
/// # Errors
/// [`crate::Error::Model`] when there is no such ControlNet, or it does not fit the model.
pub fn plan(
    request: &mut Request,
    pictures: Vec<RgbImage>,
    canvas: Option<&Canvas>,
    (family, model): (&Family, &ModelFiles),
) -> Result<(Vec<PlannedControl>, Vec<String>)> {
    let side = |side: Option<usize>| side.unwrap_or_default() as u32;
    let size = (side(request.image.width), side(request.image.height));
    if request.controls.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let (base, mut planned, mut notes) = (family_of(unet_of(family)?), Vec::new(), Vec::new());
    let unet = model.text("unet/config.json")?;
    for (control, picture) in request.controls.iter_mut().zip(pictures) {
        control.kind.as_deref().map_or(Ok(()), kinds::check)?;
        let files = ControlFiles::find(&control.model, base)?;
        notes.extend(files.found());
        if let Some(own) = files.family().filter(|own| *own != base) {
            return Err(of_another_family(&files, "ControlNet", own, (&model.name(), base), None));
        }
        let config = ControlConfig::read(&files, &unet)?;
        check((&files, &config), (family, &model.name()), size)?;
        let kind = kind_of(control, &files, &config);
        let number = config.control_types().map(|types| kinds::of_union(&files.label(), types, kind.as_deref()));
        let number = number.transpose()?;
        let placed = match canvas {
            Some(canvas) => canvas.placed(&picture, control.resize),
            None => fit(&picture, size, control.resize.unwrap_or(Resize::Stretch)),
        };
        let (preprocessing, note) = chosen(control, kind.as_deref(), &picture);
        notes.extend(note);
        let was_chosen = control.preprocessor == Preprocessing::Auto;
        control.preprocessor = preprocessing;
        let picture = match preprocessing {
            Preprocessing::By(preprocessor) => {
                let made = control_map(preprocessor, &placed, &Settings::default(), &Annotators);
                let made = if was_chosen { made.map_err(or_as_it_is)? } else { made? };
                notes.extend(made.notes);
                made.map
            }
            Preprocessing::Auto | Preprocessing::None => placed,
        };
        let mask = canvas.and_then(|canvas| canvas.mask.clone()).filter(|_| kind.as_deref() == Some(INPAINT));
        if kind.as_deref() == Some(INPAINT) && mask.is_none() {
            notes.push("the ControlNet for inpainting sees no mask: `sdgen inpaint --mask` gives it one".into());
        }
        planned.push(PlannedControl { files, config, kind: number, picture, mask });
    }
    Ok((planned, notes))
}

/// The kind of map that is shown: the one that was said, or the one that the name tells; for a ControlNet that is for several kinds
/// also that of the preprocessor.
fn kind_of(control: &Control, files: &ControlFiles, config: &ControlConfig) -> Option<String> {
    let by_preprocessor = || match control.preprocessor {
        Preprocessing::By(preprocessor) if config.control_types().is_some() => Some(preprocessor.name()),
        _ => None,
    };
    control.kind.clone().or_else(|| files.kind()).or_else(by_preprocessor)
}

/// Of a preprocessor that was chosen for the user and whose network is not here: there is another way.
fn or_as_it_is(error: Error) -> Error {
    match error {
        Error::Model { message, hint: Some(hint) } => {
            Error::model(message, format!("{hint}; `--preprocessor none` takes the picture as the map that it is"))
        }
        other => other,
    }
}

/// What makes the map of `picture` for a ControlNet of this kind, and what to say about that where it was chosen for the user.
fn chosen(control: &Control, kind: Option<&str>, picture: &RgbImage) -> (Preprocessing, Option<String>) {
    let Preprocessing::Auto = control.preprocessor else { return (control.preprocessor, None) };
    let file = model_label(&control.picture.file);
    let Some(kind) = kind.filter(|kind| !TAKEN_AS_IT_IS.contains(kind)) else { return (Preprocessing::None, None) };
    match Preprocessor::parse(kind) {
        Ok(Preprocessor::Canny) if is_line_map(picture) => {
            let note = format!(
                "`{file}` is black and white: it is taken as a map of edges; `--preprocessor canny` makes one of it"
            );
            (Preprocessing::None, Some(note))
        }
        Ok(preprocessor) => {
            let note = format!(
                "{preprocessor} makes the map of `{file}`; `--preprocessor none` takes it as the map that it is"
            );
            (Preprocessing::By(preprocessor), Some(note))
        }
        Err(_) => {
            let note = format!("there is no preprocessor for {kind}: `{file}` is taken as the map that it is");
            (Preprocessing::None, Some(note))
        }
    }
}

/// Whether a picture has nothing but black and white.
fn is_line_map(picture: &RgbImage) -> bool {
    picture.pixels().all(|pixel| matches!(pixel.0, [0, 0, 0] | [255, 255, 255]))
}

/// The ControlNets and T2I-Adapters of a request that work at none of so many model calls, as warnings.
pub fn without_effect(request: &Request, planned: &[PlannedControl], calls: usize) -> Vec<String> {
    let controls = request.controls.iter().zip(planned);
    let idle = controls.filter(|(control, _)| !(0..calls).any(|call| control.works_at(call, calls)));
    idle.map(|(control, planned)| {
        let why = match control.scale {
            0.0 => "its scale is 0".to_string(),
            _ => {
                format!("none of {calls} calls of the model lies wholly between {} and {}", control.start, control.end)
            }
        };
        format!("the {} {} has no effect: {why}", planned.config.what(), model_label(&control.model))
    })
    .collect()
}
