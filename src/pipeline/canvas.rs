//! [`Canvas`]: the picture that a run begins with and its mask, read and brought to size, and the way of what is painted back
//! into the whole picture.

use image::RgbImage;

use crate::image::input::{
    extend, fill_from_around, fit_note, load, load_mask, paste_back, picture_size, Alpha, Fill, LoadedMask, Mask,
    Region, Resize, Source,
};
use crate::pipeline::placement::{Place, Placement};
use crate::request::{Inpaint, Input, Request};
use crate::{Error, Result};

/// What a run paints on.
#[derive(Debug, Clone)]
pub struct Canvas {
    /// What the run begins with, of the plan's size.
    pub picture: RgbImage,
    /// What of it is painted anew: 255 wholly; only 0 and 255 unless the mask is soft. `None` is all of it.
    pub mask: Option<Mask>,
    frame: Option<Frame>,
    placement: Placement,
}

/// Where the painted goes.
#[derive(Debug, Clone)]
struct Frame {
    /// The picture around it.
    whole: RgbImage,
    /// The part that is worked on; all of it when absent.
    region: Option<Region>,
    /// What of the painted is shown, of the whole's size; all of it when absent.
    shown: Option<Mask>,
}

/// A canvas, and what the user should know of it.
pub struct Prepared {
    pub canvas: Canvas,
    pub notes: Vec<String>,
}

impl Canvas {
    /// Reads the pictures that a request names and fills in what they decide: its size, and the files' hashes. `default` is the
    /// size that the model was made for, `step` what its sides are multiples of.
    ///
    /// # Errors
    /// When a file is no picture or none to work with, or a mask has nothing to paint.
    pub fn prepare(request: &mut Request, default: (usize, usize), step: usize) -> Result<Option<Prepared>> {
        let Some(input) = &mut request.input else { return Ok(None) };
        let loaded = load(&Source::new(&input.picture.file), input.alpha)?;
        input.picture.sha256 = Some(loaded.record.sha256);
        let mut work = Work { notes: loaded.notes, input, step, asked: (request.image.width, request.image.height) };
        let canvas = match &mut request.inpaint {
            None => {
                let source = loaded.rgb.dimensions();
                let (size, place) = work.place(source)?;
                let placement = Placement { source, margins: None, place, size };
                Canvas { picture: place.of(&loaded.rgb, size), mask: None, frame: None, placement }
            }
            Some(inpaint) => {
                let mask = work.read_mask(inpaint, loaded.mask)?;
                work.inpaint(inpaint, loaded.rgb, mask, default)?
            }
        };
        let notes = work.notes;
        let (width, height) = canvas.picture.dimensions();
        (request.image.width, request.image.height) = (Some(width as usize), Some(height as usize));
        Ok(Some(Prepared { canvas, notes }))
    }

    /// Another picture of the same scene, such as a control map, where the canvas's own came to lie; `how` replaces what was said for
    /// that.
    #[must_use]
    pub fn placed(&self, picture: &RgbImage, how: Option<Resize>) -> RgbImage {
        self.placement.of(picture, how)
    }

    /// The whole picture with what was painted on the canvas in its place.
    #[must_use]
    pub fn finish(&self, painted: RgbImage) -> RgbImage {
        let Some(frame) = &self.frame else { return painted };
        let painted = match &frame.region {
            Some(region) => region.unzoom(&frame.whole, &painted),
            None => painted,
        };
        match &frame.shown {
            Some(shown) => paste_back(&frame.whole, &painted, shown),
            None => painted,
        }
    }
}

/// A mask that was read.
enum RawMask {
    File(LoadedMask),
    /// Of the picture's size.
    Alpha(Mask),
}

/// What preparing takes from place to place.
struct Work<'a> {
    input: &'a Input,
    /// What the canvas's sides are multiples of.
    step: usize,
    /// Width and height that the user asked for.
    asked: (Option<usize>, Option<usize>),
    notes: Vec<String>,
}

impl Work<'_> {
    /// Size of the canvas for a picture of this size, and how that gets there.
    fn place(&mut self, picture: (u32, u32)) -> Result<((u32, u32), Place)> {
        let how = self.input.resize;
        let planned = picture_size(picture, self.asked, how, self.step)?;
        let size = (planned.width, planned.height);
        // Asked for or not: what a picture was made with says its size.
        let own = picture_size(picture, (None, None), how, self.step);
        if how == Resize::Crop && own.is_ok_and(|own| size == (own.width, own.height)) {
            // No pixel is changed: scaling by a hair would blur all of them.
            let (left, top) = ((picture.0 - size.0) / 2, (picture.1 - size.1) / 2);
            self.notes.extend(planned.note);
            return Ok((size, Place::Part(Region { left, top, width: size.0, height: size.1 })));
        }
        self.notes.extend(planned.note.or_else(|| fit_note(picture, size, how)));
        Ok((size, Place::Fit(how)))
    }

    fn read_mask(&mut self, inpaint: &mut Inpaint, alpha: Option<Mask>) -> Result<Option<RawMask>> {
        let Some(file) = &mut inpaint.mask else {
            if self.input.alpha == Alpha::Mask && alpha.is_none() && inpaint.extend.is_none() {
                let message = format!("`{}` has no transparency to be its mask", self.input.picture.file);
                return Err(Error::picture(message, "give a mask with `--mask mask.png`"));
            }
            return Ok(alpha.map(RawMask::Alpha));
        };
        let mut mask = load_mask(&Source::new(&file.file))?;
        file.sha256 = Some(mask.record.sha256.clone());
        self.notes.append(&mut mask.notes);
        Ok(Some(RawMask::File(mask)))
    }

    fn inpaint(
        &mut self,
        inpaint: &Inpaint,
        mut picture: RgbImage,
        mask: Option<RawMask>,
        default: (usize, usize),
    ) -> Result<Canvas> {
        let (mut mask, mut invert) = (mask, inpaint.invert);
        let source = picture.dimensions();
        if let Some(margins) = inpaint.extend {
            let old = mask.map(|mask| self.at_size(mask, invert, picture.dimensions(), None));
            invert = false;
            let extended = extend(&picture, old.as_ref(), margins);
            picture = extended.rgb;
            mask = Some(RawMask::Alpha(extended.mask));
        }
        let Some(mask) = mask else {
            return Err(Error::usage("nothing says what of the picture is painted anew", "give a mask"));
        };
        let Some(pad) = inpaint.only_masked else {
            let (size, place) = self.place(picture.dimensions())?;
            let mask = self.at_size(mask, invert, picture.dimensions(), Some((size, &place)));
            let whole = place.of(&picture, size);
            let mask = self.finished_mask(mask, inpaint)?;
            let placement = Placement { source, margins: inpaint.extend, place, size };
            return Ok(Canvas::new(whole, None, mask, inpaint, placement));
        };
        let size = (self.asked.0.unwrap_or(default.0) as u32, self.asked.1.unwrap_or(default.1) as u32);
        let mask = self.at_size(mask, invert, picture.dimensions(), None);
        let mask = self.finished_mask(mask, inpaint)?;
        let region = Region::around(&mask, size, u32::try_from(pad).unwrap_or(u32::MAX));
        let region = region.ok_or_else(|| nothing_masked(0, mask.dimensions(), inpaint))?;
        let (all, Region { left, top, width, height }) = (picture.dimensions(), region);
        self.notes.push(format!(
            "working on {width}x{height} pixels at {left},{top} of the picture's {}x{}, brought to {}x{}",
            all.0, all.1, size.0, size.1
        ));
        let placement = Placement { source, margins: inpaint.extend, place: Place::Part(region), size };
        let canvas = Canvas::new(picture, Some(region), mask, inpaint, placement);
        match &canvas.mask {
            Some(worked) if worked.is_empty() => Err(too_thin(size)),
            _ => Ok(canvas),
        }
    }

    /// The mask, inverted if asked, at the picture's size or where the picture goes from there.
    fn at_size(
        &mut self,
        mask: RawMask,
        invert: bool,
        picture: (u32, u32),
        place: Option<((u32, u32), &Place)>,
    ) -> Mask {
        let mask = match (mask, place) {
            (RawMask::Alpha(mask), None) => mask,
            (RawMask::Alpha(mask), Some((size, place))) => Mask::new(place.of(mask.values(), size)),
            (RawMask::File(mask), Some((size, Place::Fit(how)))) => {
                let (mask, note) = mask.fitted(picture, size, *how);
                self.notes.extend(note);
                mask
            }
            (RawMask::File(mask), place) => {
                let (mask, note) = mask.fitted(picture, picture, Resize::Stretch);
                self.notes.extend(note);
                match place {
                    Some((size, place)) => Mask::new(place.of(mask.values(), size)),
                    None => mask,
                }
            }
        };
        if invert {
            mask.invert()
        } else {
            mask
        }
    }

    /// What is painted anew, checked: a mask of nothing is an error, one of everything is said.
    fn finished_mask(&mut self, mask: Mask, inpaint: &Inpaint) -> Result<Mask> {
        let brightest = mask.values().iter().copied().max().unwrap_or(0);
        let mask = if inpaint.soft {
            mask.grow(inpaint.grow).blur(inpaint.blur as f32)
        } else {
            mask.binarise().grow(inpaint.grow)
        };
        if mask.is_empty() {
            return Err(nothing_masked(brightest, mask.dimensions(), inpaint));
        }
        if mask.is_full() {
            self.notes.push("the mask covers the whole picture: all of it is painted anew".into());
        }
        Ok(mask)
    }
}

impl Canvas {
    /// The part of `whole` that is worked on, at its size; `mask` is of the whole's size.
    fn new(whole: RgbImage, region: Option<Region>, mask: Mask, inpaint: &Inpaint, placement: Placement) -> Self {
        let (picture, worked) = match &region {
            None => (whole.clone(), mask.clone()),
            Some(region) => {
                let worked = Mask::new(region.zoom(mask.values(), placement.size));
                (region.zoom(&whole, placement.size), if inpaint.soft { worked } else { worked.binarise() })
            }
        };
        let picture = if inpaint.fill == Fill::Blur { fill_from_around(&picture, &worked) } else { picture };
        let shown =
            inpaint.paste_back.then(|| if inpaint.soft { shown(&mask) } else { mask.feather(inpaint.blur as f32) });
        let frame = (shown.is_some() || region.is_some()).then_some(Frame { whole, region, shown });
        Canvas { picture, mask: Some(worked), frame, placement }
    }
}

/// What is shown of a softly masked picture: all that was painted, but for a short way in from where nothing was.
fn shown(mask: &Mask) -> Mask {
    let mut values = mask.values().clone();
    values.iter_mut().for_each(|value| *value = value.saturating_mul(8));
    Mask::new(values)
}

/// Thin lines of white get darker where the mask is made smaller: so the size is said.
fn nothing_masked(brightest: u8, (width, height): (u32, u32), inpaint: &Inpaint) -> Error {
    let message = match brightest {
        128.. => format!("nothing is left of the mask after it shrank by {} pixels", -inpaint.grow),
        1.. => format!(
            "the mask has no white: at {width}x{height} its brightest pixel has {brightest} of 255, and from 128 on it counts"
        ),
        0 => "the mask is all black: nothing would be painted".into(),
    };
    let hint = match brightest {
        128.. => "give a `--mask-grow` nearer to 0",
        1.. => "make it brighter, thicker where it is thin, or take it as it is with `--soft-mask`",
        0 => "white is painted anew; `--invert-mask` turns a mask round",
    };
    Error::picture(message, hint)
}

/// Of a part that is made smaller, to this size.
fn too_thin((width, height): (u32, u32)) -> Error {
    let message = format!("the white of the mask is so thin that nothing of it is left at {width}x{height}");
    Error::picture(message, "make it thicker with `--mask-grow 8`, or give a larger size or a smaller pad")
}

#[cfg(test)]
mod tests;
