//! What a file is that is no safetensors file, from its first bytes.

use super::WeightsError;

/// The formats that people mistake for safetensors: first bytes, name.
const OTHER_FORMATS: [(&[u8], &str); 8] = [
    (b"PK\x03\x04", "a PyTorch checkpoint (.ckpt, .pt or .bin)"),
    (b"\x80\x02", "a PyTorch checkpoint (.ckpt, .pt or .bin)"),
    (b"\x80\x03", "a PyTorch checkpoint (.ckpt, .pt or .bin)"),
    (b"\x80\x04", "a PyTorch checkpoint (.ckpt, .pt or .bin)"),
    (b"GGUF", "a GGUF file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\x1f\x8b", "a gzip archive"),
];

/// Says what the file is if its first bytes, `start`, are known not to be a safetensors header.
///
/// # Errors
/// When the file is something else.
pub(crate) fn refuse_other_formats(file: &str, start: &[u8]) -> Result<(), WeightsError> {
    if start.is_empty() {
        return Err(WeightsError::Empty(file.into()));
    }
    // A safetensors file begins with the length of its header and the header's opening bracket.
    if start.get(8) == Some(&b'{') && start[6..8] == [0, 0] {
        return Ok(());
    }
    if let Some((_, format)) = OTHER_FORMATS.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(WeightsError::OtherFormat { file: file.into(), format });
    }
    let text = String::from_utf8_lossy(&start[..start.len().min(1024)]);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with("version https://git-lfs") {
        let size = text.lines().find_map(|line| line.strip_prefix("size ")).and_then(|size| size.trim().parse().ok());
        return Err(WeightsError::LfsPointer { file: file.into(), size });
    }
    let lower = text.to_ascii_lowercase();
    if ["<!doctype", "<html", "<head", "<?xml", "<!--"].iter().any(|tag| lower.starts_with(tag)) {
        return Err(WeightsError::WebPage(file.into()));
    }
    Ok(())
}
