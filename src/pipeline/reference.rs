//! The picture that FLUX.1 Kontext sees beside what it paints, as `FluxKontextPipeline` prepares it.

use image::RgbImage;

use crate::image::input::{fit, load, picture_size, Resize, Source};
use crate::pipeline::Family;
use crate::request::{limits, Request};
use crate::{Error, Result};

/// Widths and heights of the pictures that it was trained on.
const TRAINED: [(u32, u32); 17] = [
    (672, 1568),
    (688, 1504),
    (720, 1456),
    (752, 1392),
    (800, 1328),
    (832, 1248),
    (880, 1184),
    (944, 1104),
    (1024, 1024),
    (1104, 944),
    (1184, 880),
    (1248, 832),
    (1328, 800),
    (1392, 752),
    (1456, 720),
    (1504, 688),
    (1568, 672),
];

/// A picture to be seen, and what the user should know of it.
pub(super) struct Reference {
    pub(super) picture: RgbImage,
    pub(super) notes: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Reference {
    /// Reads the picture of a request and fills in what it decides: the file's hash, and where one side of the result is asked for,
    /// the other. `default` is the result's size where nothing is asked. What has no meaning for such a model is taken out.
    ///
    /// # Errors
    /// When the file is no picture or none to work with.
    pub(super) fn prepare(
        request: &mut Request,
        default: (usize, usize),
        family: &Family,
    ) -> Result<Option<Reference>> {
        let Some(input) = &mut request.input else { return Ok(None) };
        let name = family.name();
        let mut warnings = Vec::new();
        if let Some(strength) = input.strength.take() {
            warnings.push(format!("strength {strength} has no effect: {name} begins with noise and sees the picture"));
        }
        if input.resize != Resize::default() {
            input.resize = Resize::default();
            warnings.push(format!("the way of resizing has no effect: {name} sees the whole picture"));
        }
        let loaded = load(&Source::new(&input.picture.file), input.alpha)?;
        input.picture.sha256 = Some(loaded.record.sha256);
        let (source, step) = (loaded.rgb.dimensions(), family.side_step());
        let seen = seen_size(source, step as u32, !input.no_auto_resize)?;
        let mut notes = loaded.notes;
        if seen != source {
            notes.push(format!("{name} sees the picture of {}x{} at {}x{}", source.0, source.1, seen.0, seen.1));
        }
        let image = &mut request.image;
        if image.width.is_some() != image.height.is_some() {
            let size = picture_size(source, (image.width, image.height), Resize::Stretch, step)?;
            (image.width, image.height) = (Some(size.width as usize), Some(size.height as usize));
            notes.extend(size.note);
        }
        if image.width.is_none() && default != (seen.0 as usize, seen.1 as usize) {
            let (width, height) = default;
            notes.push(format!("the result is of {width}x{height}: `-W {} -H {}` is as the picture", seen.0, seen.1));
        }
        Ok(Some(Reference { picture: fit(&loaded.rgb, seen, Resize::Stretch), notes, warnings }))
    }
}

/// The size at which a picture is seen: that of the pictures of training whose shape is nearest, or its own, in multiples of `step`.
fn seen_size(picture: (u32, u32), step: u32, nearest: bool) -> Result<(u32, u32)> {
    let whole = |side: u32| side / step * step;
    let (width, height) = (whole(picture.0), whole(picture.1));
    let most = *limits::SIDE.end() as u32;
    let message = |what| format!("a picture of {}x{} pixels is too {what} to be seen", picture.0, picture.1);
    if width.min(height) == 0 {
        return Err(Error::picture(message("small"), format!("give one of {step} pixels a side at least")));
    }
    if nearest {
        let shape = f64::from(width) / f64::from(height);
        let away = |size: &(u32, u32)| (shape - f64::from(size.0) / f64::from(size.1)).abs();
        let found = TRAINED.into_iter().min_by(|a, b| away(a).total_cmp(&away(b)));
        return Ok(found.map_or((width, height), |(width, height)| (whole(width), whole(height))));
    }
    if width.max(height) > most {
        return Err(Error::picture(message("large"), "leave out `--no-auto-resize`, or give a smaller one"));
    }
    Ok((width, height))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `FluxKontextPipeline` of diffusers 0.42.1.
    #[test]
    fn pictures_are_seen_at_the_nearest_size_of_training() {
        for (picture, seen) in [
            ((1024, 1024), (1024, 1024)),
            ((64, 64), (1024, 1024)),
            ((80, 60), (1328, 800)),
            ((4000, 3000), (1184, 880)),
            ((3000, 4000), (880, 1184)),
            ((1920, 1080), (1392, 752)),
            ((1080, 1920), (752, 1392)),
            ((3000, 100), (1568, 672)),
            ((100, 3000), (672, 1568)),
        ] {
            assert_eq!(seen_size(picture, 16, true).unwrap(), seen, "{picture:?}");
        }
    }

    #[test]
    fn pictures_may_be_seen_at_their_own_size() {
        assert_eq!(seen_size((80, 60), 16, false).unwrap(), (80, 48));
        assert!(seen_size((4200, 64), 16, false).unwrap_err().to_string().contains("too large"));
        assert!(seen_size((15, 64), 16, true).unwrap_err().to_string().contains("15x64"));
    }
}
