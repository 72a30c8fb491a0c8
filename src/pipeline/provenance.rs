//! What made a picture beyond its request, for the picture's metadata.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crate::hub::ModelFiles;
use crate::image::{lora_hash, sha256, sha256_file, short_hash, FileHash, LoraFacts, Provenance};
use crate::pipeline::{Machine, Plan, PlannedLora};

/// The component whose file stands for the model, as A1111 takes the checkpoint.
const MAIN_COMPONENT: &str = "unet";

/// Hashes of files. What could not be read has none: no picture fails for that.
#[derive(Debug, Clone, Default)]
pub struct Hashes {
    /// Of the model's main weights.
    model: Option<FileHash>,
    /// Of each LoRA: of its file, and as A1111 has it.
    loras: Vec<(Option<String>, Option<String>)>,
}

/// The hashes of a model's main weights and of LoRAs, computed beside the work that makes the picture.
pub enum HashTask {
    /// Still at it.
    Running(JoinHandle<Hashes>),
    /// Known, or known not to be had.
    Done(Hashes),
}

impl Default for HashTask {
    fn default() -> Self {
        HashTask::Done(Hashes::default())
    }
}

impl HashTask {
    /// Starts hashing.
    #[must_use]
    pub fn start(files: &ModelFiles, loras: &[PlannedLora]) -> Self {
        let weights = files.open_weights(MAIN_COMPONENT);
        let loras: Vec<PathBuf> = loras.iter().map(|planned| PathBuf::from(&planned.lora.file)).collect();
        let of_lora = |path: &Path| (sha256_file(path).ok(), lora_hash(path).ok());
        HashTask::Running(std::thread::spawn(move || Hashes {
            model: weights.and_then(|(name, bytes)| Some(FileHash { name, sha256: sha256(bytes).ok()? })),
            loras: loras.iter().map(|path| of_lora(path)).collect(),
        }))
    }

    /// The hashes; waits for them the first time.
    fn wait(&mut self) -> Hashes {
        let hashes = match std::mem::take(self) {
            HashTask::Running(thread) => thread.join().unwrap_or_default(),
            HashTask::Done(hashes) => hashes,
        };
        *self = HashTask::Done(hashes.clone());
        hashes
    }
}

/// What made the pictures of a plan.
pub fn provenance(plan: &Plan, machine: &Machine, hash: &mut HashTask) -> Provenance {
    let Hashes { model, loras } = hash.wait();
    let mut hashes = loras.into_iter();
    let facts = |planned: &PlannedLora| {
        let (sha256, short_hash) = hashes.next().unwrap_or_default();
        LoraFacts {
            name: planned.name.clone(),
            file: planned.label.clone(),
            tag: (!planned.in_prompt).then(|| planned.tag()),
            sha256,
            short_hash,
        }
    };
    Provenance {
        model_name: plan.files.name(),
        model_hash: model.as_ref().map(|hash| short_hash(&hash.sha256).to_owned()),
        model_files: model.into_iter().collect(),
        loras: plan.loras.iter().map(facts).collect(),
        version: env!("CARGO_PKG_VERSION").into(),
        device: machine.device_name.clone(),
        dtype: machine.precision.to_string(),
    }
}
