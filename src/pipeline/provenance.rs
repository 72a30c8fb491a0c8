//! What made a picture beyond its request, for the picture's metadata.

use std::thread::JoinHandle;

use crate::hub::ModelFiles;
use crate::image::{sha256, short_hash, FileHash, Provenance};
use crate::pipeline::{Machine, Plan};

/// The component whose file stands for the model, as A1111 takes the checkpoint.
const MAIN_COMPONENT: &str = "unet";

/// The SHA-256 of a model's main weights, computed beside the work that makes the picture.
pub enum HashTask {
    /// Still at it.
    Running(JoinHandle<Option<FileHash>>),
    /// Known, or known not to be had.
    Done(Option<FileHash>),
}

impl HashTask {
    /// Starts hashing.
    #[must_use]
    pub fn start(files: &ModelFiles) -> Self {
        let Some((name, bytes)) = files.open_weights(MAIN_COMPONENT) else { return HashTask::Done(None) };
        HashTask::Running(std::thread::spawn(move || Some(FileHash { name, sha256: sha256(bytes).ok()? })))
    }

    /// The hash; waits for it the first time. `None` when the file could not be read: no picture fails for that.
    fn wait(&mut self) -> Option<FileHash> {
        let hash = match std::mem::replace(self, HashTask::Done(None)) {
            HashTask::Running(thread) => thread.join().ok().flatten(),
            HashTask::Done(hash) => hash,
        };
        *self = HashTask::Done(hash.clone());
        hash
    }
}

/// What made the pictures of a plan.
pub fn provenance(plan: &Plan, machine: &Machine, hash: &mut HashTask) -> Provenance {
    let hash = hash.wait();
    Provenance {
        model_name: plan.files.name(),
        model_hash: hash.as_ref().map(|hash| short_hash(&hash.sha256).to_owned()),
        model_files: hash.into_iter().collect(),
        version: env!("CARGO_PKG_VERSION").into(),
        device: machine.device_name.clone(),
        dtype: machine.precision.to_string(),
    }
}
