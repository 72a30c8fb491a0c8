//! PNG files: pixels and text chunks to bytes, and the text chunks of any PNG back.

use ::image::RgbImage;
use ::png::{BitDepth, ColorType, Encoder, EncodingError, StreamingDecoder};

use super::chunk::SdgenChunk;
use crate::{Error, Result};

/// Bytes that one compressed text may unpack to, and how many texts of a kind are read: a small file must not fill the
/// memory. A ComfyUI workflow has some 100 KiB.
const UNPACKED_LIMIT: usize = 2 << 20;
const MAX_TEXTS: usize = 64;

/// The first bytes of every PNG.
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A keyword and its text in a PNG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextChunk {
    /// 1 to 79 Latin-1 characters: `parameters`, `Software`, ...
    pub keyword: String,
    /// The text. A `NUL` cannot be stored in a PNG's text and is left out when writing.
    pub text: String,
}

impl TextChunk {
    /// A chunk of this text.
    pub fn new(keyword: impl Into<String>, text: impl Into<String>) -> Self {
        TextChunk { keyword: keyword.into(), text: text.into() }
    }
}

/// A PNG of the picture, 8 bits a channel, with the texts before the pixels: `tEXt` where Latin-1 suffices, uncompressed
/// `iTXt` otherwise, which is what A1111's readers expect; sdgen's own JSON, which is UTF-8, always as `iTXt`. The same
/// input gives the same bytes; no time is stored.
///
/// # Errors
/// When the picture has no pixels or a keyword is none.
pub fn encode(picture: &RgbImage, texts: &[TextChunk]) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(picture.as_raw().len() / 2);
    encode_into(&mut bytes, picture, texts)
        .map_err(|e| Error::BrokenPicture { what: format!("it cannot be written as PNG: {e}") })?;
    Ok(bytes)
}

fn encode_into(bytes: &mut Vec<u8>, picture: &RgbImage, texts: &[TextChunk]) -> Result<(), EncodingError> {
    let mut encoder = Encoder::new(bytes, picture.width(), picture.height());
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    for chunk in texts {
        let text = chunk.text.replace('\0', "");
        let latin_1 = text.chars().all(|c| u32::from(c) <= 0xFF);
        if latin_1 && chunk.keyword != SdgenChunk::KEYWORD {
            encoder.add_text_chunk(chunk.keyword.clone(), text)?;
        } else {
            encoder.add_itxt_chunk(chunk.keyword.clone(), text)?;
        }
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(picture.as_raw())?;
    writer.finish()
}

/// All text chunks of a PNG (`tEXt`, `zTXt`, `iTXt`, before or after the pixels), or `None` when it is no PNG.
///
/// Made for any file: a damaged one gives what lies before the damage, chunks that cannot be read are left out, and
/// unpacked text is bounded.
#[must_use]
pub fn read_texts(bytes: &[u8]) -> Option<Vec<TextChunk>> {
    if !bytes.starts_with(SIGNATURE) {
        return None;
    }
    let mut decoder = StreamingDecoder::new();
    let mut rest = bytes;
    // Pixels are not asked for, so they are skipped. An error ends the reading, not what was read.
    while let Ok((used, _)) = decoder.update(rest, None) {
        rest = &rest[used..];
        if used == 0 || rest.is_empty() {
            break;
        }
    }
    let info = decoder.info()?;
    let latin_1 = info.uncompressed_latin1_text.iter().take(MAX_TEXTS).map(|c| TextChunk::new(&c.keyword, &c.text));
    let packed = info.compressed_latin1_text.iter().take(MAX_TEXTS).filter_map(|chunk| {
        let mut chunk = chunk.clone();
        chunk.decompress_text_with_limit(UNPACKED_LIMIT).ok()?;
        Some(TextChunk::new(&chunk.keyword, chunk.get_text().ok()?))
    });
    let utf_8 = info.utf8_text.iter().take(MAX_TEXTS).filter_map(|chunk| {
        let mut chunk = chunk.clone();
        chunk.decompress_text_with_limit(UNPACKED_LIMIT).ok()?;
        Some(TextChunk::new(&chunk.keyword, chunk.get_text().ok()?))
    });
    Some(latin_1.chain(packed).chain(utf_8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::image::Rgb;

    fn picture() -> RgbImage {
        RgbImage::from_fn(31, 17, |x, y| Rgb([x as u8 * 8, y as u8 * 15, (x * y) as u8]))
    }

    fn chunk_types(png: &[u8]) -> Vec<&str> {
        let mut rest = &png[SIGNATURE.len()..];
        let mut types = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            types.push(std::str::from_utf8(&after[..4]).unwrap());
            rest = &after[u32::from_be_bytes(*length) as usize + 8..];
        }
        types
    }

    #[test]
    fn pixels_and_texts_come_back() {
        let texts = [
            TextChunk::new("parameters", "café\nSteps: 3"),
            TextChunk::new("other", "🍎"),
            TextChunk::new("sdgen", "{}"),
        ];
        let bytes = encode(&picture(), &texts).unwrap();
        assert_eq!(chunk_types(&bytes), ["IHDR", "tEXt", "iTXt", "iTXt", "IDAT", "IEND"]);
        assert_eq!(read_texts(&bytes).unwrap(), texts);
        let back = ::image::load_from_memory(&bytes).unwrap();
        assert_eq!(back.color(), ::image::ColorType::Rgb8);
        assert_eq!(back.to_rgb8(), picture());
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let texts = [TextChunk::new("Software", "sdgen")];
        assert_eq!(encode(&picture(), &texts).unwrap(), encode(&picture(), &texts).unwrap());
    }

    #[test]
    fn nul_is_left_out_and_other_control_characters_stay() {
        let bytes = encode(&picture(), &[TextChunk::new("parameters", "a\0b\u{1b}[31m\t\u{9f}")]).unwrap();
        assert_eq!(read_texts(&bytes).unwrap()[0].text, "ab\u{1b}[31m\t\u{9f}");
    }

    #[test]
    fn no_pixels_and_bad_keywords_are_errors() {
        assert!(matches!(encode(&RgbImage::new(0, 0), &[]), Err(Error::BrokenPicture { .. })));
        assert!(encode(&picture(), &[TextChunk::new("", "x")]).is_err());
        assert!(encode(&picture(), &[TextChunk::new("🍎", "x")]).is_err());
    }

    #[test]
    fn compressed_texts_of_other_programs_are_read() {
        for file in ["a1111_ztxt.png", "a1111_itxt_zip.png"] {
            let path = crate::testing::fixture("metadata/recipes").join(file);
            let texts = read_texts(&std::fs::read(path).unwrap()).unwrap();
            assert_eq!(texts[0].keyword, "parameters");
            assert!(texts[0].text.contains("a lighthouse at dusk, (oil painting:1.2), \"storm\""), "{texts:?}");
        }
    }

    /// A zTXt chunk of `length` zeros, which pack to a thousandth.
    fn bomb(length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 1, 1);
        encoder.add_ztxt_chunk("bomb".into(), "0".repeat(length)).unwrap();
        encoder.add_text_chunk("parameters".into(), "kept".into()).unwrap();
        encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
        bytes
    }

    #[test]
    fn a_text_that_unpacks_too_far_is_left_out() {
        let keywords = |bytes: &[u8]| read_texts(bytes).unwrap().into_iter().map(|t| t.keyword).collect::<Vec<_>>();
        assert_eq!(keywords(&bomb(UNPACKED_LIMIT)), ["parameters", "bomb"]);
        assert_eq!(keywords(&bomb(UNPACKED_LIMIT + 1)), ["parameters"]);
    }

    #[test]
    fn damage_anywhere_never_panics() {
        let texts = [TextChunk::new("parameters", "a cat"), TextChunk::new("sdgen", "🍎")];
        let whole = encode(&picture(), &texts).unwrap();
        for length in 0..whole.len() {
            if let Some(read) = read_texts(&whole[..length]) {
                assert!(read.iter().all(|text| texts.contains(text)), "cut to {length}");
            }
        }
        for position in 0..whole.len() {
            for value in [0x00, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[position] = value;
                let _ = read_texts(&damaged);
            }
        }
        assert_eq!(read_texts(b""), None);
        assert_eq!(read_texts(b"GIF89a"), None);
        assert_eq!(read_texts(b"version https://git-lfs.github.com/spec/v1"), None);
    }
}
