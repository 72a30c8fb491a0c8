//! [`ModelFiles`]: a model's folder in the diffusers layout, on disk or inside the binary.

use std::borrow::Cow;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::read_small;
use crate::hub::built_in;
use crate::nn::ParamSource;
use crate::request::BUILT_IN_MODEL;
use crate::{weights, Error, Result};

/// What a component's weights are called, best first. Half-precision copies are taken when there is nothing else.
const WEIGHT_FILES: &[&str] = &[
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.fp16.safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
    "model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.fp16.bin",
    "pytorch_model.bin",
    "pytorch_model.fp16.bin",
];

/// The hint for a folder that was not copied as it is.
const WHOLE: &str = "fetch the model's folder again, whole";

/// A model's folder in the diffusers layout.
#[derive(Debug, Clone)]
pub struct ModelFiles {
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    BuiltIn,
    Folder(PathBuf),
}

/// Finds the model a user named: the built-in model's name, or a folder.
///
/// # Errors
/// [`Error::Model`] when there is no such model, or when what is there is no diffusers folder.
pub fn resolve(model: &str) -> Result<ModelFiles> {
    if model == BUILT_IN_MODEL {
        return Ok(ModelFiles { place: Place::BuiltIn });
    }
    let path = Path::new(model);
    if path.is_dir() {
        return folder(path);
    }
    if path.is_file() {
        // Opened for its diagnosis: a pointer, a web page or a cut file is told from a sound checkpoint.
        weights::open(path)?;
        return Err(Error::model(
            format!("`{model}` is a single file; this version reads models in diffusers folders"),
            "give the folder that holds `model_index.json`",
        ));
    }
    Err(Error::model(
        format!("no such model: `{model}` is neither a folder nor a built-in model"),
        format!(
            "give the path of a diffusers folder, or leave `--model` out for the built-in `{BUILT_IN_MODEL}` model"
        ),
    ))
}

fn folder(path: &Path) -> Result<ModelFiles> {
    if !path.join("model_index.json").is_file() {
        let inside = if path.join("config.json").is_file() { "; it looks like one part of a model" } else { "" };
        return Err(Error::model(
            format!("`{}` is no model folder: it has no model_index.json{inside}", path.display()),
            "a diffusers folder has model_index.json, unet/, vae/, text_encoder/, tokenizer/ and scheduler/",
        ));
    }
    Ok(ModelFiles { place: Place::Folder(path.into()) })
}

impl ModelFiles {
    /// The model's name: the folder's own name, never its path.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.place {
            Place::BuiltIn => BUILT_IN_MODEL.into(),
            Place::Folder(path) => {
                let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
                whole.file_name().map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned())
            }
        }
    }

    /// Whether this is the model inside the binary.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        matches!(self.place, Place::BuiltIn)
    }

    /// Where a file lies, for messages.
    #[must_use]
    pub fn label(&self, path: &str) -> String {
        match &self.place {
            Place::BuiltIn => format!("built-in {path}"),
            Place::Folder(folder) => folder.join(path).display().to_string(),
        }
    }

    /// The bytes of a small file, or `None` when it is not there.
    ///
    /// # Errors
    /// [`Error::Model`] when the file is there and cannot be read, [`Error::Weights`] when it is a stand-in: a Git LFS pointer, a
    /// web page.
    pub fn read(&self, path: &str) -> Result<Option<Cow<'static, [u8]>>> {
        match &self.place {
            Place::BuiltIn => Ok(built_in_file(path).map(Cow::Borrowed)),
            Place::Folder(folder) => {
                let file = folder.join(path);
                if !is_there(&file) {
                    return Ok(None);
                }
                let bytes = read_small(&file).map_err(|e| unreadable(&file, &e))?;
                weights::refuse_other_formats(&self.label(path), &bytes)?;
                Ok(Some(Cow::Owned(bytes)))
            }
        }
    }

    /// A text file that the model cannot do without.
    ///
    /// # Errors
    /// [`Error::Model`] when the file is not there or no text; otherwise as [`Self::read`].
    pub fn text(&self, path: &str) -> Result<String> {
        let bytes = self.read(path)?.ok_or_else(|| self.part_missing(path))?;
        String::from_utf8(bytes.into_owned())
            .map_err(|_| Error::model(format!("`{}` is no text", self.label(path)), "fetch the model's folder again"))
    }

    /// A component's `config.json`, read by `parse`.
    ///
    /// # Errors
    /// As [`Self::text`]; what `parse` refuses is told with the file.
    pub fn config<T>(&self, component: &str, parse: impl FnOnce(&str) -> Result<T>) -> Result<T> {
        let path = format!("{component}/config.json");
        parse(&self.text(&path)?).map_err(|e| match e {
            Error::Model { message, hint } => {
                Error::Model { message: format!("`{}`: {message}", self.label(&path)), hint }
            }
            e => e,
        })
    }

    /// The weights of a component: `unet`, `vae`, `text_encoder`, ...
    ///
    /// # Errors
    /// [`Error::Model`] when the component has no weights this version reads, [`Error::Weights`] when they are damaged.
    pub fn weights(&self, component: &str) -> Result<Arc<dyn ParamSource>> {
        match &self.place {
            Place::BuiltIn => {
                let (path, bytes) = WEIGHT_FILES
                    .iter()
                    .map(|file| format!("{component}/{file}"))
                    .find_map(|path| built_in_file(&path).map(|bytes| (path, bytes)))
                    .ok_or_else(|| self.part_missing(component))?;
                Ok(Arc::new(weights::Safetensors::from_static(&format!("built-in {path}"), bytes)?))
            }
            Place::Folder(folder) => {
                let folder = folder.join(component);
                match WEIGHT_FILES.iter().map(|file| folder.join(file)).find(|file| is_there(file)) {
                    Some(file) => Ok(weights::open(&file)?),
                    None => Err(self.part_missing(&format!("{component}/{}", usual_name(component)))),
                }
            }
        }
    }

    /// The bytes of the file that holds a component's weights, to be read in order, and its path inside the model.
    /// `None` when there is no such file or it does not open.
    #[must_use]
    pub fn open_weights(&self, component: &str) -> Option<(String, Box<dyn Read + Send>)> {
        let paths = WEIGHT_FILES.iter().map(|file| format!("{component}/{file}"));
        match &self.place {
            Place::BuiltIn => paths.into_iter().find_map(|path| {
                let bytes: Box<dyn Read + Send> = Box::new(built_in_file(&path)?);
                Some((path, bytes))
            }),
            Place::Folder(folder) => paths.into_iter().find_map(|path| {
                let file: Box<dyn Read + Send> = Box::new(File::open(folder.join(&path)).ok()?);
                Some((path, file))
            }),
        }
    }

    fn part_missing(&self, path: &str) -> Error {
        Error::model(format!("the model has a part missing: `{}` is not there", self.label(path)), WHOLE)
    }
}

/// Whether the name is taken. A link whose target is gone counts: the model meant to have the file.
fn is_there(file: &Path) -> bool {
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

fn built_in_file(path: &str) -> Option<&'static [u8]> {
    built_in::FILES.iter().find(|(name, _)| *name == path).map(|(_, bytes)| *bytes)
}

/// What a component's weights are called in most models.
fn usual_name(component: &str) -> &'static str {
    if component.starts_with("text_encoder") {
        "model.safetensors"
    } else {
        "diffusion_pytorch_model.safetensors"
    }
}
