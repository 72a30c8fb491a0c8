//! What a file says that decoders pass over: whether it is whole, whether there are more pictures in it, whose colours.

use std::io::Cursor;

use ::image::codecs::png::PngDecoder;
use ::image::codecs::webp::WebPDecoder;
use ::image::ImageFormat;

/// Width and height of a PNG as its first chunk tells them, which the decoder does only when the pixels have begun.
pub(super) fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?.get(4..)?.strip_prefix(b"IHDR")?;
    let (width, rest) = header.split_first_chunk()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*rest.first_chunk()?)))
}

/// Whether a file goes on after its first picture: an animation, or pages.
pub(super) fn has_more_pictures(bytes: &[u8], format: ImageFormat) -> bool {
    let reader = Cursor::new(bytes);
    match format {
        ImageFormat::Png => PngDecoder::new(reader).and_then(|decoder| decoder.is_apng()).unwrap_or(false),
        ImageFormat::WebP => WebPDecoder::new(reader).is_ok_and(|decoder| decoder.has_animation()),
        ImageFormat::Tiff => second_page(bytes).is_some_and(|at| at != 0),
        _ => false,
    }
}

/// Where the second directory of a TIFF begins, 0 when there is none.
fn second_page(bytes: &[u8]) -> Option<u32> {
    let big_endian = bytes.starts_with(b"MM");
    let u16_at = |at: usize| {
        let two = *bytes.get(at..)?.first_chunk()?;
        Some(if big_endian { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
    };
    let u32_at = |at: usize| {
        let four = *bytes.get(at..)?.first_chunk()?;
        Some(if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    };
    let first = u32_at(4)? as usize;
    // A directory is a count, entries of 12 bytes, and where the next one begins.
    u32_at(first + 2 + 12 * usize::from(u16_at(first)?))
}

/// Whether a colour profile calls itself sRGB, so that ignoring it changes nothing.
pub(super) fn is_srgb(profile: &[u8]) -> bool {
    // The description is ASCII in version 2 of the format and UTF-16 in version 4.
    let has = |name: &[u8]| profile.windows(name.len()).any(|window| window == name);
    has(b"sRGB") || has(b"s\0R\0G\0B")
}

/// Whether the end of a JPEG is there. The decoder fills up one that is cut off with grey.
pub(super) fn jpeg_has_end(bytes: &[u8]) -> bool {
    const END: u8 = 0xD9;
    let mut rest = bytes;
    // Segments are skipped by their length, as a preview inside one has an end of its own.
    while let [0xFF, marker, after @ ..] = rest {
        rest = match *marker {
            END => return true,
            0xFF => &rest[1..],
            // Without a length: start of the picture, restarts, TEM.
            0xD8 | 0xD0..=0xD7 | 0x01 => after,
            _ => {
                let length = after.first_chunk().map(|&length| usize::from(u16::from_be_bytes(length)));
                let Some(next) = length.and_then(|length| after.get(length..)) else { return false };
                // A scan's header is followed by its data, up to a marker that is no restart.
                let coded = if *marker == 0xDA { entropy_coded(next) } else { 0 };
                &next[coded..]
            }
        };
    }
    false
}

fn entropy_coded(bytes: &[u8]) -> usize {
    let marker = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xD0..=0xD7 | 0xFF);
    bytes.windows(2).position(marker).unwrap_or(bytes.len())
}
