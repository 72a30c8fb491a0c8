//! [`PlannedControl`]: before any weights are read, which ControlNet it is, that it fits, and the picture that it is shown, at size.
//! Models that are shown the picture themselves are in [`own_map`].

use image::RgbImage;

use super::config::ControlConfig;
use super::fit::{check, family_of, of_another_family, unet_of};
use super::map::{Place, INPAINT};
use super::{kinds, own_map};
use crate::hub::{ControlFiles, ModelFiles};
use crate::image::input::{load, picture_size, Alpha, Mask, Resize, Source};
use crate::image::model_label;
use crate::pipeline::canvas::Canvas;
use crate::pipeline::{Family, Sees};
use crate::request::{Control, Preprocessing, Request};
use crate::Result;

/// A control picture, and what it is shown to.
#[derive(Debug, Clone)]
pub struct PlannedControl {
    /// The ControlNet; `None` where the model itself is shown the picture.
    pub net: Option<PlannedNet>,
    /// The picture, of the size of the one that is made.
    pub picture: RgbImage,
    /// What of it is hidden.
    pub mask: Option<Mask>,
}

/// A ControlNet that was found and fits the model.
#[derive(Debug, Clone)]
pub struct PlannedNet {
    /// Where it lies.
    pub files: ControlFiles,
    /// What it is.
    pub config: ControlConfig,
    /// The number of the kind of map that it is shown, where it wants to be told.
    pub kind: Option<usize>,
}

impl PlannedControl {
    /// Whether it is a ControlNet, which says something for each skip connection at each step.
    #[must_use]
    pub fn is_net(&self) -> bool {
        self.net.as_ref().is_some_and(|net| matches!(net.config, ControlConfig::Net(_)))
    }

    /// What is shown, with black where it is hidden.
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

/// The size of the first control picture becomes that of the picture to be made, whose sides are multiples of `step`, as far as none is
/// asked for. Returns what was rounded.
///
/// # Errors
/// When that is smaller or larger than pictures can be.
pub fn size(request: &mut Request, pictures: &[RgbImage], step: usize) -> Result<Option<String>> {
    let (Some(control), Some(picture)) = (request.controls.first(), pictures.first()) else { return Ok(None) };
    let asked = (request.image.width, request.image.height);
    let how = control.resize.unwrap_or(Resize::Stretch);
    let planned = picture_size(picture.dimensions(), asked, how, step)?;
    (request.image.width, request.image.height) = (Some(planned.width as usize), Some(planned.height as usize));
    Ok(planned.note)
}

/// Finds the ControlNets of a complete request, brings their pictures to its size and makes maps of them. What
/// makes each map is filled in. `name` is what messages call the model. Returns also what the user should know.
///
/// # Errors
/// [`crate::Error::Model`] when there is no such ControlNet, or it does not fit the model.
pub fn plan(
    request: &mut Request,
    pictures: Vec<RgbImage>,
    canvas: Option<&Canvas>,
    (family, model, name): (&Family, &ModelFiles, &str),
) -> Result<(Vec<PlannedControl>, Vec<String>)> {
    let side = |side: Option<usize>| side.unwrap_or_default() as u32;
    let place = Place { size: (side(request.image.width), side(request.image.height)), canvas };
    match request.controls.as_mut_slice() {
        [] => return Ok((Vec::new(), Vec::new())),
        controls if family.sees() == Sees::Map => return own_map::plan(controls, &pictures, place, name),
        _ => {}
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
        check((&files, &config), (family, &model.name()), place.size)?;
        let kind = kind_of(control, &files, &config);
        let number = config.control_types().map(|types| kinds::of_union(&files.label(), types, kind.as_deref()));
        let number = number.transpose()?;
        let picture = place.map(control, kind.as_deref(), &picture, &mut notes)?;
        let mask = canvas.and_then(|canvas| canvas.mask.clone()).filter(|_| kind.as_deref() == Some(INPAINT));
        if kind.as_deref() == Some(INPAINT) && mask.is_none() {
            notes.push("the ControlNet for inpainting sees no mask: `sdgen inpaint --mask` gives it one".into());
        }
        let net = Some(PlannedNet { files, config, kind: number });
        planned.push(PlannedControl { net, picture, mask });
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

/// The ControlNets and T2I-Adapters of a request that work at none of so many model calls, and what a model that is shown the map itself
/// does not heed, as warnings.
pub fn without_effect(request: &Request, planned: &[PlannedControl], calls: usize) -> Vec<String> {
    let controls = request.controls.iter().zip(planned);
    let idle = |control: &Control| !(0..calls).any(|call| control.works_at(call, calls));
    controls
        .filter_map(|(control, planned)| {
            let Some(net) = &planned.net else { return own_map::without_effect(control) };
            idle(control).then(|| idle_net(control, net, calls))
        })
        .collect()
}

fn idle_net(control: &Control, net: &PlannedNet, calls: usize) -> String {
    let why = match control.scale {
        0.0 => "its scale is 0".to_string(),
        _ => {
            format!("none of {calls} calls of the model lies wholly between {} and {}", control.start, control.end)
        }
    };
    format!("the {} {} has no effect: {why}", net.config.what(), model_label(&control.model))
}
