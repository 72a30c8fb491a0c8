//! Where the files of pictures lay: pictures name their files without folders, and on the machine that made one they are found again.
//! Kept in the user's cache, a small file for each name and content.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::hub::settings::Settings;
use crate::image::{model_label, sha256, Provenance};
use crate::pipeline::Plan;
use crate::request::PictureFile;

/// What is known of where files lay.
#[derive(Debug, Clone)]
pub struct Places {
    folder: PathBuf,
}

impl Places {
    /// Those of this user.
    #[must_use]
    pub fn of_process() -> Self {
        Places { folder: Settings::from_env().places }
    }

    /// Keeps where a file is: for its option and its content, or, where that is not known, its name. A help alone: where it cannot be
    /// written, the user is asked another time.
    fn remember(&self, option: &str, name: &str, sha256: Option<&str>, path: &str) {
        let Some(path) = std::path::absolute(path).ok().filter(|path| path.exists()) else { return };
        let (Some(place), Some(path)) = (self.place(option, name, sha256), path.to_str()) else { return };
        if fs::read_to_string(&place).is_ok_and(|known| known == path) {
            return;
        }
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&self.folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(path.as_bytes())?;
            file.persist(&place).map(drop).map_err(|e| e.error)
        };
        let _ = write();
    }

    /// Where a file was the last time, if there still is one.
    #[must_use]
    pub fn recall(&self, option: &str, name: &str, sha256: Option<&str>) -> Option<PathBuf> {
        let path = fs::read_to_string(self.place(option, name, sha256)?).ok()?;
        Some(PathBuf::from(path)).filter(|path| path.exists())
    }

    fn place(&self, option: &str, name: &str, content: Option<&str>) -> Option<PathBuf> {
        let key = match content {
            // Models of one denoiser may differ elsewhere.
            Some(content) if option == "model" => format!("{option}\0{name}\0{content}"),
            Some(content) => format!("{option}\0{content}"),
            None => format!("{option}\0{name}"),
        };
        Some(self.folder.join(sha256(key.as_bytes()).ok()?))
    }

    /// Keeps where all files of a plan's pictures are.
    pub fn remember_all(&self, plan: &Plan, provenance: &Provenance) {
        if let Some(path) = plan.files.path().and_then(Path::to_str) {
            let main = provenance.model_files.first().map(|file| file.sha256.as_str());
            self.remember("model", &provenance.model_name, main, path);
        }
        let request = &plan.request;
        for (_, option, path) in request.parts.components() {
            self.remember(option.trim_start_matches('-'), &model_label(path), None, path);
        }
        if let Some(path) = &request.parts.config {
            self.remember("config", &model_label(path), None, path);
        }
        for path in &request.prompt.embeddings {
            self.remember("embedding", &model_label(path), None, path);
        }
        for (planned, facts) in plan.loras.iter().zip(&provenance.loras) {
            self.remember("lora", &facts.file, facts.sha256.as_deref(), &planned.lora.file);
        }
        for control in &request.controls {
            self.remember("controlnet", &model_label(&control.model), None, &control.model);
        }
        if let Some(redux) = &request.redux {
            self.remember("redux-model", &model_label(&redux.model), None, &redux.model);
        }
        let words = request.redux.iter().flat_map(|redux| &redux.pictures).map(|shown| &shown.picture);
        let mask = request.inpaint.iter().filter_map(|inpaint| inpaint.mask.as_ref());
        let pictures = request.input.iter().map(|input| &input.picture).chain(mask).chain(words);
        for PictureFile { file, sha256 } in pictures.chain(request.controls.iter().map(|control| &control.picture)) {
            self.remember("picture", &model_label(file), sha256.as_deref(), file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_again_while_they_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places { folder: folder.path().join("places") };
        let file = folder.path().join("a.png");
        fs::write(&file, "x").unwrap();
        let path = file.to_str().unwrap();
        places.remember("picture", "a.png", Some("ab"), path);
        assert_eq!(places.recall("picture", "other.png", Some("ab")), Some(file.clone()));
        assert_eq!(places.recall("picture", "a.png", Some("cd")), None);
        assert_eq!(places.recall("lora", "a.png", Some("ab")), None);
        places.remember("vae", "v", None, path);
        assert_eq!(places.recall("vae", "v", None), Some(file.clone()));
        places.remember("model", "m", Some("ab"), path);
        assert_eq!(places.recall("model", "n", Some("ab")), None);
        fs::remove_file(&file).unwrap();
        assert_eq!(places.recall("vae", "v", None), None);
        places.remember("vae", "gone", None, path);
        assert_eq!(fs::read_dir(folder.path().join("places")).unwrap().count(), 3);
    }
}
