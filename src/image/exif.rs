//! The comment in a picture's EXIF block: JPEG and WebP have no texts but this one, so programs that paint write their settings
//! there, as A1111's `parameters` or as JSON.

use std::io::Cursor;

use exif::{In, Reader, Tag, Value};

use super::png::{read_texts, TextChunk};

/// Bytes before the comment that name its characters (EXIF 2.3, 4.6.5).
const CODE: usize = 8;

/// The comment of a JPEG, WebP, PNG or TIFF file; `None` where there is none, or no text. Made for any file.
#[must_use]
fn read_comment(bytes: &[u8]) -> Option<String> {
    // A1111's writer leaves out the end of the inner folder of fields: what was read before that counts.
    let read = Reader::new().continue_on_error(true).read_from_container(&mut Cursor::new(bytes));
    let block = read.or_else(|e| e.distill_partial_result(|_| ())).ok()?;
    let Value::Undefined(comment, _) = &block.get_field(Tag::UserComment, In::PRIMARY)?.value else { return None };
    let (code, text) = comment.split_at_checked(CODE)?;
    let text = match code {
        b"UNICODE\0" => utf_16(text)?,
        b"ASCII\0\0\0" | b"\0\0\0\0\0\0\0\0" => String::from_utf8_lossy(text).into_owned(),
        _ => return None,
    };
    let text = text.trim_end_matches('\0');
    (!text.trim().is_empty()).then(|| text.to_string())
}

/// The texts of a picture of any kind; a comment has the keyword that PNG files have for such a text, as A1111 writes its settings
/// there, other programs theirs as JSON. Made for any file.
#[must_use]
pub fn read_all_texts(bytes: &[u8]) -> Vec<TextChunk> {
    let mut texts = read_texts(bytes).unwrap_or_default();
    texts.extend(read_comment(bytes).map(|comment| {
        let keyword = if comment.trim_start().starts_with('{') { "UserComment" } else { "parameters" };
        TextChunk::new(keyword, &comment)
    }));
    texts
}

/// Text of 16-bit units. A1111 writes the high byte first whatever the block's byte order, others the low byte: the byte that is more
/// often zero is the high one, as most of what is written there is Latin.
fn utf_16(bytes: &[u8]) -> Option<String> {
    let pairs = || bytes.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
    let zeros = |at: usize| pairs().filter(|pair| pair[at] == 0).count();
    let low_first = bytes.starts_with(&[0xff, 0xfe]) || zeros(1) > zeros(0);
    let units: Vec<u16> = pairs().map(if low_first { u16::from_le_bytes } else { u16::from_be_bytes }).collect();
    let text = String::from_utf16(&units).ok()?;
    Some(text.trim_start_matches('\u{feff}').to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a lighthouse, caf\u{e9} \u{1f9ed}\nSteps: 20, Sampler: Euler";

    /// A WebP file of nothing but a comment.
    fn webp(code: [u8; CODE], text: &[u8]) -> Vec<u8> {
        let count = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
        let mut block = b"II*\0\x08\0\0\0\x01\0".to_vec();
        // The tag of the EXIF folder, a long, at byte 26; there the comment, of type undefined, at byte 44.
        block.extend([&[0x69, 0x87, 4, 0][..], &count(1), &count(26), &count(0), &[1, 0, 0x86, 0x92, 7, 0]].concat());
        block.extend([&count(CODE + text.len())[..], &count(44), &count(0), &code, text].concat());
        if block.len() % 2 == 1 {
            block.push(0);
        }
        let chunk = [b"EXIF", &count(block.len())[..], &block].concat();
        [b"RIFF", &count(4 + chunk.len())[..], b"WEBP", &chunk].concat()
    }

    #[test]
    fn comments_are_read_in_each_byte_order() {
        let units: Vec<u16> = TEXT.encode_utf16().collect();
        let high: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        let low: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let marked = [&[0xff, 0xfe], &low[..]].concat();
        for text in [&high, &low, &marked] {
            assert_eq!(read_comment(&webp(*b"UNICODE\0", text)).as_deref(), Some(TEXT));
        }
        assert_eq!(read_comment(&webp(*b"ASCII\0\0\0", b"Steps: 20\0\0")).as_deref(), Some("Steps: 20"));
    }

    #[test]
    fn what_is_no_comment_is_none() {
        assert_eq!(read_comment(&webp(*b"ASCII\0\0\0", b" \0")), None);
        assert_eq!(read_comment(&webp(*b"JIS\0\0\0\0\0", b"Steps")), None);
        let whole = webp(*b"ASCII\0\0\0", b"Steps: 20");
        for end in 0..whole.len() {
            let _ = read_comment(&whole[..end]);
        }
        assert_eq!(read_comment(b"no picture"), None);
    }
}
