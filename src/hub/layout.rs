//! The layout of diffusers on a disk: what files are called, and reading the small ones.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::files::read_small;
use crate::{weights, Error, Result};

/// What a component's weights are called, best first. Half-precision copies are taken when there is nothing else.
pub(super) const WEIGHT_FILES: &[&str] = &[
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors.index.fp16.json",
    "diffusion_pytorch_model.fp16.safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
    "model.safetensors.index.fp16.json",
    "model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.fp16.bin",
    "pytorch_model.bin",
    "pytorch_model.fp16.bin",
];

/// The hint for a folder that was not copied as it is.
pub(super) const WHOLE: &str = "fetch the model's folder again, whole";

/// The bytes of a small file, or `None` when it is not there.
pub(super) fn read_if_there(file: &Path) -> Result<Option<Cow<'static, [u8]>>> {
    if !is_there(file) {
        return Ok(None);
    }
    let bytes = read_small(file).map_err(|e| unreadable(file, &e))?;
    weights::refuse_other_formats(&file.display().to_string(), &bytes)?;
    Ok(Some(Cow::Owned(bytes)))
}

/// The file with a component's weights in its folder.
pub(super) fn weight_file(folder: &Path) -> Option<PathBuf> {
    WEIGHT_FILES.iter().map(|file| folder.join(file)).find(|file| is_there(file))
}

/// Whether the name is taken. A link whose target is gone counts: the model meant to have the file.
pub(super) fn is_there(file: &Path) -> bool {
    !matches!(file.symlink_metadata(), Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

fn unreadable(file: &Path, e: &std::io::Error) -> Error {
    let (what, hint) = match e.kind() {
        ErrorKind::NotFound => ("it is a link to a file that is not there".into(), WHOLE),
        ErrorKind::PermissionDenied => (e.to_string(), "make the model's files readable"),
        _ => (e.to_string(), WHOLE),
    };
    Error::model(format!("cannot read `{}`: {what}", file.display()), hint)
}

/// What a component's weights are called in most models.
pub(super) fn usual_name(component: &str) -> &'static str {
    if component.starts_with("text_encoder") {
        "model.safetensors"
    } else {
        "diffusion_pytorch_model.safetensors"
    }
}
