//! [`Adapter`]: a file of a LoRA or one of its kin, its tensors grouped by the modules that they change.

use std::collections::BTreeMap;
use std::path::Path;

use super::kinds::Changes;
use super::module::{Module, Stored};
use super::peft::PeftConfig;
use super::roles::{self, Role};
use super::{family, Family, LoraError};
use crate::weights::detect::Detected;
use crate::weights::{open_file, WeightFile};

/// A file of a LoRA or one of its kin. Its tensors are read when they are applied.
pub struct Adapter {
    name: String,
    file: WeightFile,
    modules: Vec<Module>,
    /// Tensors that are no part of a change that is known.
    strangers: Vec<String>,
    config: PeftConfig,
}

impl Adapter {
    /// Opens a file: safetensors, or a PyTorch checkpoint.
    ///
    /// # Errors
    /// [`LoraError::Weights`] when the file is not there or damaged, [`LoraError::NotALora`] when it is something else.
    pub fn open(path: &Path) -> Result<Self, LoraError> {
        let file = open_file(path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let config = PeftConfig::find(&file.metadata, Some(path));
        Self::new(&name, file, config)
    }

    pub(super) fn new(name: &str, file: WeightFile, config: PeftConfig) -> Result<Self, LoraError> {
        let (modules, strangers) = group(&file);
        if modules.is_empty() {
            let what = Detected::of(&file).title();
            return Err(LoraError::NotALora { file: file.source.label(), what });
        }
        Ok(Adapter { name: name.into(), file, modules, strangers, config })
    }

    /// The file's name without its ending.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What messages call the file.
    #[must_use]
    pub fn label(&self) -> String {
        self.file.source.label()
    }

    /// How its numbers are stored: "f16", "f32".
    pub fn stored_types(&self) -> impl Iterator<Item = String> + '_ {
        let source = &self.file.source;
        source.names().into_iter().filter_map(|name| source.stored_type(&name))
    }

    /// What the file says about itself.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.file.metadata
    }

    /// The modules that it changes, sorted by their names.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// Tensors that are no part of a change that is known.
    #[must_use]
    pub fn strangers(&self) -> &[String] {
        &self.strangers
    }

    /// The family of models that it was made for, as far as it is told.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        family(&self.file)
    }

    /// Width of the blocks of the transformer that it changes, as far as its matrices show it.
    #[must_use]
    pub fn width_of_blocks(&self) -> Option<usize> {
        let source = self.file.source.as_ref();
        let names = source.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        family::width_of_blocks(&names, source)
    }

    /// Whether it is one of Black Forest Labs' for control maps with the names of the original code: diffusers tells them by the norms.
    #[must_use]
    pub fn is_of_black_forest_labs(&self) -> bool {
        self.modules.iter().any(|module| module.name.ends_with("query_norm") && module.get(Role::Norm).is_some())
    }

    /// What a module changes.
    ///
    /// # Errors
    /// [`LoraError::Module`] when its tensors are incomplete or do not fit each other.
    pub fn changes(&self, module: &Module) -> Result<Changes, LoraError> {
        let rank = module.get(Role::Down).map_or(1, Stored::first);
        Changes::of(module, self.config.alpha(&module.name, rank)).map_err(|fault| LoraError::Module {
            file: self.label(),
            module: module.name.clone(),
            fault,
        })
    }
}

/// The tensors of a file by modules, and those that are no part of a change that is known.
fn group(file: &WeightFile) -> (Vec<Module>, Vec<String>) {
    let mut modules: BTreeMap<&str, Module> = BTreeMap::new();
    let mut strangers = Vec::new();
    let names = file.source.names();
    for name in &names {
        let stored = Stored::of(&file.source, name);
        match (roles::split(name), stored) {
            (Some((module, role)), Some(stored)) if role != Role::Ia3 || is_ia3(file, module) => {
                modules.entry(module).or_insert_with(|| Module::new(module)).insert(role, stored);
            }
            _ => strangers.push(name.clone()),
        }
    }
    strangers.sort_unstable();
    // An alpha alone changes nothing, and whole models have norms too.
    let adds = |module: &Module| module.any(|role| !matches!(role, Role::Alpha | Role::Norm));
    let any_adds = modules.values().any(adds);
    let (modules, lone): (Vec<Module>, Vec<Module>) =
        modules.into_values().partition(|module| any_adds && module.any(|role| role != Role::Alpha));
    strangers.extend(lone.iter().flat_map(Module::tensors).map(String::from));
    (modules, strangers)
}

fn is_ia3(file: &WeightFile, module: &str) -> bool {
    file.source.info(&format!("{module}.on_input")).is_some()
}
