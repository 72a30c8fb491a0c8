//! What made a picture beyond its request, for the picture's metadata.

use std::path::PathBuf;
use std::thread::JoinHandle;

use crate::hub::settings::Settings;
use crate::hub::{Content, HashStore, ModelFiles};
use crate::image::{lora_hash, short_hash, FileHash, LoraFacts, Provenance};
use crate::pipeline::{Machine, Plan, PlannedLora};

/// Hashes of files. What could not be read has none: no picture fails for that.
#[derive(Debug, Clone, Default)]
pub struct Hashes {
    /// Of the model's main weights.
    model: Option<FileHash>,
    /// Of each LoRA: of its file, and as A1111 has it.
    loras: Vec<(Option<String>, Option<String>)>,
}

impl Hashes {
    fn compute(main: Option<(String, Content)>, loras: &[PathBuf]) -> Self {
        let store = HashStore::new(&Settings::from_env().hashes);
        let of_lora = |path: &PathBuf| (store.of(&Content::File(path.clone())).ok(), lora_hash(path).ok());
        Hashes {
            model: main.and_then(|(name, content)| Some(FileHash { name, sha256: store.of(&content).ok()? })),
            loras: loras.iter().map(of_lora).collect(),
        }
    }
}

/// The hashes of a model's main weights and of LoRAs, computed beside the work that makes the picture where they are not known already.
pub enum HashTask {
    /// To be begun once there is work that takes longer: the main weights with their name, and the LoRAs.
    Waiting(Option<(String, Content)>, Vec<PathBuf>),
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
    /// That of a model with LoRAs, not begun. The file of the denoiser, `component`, stands for the model, as A1111 takes the checkpoint.
    #[must_use]
    pub fn of(files: &ModelFiles, component: &str, loras: &[PlannedLora]) -> Self {
        let loras = loras.iter().map(|planned| PathBuf::from(&planned.lora.file));
        HashTask::Waiting(files.content(component), loras.collect())
    }

    /// Starts hashing, unless that was done.
    pub fn start(&mut self) {
        *self = match std::mem::take(self) {
            HashTask::Waiting(main, loras) => {
                HashTask::Running(std::thread::spawn(move || Hashes::compute(main, &loras)))
            }
            begun => begun,
        };
    }

    /// The hashes; waits for them the first time.
    fn wait(&mut self) -> Hashes {
        self.start();
        let hashes = match std::mem::take(self) {
            HashTask::Running(thread) => thread.join().unwrap_or_default(),
            HashTask::Done(hashes) => hashes,
            HashTask::Waiting(..) => Hashes::default(),
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
