//! [`Placement`]: how a picture got onto the canvas, so that others of the same scene come to lie on the same pixels.

use image::{imageops, ImageBuffer, Pixel, RgbImage};

use crate::image::input::{fit, resize, Filter, Margins, Region, Resize};

/// How a picture gets the size of the canvas.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// Scaled and cut as said.
    Fit(Resize),
    /// A part of it, scaled to the size: one that gives the canvas its size, but for the grid, or what alone is worked on.
    Part(Region),
}

/// The way of a picture onto the canvas.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    /// Its own size.
    pub source: (u32, u32),
    /// New ground that was laid around it.
    pub margins: Option<Margins>,
    pub place: Place,
    /// The canvas's size.
    pub size: (u32, u32),
}

impl Place {
    /// A picture or a mask, where it is placed.
    pub(super) fn of<P>(&self, picture: &ImageBuffer<P, Vec<u8>>, size: (u32, u32)) -> ImageBuffer<P, Vec<u8>>
    where
        P: Pixel<Subpixel = u8> + 'static,
    {
        match self {
            Place::Fit(how) => fit(picture, size, *how),
            Place::Part(region) if (region.width, region.height) == size => region.crop(picture),
            Place::Part(region) => region.zoom(picture, size),
        }
    }
}

impl Placement {
    /// Another picture of the same scene on the canvas: one of another size is stretched to the first one's before a part of it is
    /// taken; new ground is black. `how` replaces what was said for the first.
    pub(super) fn of(&self, picture: &RgbImage, how: Option<Resize>) -> RgbImage {
        let place = how.map_or(self.place, Place::Fit);
        let simple = matches!(place, Place::Fit(_)) && self.margins.is_none();
        if simple || how.is_some() {
            return place.of(picture, self.size);
        }
        let (width, height) = self.source;
        let scaled = resize(picture, width, height, Filter::Lanczos);
        let Some(Margins { left, top, right, bottom }) = self.margins else { return place.of(&scaled, self.size) };
        let mut ground = RgbImage::new(left + width + right, top + height + bottom);
        imageops::replace(&mut ground, &scaled, i64::from(left), i64::from(top));
        place.of(&ground, self.size)
    }
}
