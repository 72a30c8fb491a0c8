//! What a LoRA or one of its kin says about itself and what its tensors tell: for which family, of which kind, how large.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::DType;
use serde::Serialize;

use crate::nn::ParamSource;
use crate::weights::lora::roles::{self, Role};
use crate::weights::lora::takes_map;
use crate::weights::WeightFile;

/// Parts of names that only adapters have.
const MARKS: [&str; 11] = [
    "lora_down.",
    "lora_up.",
    ".lora_A",
    ".lora_B",
    "lora.down.",
    "lora.up.",
    "_lora1.",
    "_lora2.",
    ".hada_w",
    ".lokr_w",
    ".oft_",
];
/// What the names of adapters begin with whose tensors are named like any other.
const STARTS: [&str; 4] = ["lora_unet_", "lora_te", "lora_transformer_", "lycoris_"];

/// Tags that are listed, at most.
const MOST_TAGS: usize = 10;

/// Whether these are the names of an adapter.
#[must_use]
pub fn is_lora(names: &[&str]) -> bool {
    let marked = |name: &&str| MARKS.iter().any(|mark| name.contains(mark));
    names.iter().any(|name| marked(name) || STARTS.iter().any(|start| name.starts_with(start)))
}

/// A file of an adapter, as far as it is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lora {
    /// "LoRA", "LoHa", "LoKr", ...
    pub algorithm: &'static str,
    /// Modules of the model that it changes.
    pub modules: usize,
    /// Ranks and how many modules have each, largest number first; of matrices that have one.
    pub ranks: Vec<(usize, usize)>,
    /// The least and the largest alpha, of those that have one.
    pub alphas: Option<(f32, f32)>,
    /// Whose names it has: "kohya", "PEFT", ...
    pub dialect: Option<&'static str>,
    /// Whether it changes text encoders too.
    pub text_encoders: bool,
    /// Whether it makes FLUX.1 dev take a control map, as FLUX.1 Canny and Depth do.
    pub control_map: bool,
    /// What its file tells.
    #[serde(flatten)]
    pub facts: LoraFacts,
}

/// What the metadata of an adapter tells about its use.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LoraFacts {
    /// The words that call for what it was trained on, where the file names them.
    pub trigger: Option<String>,
    /// The most frequent tags of the pictures that it was trained on, with their numbers.
    pub tags: Vec<(String, u64)>,
    /// The model that it was trained on.
    pub base_model: Option<String>,
    /// What it was merged from, as its file tells.
    pub merged_from: Option<String>,
}

impl Lora {
    /// What a file, an adapter, tells.
    #[must_use]
    pub fn of(file: &WeightFile) -> Self {
        let source = file.source.as_ref();
        let names = source.names();
        let mut ranks = BTreeMap::new();
        for name in names.iter().filter(|name| roles::is_down(name)) {
            if let Some(rank) = source.info(name).and_then(|(shape, _)| shape.dims().first().copied()) {
                *ranks.entry(rank).or_insert(0) += 1;
            }
        }
        let mut ranks: Vec<(usize, usize)> = ranks.into_iter().collect();
        ranks.sort_by_key(|(rank, count)| (std::cmp::Reverse(*count), *rank));
        let modules: BTreeSet<&str> =
            names.iter().map(|name| roles::split(name).map_or(name.as_str(), |(module, _)| module)).collect();
        let of_text = |module: &&str| {
            ["lora_te", "text_encoder", "clip_l", "clip_g", "t5"].iter().any(|start| module.starts_with(start))
        };
        Lora {
            algorithm: algorithm(&names),
            text_encoders: modules.iter().any(of_text),
            modules: modules.len(),
            ranks,
            alphas: alphas(source, &names),
            dialect: dialect(&names),
            control_map: takes_map(source),
            facts: LoraFacts::of(&file.metadata),
        }
    }
}

/// The least and the largest number that is stored as an alpha.
fn alphas(source: &dyn ParamSource, names: &[String]) -> Option<(f32, f32)> {
    let alphas = names.iter().filter(|name| matches!(roles::split(name), Some((_, Role::Alpha))));
    let number = |name: &String| {
        source.info(name).filter(|(shape, _)| shape.elem_count() == 1)?;
        source.read(name).ok()?.to_dtype(DType::F32).ok()?.reshape(()).ok()?.to_scalar::<f32>().ok()
    };
    alphas
        .filter_map(number)
        .map(|alpha| (alpha, alpha))
        .reduce(|(low, high), (alpha, _)| (low.min(alpha), high.max(alpha)))
}

/// Parts of names that only one program writes, the surest first.
const DIALECTS: [(&str, &str); 12] = [
    ("_lora1.", "XLabs"),
    (".processor.", "diffusers, attention processors"),
    ("base_model.model.", "PEFT"),
    ("query_norm.scale", "Black Forest Labs"),
    ("diffusion_model.", "ComfyUI"),
    ("lycoris_", "LyCORIS"),
    ("lora_unet_", "kohya"),
    ("lora_te", "kohya"),
    (".lora_A", "PEFT in diffusers"),
    ("lora_transformer_", "OneTrainer"),
    (".lora.down", "diffusers"),
    (".lora_linear_layer.", "diffusers"),
];

/// Whose names these are.
fn dialect(names: &[String]) -> Option<&'static str> {
    let is_in = |part: &str| names.iter().any(|name| name.contains(part));
    DIALECTS.iter().find(|(part, _)| is_in(part)).map(|(_, dialect)| *dialect)
}

fn algorithm(names: &[String]) -> &'static str {
    let any = |part: &str| names.iter().any(|name| name.contains(part));
    match () {
        () if any("dora_scale") || any("lora_magnitude_vector") => "DoRA",
        () if any(".hada_w") => "LoHa",
        () if any(".lokr_w") => "LoKr",
        () if any(".oft_") => "OFT",
        () if names.iter().any(|name| roles::is_down(name)) => "LoRA",
        () if any(".on_input") => "IA3",
        () if any(".a1.weight") => "GLoRA",
        () if any(".diff") => "full difference",
        () => "adapter",
    }
}

impl LoraFacts {
    fn of(metadata: &BTreeMap<String, String>) -> Self {
        let get = |names: &[&str]| {
            let value = |name: &&str| metadata.get(*name).map(|value| value.trim());
            names.iter().find_map(value).filter(|value| !value.is_empty() && *value != "None").map(str::to_string)
        };
        LoraFacts {
            trigger: get(&["modelspec.trigger_phrase", "trigger_words", "trigger_phrase"]),
            tags: get(&["ss_tag_frequency"]).map(|json| tags(&json)).unwrap_or_default(),
            merged_from: get(&["modelspec.merged_from"]),
            base_model: get(&["ss_sd_model_name", "ss_base_model_version", "modelspec.architecture"]),
        }
    }
}

/// The most frequent tags of kohya's `ss_tag_frequency`: numbers of tags for each folder of pictures.
fn tags(json: &str) -> Vec<(String, u64)> {
    let Ok(folders) = serde_json::from_str::<BTreeMap<String, BTreeMap<String, u64>>>(json) else { return Vec::new() };
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for (tag, count) in folders.into_values().flatten() {
        let sum = all.entry(tag.trim().to_string()).or_default();
        *sum = sum.saturating_add(count);
    }
    let mut all: Vec<(String, u64)> = all.into_iter().collect();
    all.sort_by_key(|(tag, count)| (std::cmp::Reverse(*count), tag.clone()));
    all.truncate(MOST_TAGS);
    all
}
