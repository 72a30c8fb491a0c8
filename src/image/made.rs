//! Pictures that an earlier run has made: the same request, and the whole file.

use std::path::Path;

use ::image::ImageFormat;

use super::chunk::SdgenChunk;
use super::png::read_texts;
use crate::request::Request;

/// Whether a file is picture `batch_index` of a request, which is [as pictures store it](super::stored), and all of it is there.
/// What device and precision made it is not asked.
#[must_use]
pub fn is_picture_of(path: &Path, stored: &Request, batch_index: usize) -> bool {
    let Ok(bytes) = crate::files::read_small(path) else { return false };
    let chunk = read_texts(&bytes).and_then(|texts| SdgenChunk::find(&texts).ok().flatten());
    chunk.is_some_and(|chunk| chunk.request == *stored && chunk.batch_index == batch_index)
        && ::image::load_from_memory_with_format(&bytes, ImageFormat::Png).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{encode, stored, Provenance, TextChunk};
    use ::image::{Rgb, RgbImage};

    #[test]
    fn a_picture_is_that_of_its_request_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let mut request = Request { model: "/models/v1-5".into(), ..Request::default() };
        request.lora_dirs = vec!["/loras".into()];
        request.sampling.guidance = Some(7.1);
        let chunk = SdgenChunk::new(&request, 1, &Provenance::for_tests());
        let picture = RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8 * 3, y as u8 * 3, (x * y) as u8]));
        let png = encode(&picture, &[TextChunk::new(SdgenChunk::KEYWORD, chunk.to_json())]).unwrap();
        std::fs::write(&path, &png).unwrap();
        let stored = stored(&request, "v1-5", &[]);
        assert!(is_picture_of(&path, &stored, 1));
        assert!(!is_picture_of(&path, &stored, 0));
        let mut other = stored.clone();
        other.sampling.guidance = Some(7.2);
        assert!(!is_picture_of(&path, &other, 1));
        std::fs::write(&path, &png[..png.len() - 20]).unwrap();
        assert!(!is_picture_of(&path, &stored, 1), "cut");
        assert!(!is_picture_of(&folder.path().join("missing.png"), &stored, 1));
    }
}
