//! From a file's bytes to upright pixels, with every way in which a file is no picture told apart.

use std::io::{Cursor, ErrorKind};

use ::image::metadata::Orientation;
use ::image::{guess_format, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::container::{has_more_pictures, is_srgb, jpeg_has_end, png_size};
use super::source::Source;
use crate::{Error, Result};

/// Sides and pixels of the largest picture that is decoded.
const LARGEST_SIDE: u32 = 32_768;
const MOST_PIXELS: u64 = 100_000_000;
/// Bytes a decoder may take beside the picture of at most 16 bytes a pixel.
const DECODER_MEMORY: u64 = 256 << 20;
/// The smallest side that holds anything to start from: one latent.
const SMALLEST_SIDE: u32 = 8;

/// A decoded picture, upright.
pub(super) struct Decoded {
    pub picture: DynamicImage,
    pub notes: Vec<String>,
}

pub(super) fn decode(bytes: &[u8], source: &Source) -> Result<Decoded> {
    let format = format_of(bytes, source)?;
    // The size goes first: of a picture that is too large nobody gets the rest.
    if let Some((width, height)) = png_size(bytes) {
        check_size(source, width, height)?;
    }
    let decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder();
    if let Ok(decoder) = &decoder {
        let (width, height) = decoder.dimensions();
        check_size(source, width, height)?;
    }
    if format == ImageFormat::Jpeg && !jpeg_has_end(bytes) {
        return Err(damaged(source, format, TOO_SHORT));
    }
    let failed = |e: ImageError| unreadable(source, format, &e);
    let mut decoder = decoder.map_err(failed)?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(decoder.total_bytes().saturating_add(DECODER_MEMORY));
    decoder.set_limits(limits).map_err(failed)?;
    let mut notes = Vec::new();
    if has_more_pictures(bytes, format) {
        notes.push(format!("{source} holds several pictures: the first is taken"));
    }
    // A damaged profile or orientation is no reason to refuse the pixels.
    if decoder.icc_profile().ok().flatten().is_some_and(|profile| !is_srgb(&profile)) {
        notes.push(format!("{source} has a colour profile, which is ignored: its values are taken as sRGB"));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
    picture.apply_orientation(orientation);
    Ok(Decoded { picture, notes })
}

fn format_of(bytes: &[u8], source: &Source) -> Result<ImageFormat> {
    if bytes.is_empty() {
        return Err(Error::picture(format!("{source} is empty"), "give a picture"));
    }
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(Error::picture(
            format!("{source} is a pointer of Git LFS, not the picture"),
            "fetch the picture with `git lfs pull`",
        ));
    }
    if let Some(b"ftypheic" | b"ftypheix" | b"ftypmif1" | b"ftypmsf1") = bytes.get(4..12) {
        return Err(not_read(source, "HEIC"));
    }
    match guess_format(bytes) {
        Ok(
            format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP | ImageFormat::Tiff | ImageFormat::Bmp),
        ) => Ok(format),
        Ok(other) => Err(not_read(source, name(other))),
        Err(_) => Err(Error::picture(
            format!("{source} is not a picture"),
            "give a PNG, JPEG, WebP, TIFF or BMP; its content counts, not its name",
        )),
    }
}

fn not_read(source: &Source, format: &str) -> Error {
    Error::picture(
        format!("{source} is a picture of a format that is not read: {format}"),
        "save it as PNG, JPEG, WebP, TIFF or BMP",
    )
}

fn check_size(source: &Source, width: u32, height: u32) -> Result<()> {
    let size = format!("{source} has {width}x{height} pixels");
    if width < SMALLEST_SIDE || height < SMALLEST_SIDE {
        return Err(Error::picture(
            format!("{size}, which is too little to start from"),
            format!("give a picture of at least {SMALLEST_SIDE}x{SMALLEST_SIDE} pixels"),
        ));
    }
    if width > LARGEST_SIDE || height > LARGEST_SIDE || u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(Error::picture(
            format!("{size}, more than is read"),
            format!("make it smaller: {} megapixels are read, {LARGEST_SIDE} pixels a side", MOST_PIXELS / 1_000_000),
        ));
    }
    Ok(())
}

fn unreadable(source: &Source, format: ImageFormat, error: &ImageError) -> Error {
    // The reason without the library's words around it.
    let reason = || std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    match error {
        ImageError::Unsupported(_) => Error::picture(
            format!("{source} is a {} file of a kind that is not read: {error}", name(format)),
            "save it as PNG with 8 bits a channel",
        ),
        ImageError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => damaged(source, format, TOO_SHORT),
        _ => damaged(source, format, &reason()),
    }
}

/// The reason when a file stops before its pixels do.
const TOO_SHORT: &str = "it ends too early";

fn damaged(source: &Source, format: ImageFormat, what: &str) -> Error {
    Error::picture(format!("{source} is a damaged {} file: {what}", name(format)), "get it again, or save it anew")
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Avif => "AVIF",
        other => other.to_mime_type(),
    }
}
