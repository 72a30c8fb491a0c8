//! The LoRAs of a request: those that it lists and those that its prompts name, each with its file.

use std::path::{Path, PathBuf};

use crate::hub::settings::Settings;
use crate::hub::{ModelFiles, Shelves};
use crate::image::model_label;
use crate::pipeline::MapLora;
use crate::request::{Lora, Weighting};
use crate::text::prompt::tags::{read_tags, without_tags, LoraTag};
use crate::{Request, Result};

/// Names of files that say nothing about what is in them: the folder says it.
const NAMELESS: [&str; 3] = ["pytorch_lora_weights", "adapter_model", "diffusion_pytorch_model"];

/// A LoRA that will be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedLora {
    /// As it was asked for, by the path of its file.
    pub lora: Lora,
    /// What tags call it: never a path.
    pub name: String,
    /// What the settings in a picture call its file, so that it is found again: never a path.
    pub label: String,
    /// Whether the prompt names it.
    pub in_prompt: bool,
}

/// The LoRAs of a request.
#[derive(Debug, Default)]
pub struct Loras {
    /// All of them, those of the list first.
    pub all: Vec<PlannedLora>,
    /// What of the prompts is text though it looks like more.
    pub notes: Vec<String>,
    /// What of the prompts is ignored.
    pub warnings: Vec<String>,
}

impl Loras {
    /// Finds the LoRAs of a request for a model.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] for a tag that is not understood, [`crate::Error::Model`] for a LoRA that is not found.
    pub fn find(request: &Request, files: &ModelFiles) -> Result<Self> {
        let mut loras = Loras::default();
        let tags = loras.tags(request)?;
        if request.loras.is_empty() && tags.is_empty() {
            return Ok(loras);
        }
        let shelves = Shelves::new(&request.lora_dirs, files.path(), Settings::from_env())?;
        for lora in &request.loras {
            loras.all.push(PlannedLora::given(lora, &shelves)?);
        }
        for tag in &tags {
            loras.all.push(PlannedLora::tagged(tag, &shelves)?);
        }
        Ok(loras)
    }

    /// Those that do nothing or not what they are for, as warnings.
    #[must_use]
    pub fn without_effect(&self, map_lora: Option<&MapLora>) -> Vec<String> {
        let is_idle = |planned: &&PlannedLora| {
            let lora = &planned.lora;
            let for_map = map_lora.is_some_and(|map_lora| map_lora.is_file(&lora.file));
            !planned.in_prompt && !for_map && lora.scale == 0.0 && lora.text_scale() == 0.0
        };
        let idle = self.all.iter().filter(is_idle);
        idle.map(|planned| format!("the LoRA `{}` has no effect: its scale is 0", planned.label))
            .chain(map_lora.and_then(MapLora::warning))
            .collect()
    }

    /// The tags of the prompts. As in A1111, those of negative prompts are text.
    fn tags(&mut self, request: &Request) -> Result<Vec<LoraTag>> {
        let prompt = &request.prompt;
        let positive = || std::iter::once(&prompt.text).chain(&prompt.text_2);
        let negative = || prompt.negative.iter().chain(&prompt.negative_2);
        if prompt.weighting == Weighting::None {
            if positive().any(|text| without_tags(text) != *text) {
                self.notes.push("`<...>` in the prompt stays text: `--weighting none`".into());
            }
            return Ok(Vec::new());
        }
        if negative().any(|text| without_tags(text) != *text) {
            let warning = "`<...>` in the negative prompt is taken as text, as in A1111: name LoRAs in the prompt";
            self.warnings.push(warning.into());
        }
        let mut tags: Vec<LoraTag> = Vec::new();
        for text in positive() {
            let tagged = read_tags(text)?;
            let first = tags.len();
            // A second prompt that repeats the first one's tags asks for nothing new.
            let new = tagged.loras.into_iter().filter(|tag| !tags[..first].contains(tag)).collect::<Vec<_>>();
            tags.extend(new);
            for other in tagged.others {
                let what = if other.starts_with("<hypernet:") { "hypernetworks are" } else { "such tags are" };
                self.warnings.push(format!("`{other}` is left out of the prompt: {what} not supported"));
            }
        }
        Ok(tags)
    }
}

impl PlannedLora {
    /// One of the list: a file, a folder that holds one, or a name.
    ///
    /// # Errors
    /// As [`Shelves::find_given`].
    pub fn given(lora: &Lora, shelves: &Shelves) -> Result<Self> {
        let (path, is_path) = shelves.find_given(&lora.file)?;
        let name = if is_path { name_of(&path) } else { model_label(&lora.file) };
        let label = if is_path { model_label(&lora.file) } else { lora.file.clone() };
        Ok(PlannedLora { lora: of_file(lora, &path), name: as_tagged(&name), label, in_prompt: false })
    }

    fn tagged(tag: &LoraTag, shelves: &Shelves) -> Result<Self> {
        let path = shelves.find(&tag.name)?;
        let lora = Lora {
            scale: tag.scale,
            text_scale: (tag.text_scale != tag.scale).then_some(tag.text_scale),
            ..Lora::new(path.to_string_lossy())
        };
        lora.validate()?;
        Ok(PlannedLora { lora, name: as_tagged(&tag.name), label: tag.name.clone(), in_prompt: true })
    }

    /// The tag that asks A1111 for it.
    #[must_use]
    pub fn tag(&self) -> String {
        let (name, scale) = (&self.name, self.lora.scale);
        match self.lora.text_scale.filter(|text_scale| *text_scale != scale) {
            Some(text_scale) => format!("<lora:{name}:{text_scale}:{scale}>"),
            None => format!("<lora:{name}:{scale}>"),
        }
    }
}

fn of_file(lora: &Lora, path: &Path) -> Lora {
    Lora { file: path.to_string_lossy().into_owned(), ..lora.clone() }
}

/// What a file is called by its name, or by that of its folder.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if !NAMELESS.contains(&stem.as_str()) {
        return stem;
    }
    let folder: PathBuf = path.parent().and_then(|folder| folder.canonicalize().ok()).unwrap_or_default();
    folder.file_name().map_or(stem, |name| name.to_string_lossy().into_owned())
}

/// A name without what would end a tag, or the name in a list of hashes.
fn as_tagged(name: &str) -> String {
    name.replace([':', ',', '<', '>'], "")
}
