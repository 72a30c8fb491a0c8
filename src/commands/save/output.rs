//! Where a model is to be written: what goes with a name, and what is in the way.

use std::path::{Path, PathBuf};

use crate::cli::save::Layout;
use crate::image::{check_writable, folder_of};
use crate::weights::write::Format;
use crate::{Error, Result};

/// Where a model is to be written.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// The file or folder.
    pub path: &'a Path,
    /// Which of both.
    pub layout: Layout,
    /// Whether what has the name is given up.
    pub overwrite: bool,
}

impl Output<'_> {
    /// The format of a single file, none for a folder. Refuses what does not go together, and what is in the way.
    ///
    /// # Errors
    /// [`Error::Usage`] that says what to give instead.
    pub fn check(&self) -> Result<Option<Format>> {
        let ending = self.path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
        let shown = self.path.display();
        let format = match (self.layout, ending.as_str()) {
            (Layout::Diffusers, "safetensors" | "gguf") => {
                let message = format!("`{shown}` is the name of a file, and a folder is to be written");
                return Err(Error::usage(message, "add `--layout single`, or name a folder"));
            }
            (Layout::Diffusers, _) => None,
            (Layout::Single, "gguf") => Some(Format::Gguf),
            (Layout::Single, "safetensors") => Some(Format::Safetensors),
            (Layout::Single, _) => {
                let message = format!("`{shown}` does not say which kind of file is to be written");
                return Err(Error::usage(message, "end it with .safetensors or .gguf"));
            }
        };
        self.check_free(format.is_some())?;
        check_writable(folder_of(self.path))?;
        Ok(format)
    }

    /// Refuses a result that would take the place of what it is made of.
    ///
    /// # Errors
    /// [`Error::Usage`] that names it.
    pub fn check_apart(&self, inputs: impl IntoIterator<Item = PathBuf>) -> Result<()> {
        let Ok(place) = self.path.canonicalize() else { return Ok(()) };
        match inputs.into_iter().find(|input| input.canonicalize().is_ok_and(|input| input == place)) {
            Some(input) => {
                let message = format!("`{}` is what the result is made of", input.display());
                Err(Error::usage(message, "give another name with `--output`"))
            }
            None => Ok(()),
        }
    }

    /// What has the name already must be of the same kind, and be given up.
    fn check_free(&self, is_file: bool) -> Result<()> {
        let path = self.path;
        let shown = path.display();
        if path.symlink_metadata().is_err() {
            return Ok(());
        }
        if path.is_dir() == is_file {
            let what = if is_file { "a folder" } else { "a file" };
            return Err(Error::usage(format!("`{shown}` is {what}"), "give another name"));
        }
        if !self.overwrite {
            return Err(Error::usage(format!("`{shown}` exists"), "give another name, or `--overwrite`"));
        }
        let is_empty = || path.read_dir().is_ok_and(|mut all| all.next().is_none());
        if !is_file && !path.join("model_index.json").is_file() && !is_empty() {
            let message = format!("`{shown}` is a folder with other things in it, which `--overwrite` would remove");
            return Err(Error::usage(message, "give another name"));
        }
        Ok(())
    }
}
