//! Files of tensors: models, parts of models, LoRAs, textual inversions.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use super::line;
use crate::commands::inspect::{container, identify, text, types, Kind, Lora, Part};
use crate::nn::ParamSource;
use crate::text::inversion::Inversion;
use crate::weights::{self, WeightFile};
use crate::Result;

/// Characters of a text that are shown of each, but with `--verbose`.
const SHOWN: usize = 300;

/// A file of tensors.
#[derive(Serialize)]
pub struct TensorsInfo {
    /// As it was named.
    pub file: String,
    container: Option<&'static str>,
    /// Bytes of the file.
    pub bytes: u64,
    #[serde(flatten)]
    kind: Option<Kind>,
    tensors: usize,
    /// Tensors of each type of number.
    types: BTreeMap<String, usize>,
    lora: Option<Lora>,
    embedding: Option<EmbeddingInfo>,
    metadata: Map<String, Value>,
}

/// A textual inversion.
#[derive(Serialize)]
struct EmbeddingInfo {
    /// What calls for it in a prompt.
    words: Vec<String>,
    /// Vectors, which take as many tokens of a prompt.
    vectors: Vec<usize>,
    /// Widths of the vectors for each text encoder: which models it fits.
    widths: Vec<usize>,
}

impl TensorsInfo {
    /// Of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(name: &str, path: &Path) -> Result<Self> {
        let mut info = Self::of_weights(name, container(path), &weights::open_file(path)?);
        info.bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        Ok(info)
    }

    /// Of tensors that are open.
    pub fn of_weights(name: &str, container: Option<&'static str>, weights: &WeightFile) -> Self {
        let source = weights.source.as_ref();
        let stem = Path::new(name).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let kind = identify(weights, &stem);
        let is = |part| kind.is_some_and(|kind| kind.part == part);
        let types = types(source);
        TensorsInfo {
            file: name.into(),
            container,
            bytes: 0,
            tensors: types.values().sum(),
            types,
            lora: is(Part::Lora).then(|| Lora::of(weights)),
            embedding: if is(Part::Embedding) { embedding(source, &stem) } else { None },
            metadata: weights
                .metadata
                .iter()
                .map(|(name, value)| (name.clone(), Value::String(value.clone())))
                .collect(),
            kind,
        }
    }

    /// The file's own name.
    pub fn short_name(&self) -> &str {
        self.file.rsplit(['/', '\\']).next().unwrap_or(&self.file)
    }

    /// What it is, in one line.
    pub fn facts(&self) -> String {
        let kind = self.kind.map_or_else(|| "unknown tensors".into(), |kind| kind.label());
        let container = self.container.unwrap_or_default();
        let size = if self.bytes > 0 { format!(", {}", text::size(self.bytes)) } else { String::new() };
        format!("{kind}, {container}, {} ({}){size}", text::count(self.tensors, "tensor"), self.types())
    }

    fn types(&self) -> String {
        self.types.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    }

    /// For people; `all` of each text, however long.
    pub fn lines(&self, all: bool) -> Vec<String> {
        let kind = self.kind.map_or_else(|| "unknown tensors".into(), |kind| kind.label());
        let mut lines = vec![self.file.clone()];
        let mut add = |name: &str, value: &str| lines.extend(line(name, value));
        add("kind", &kind);
        add("container", self.container.unwrap_or("unknown"));
        add("size", &text::size(self.bytes));
        add("tensors", &format!("{} ({})", self.tensors, self.types()));
        if let Some(lora) = &self.lora {
            add_lora(&mut add, lora);
        }
        if let Some(embedding) = &self.embedding {
            add("words", &embedding.words.join(", "));
            let list = |numbers: &[usize]| numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(" and ");
            add("vectors", &format!("{} of width {}", list(&embedding.vectors), list(&embedding.widths)));
        }
        if self.metadata.is_empty() {
            add("metadata", "none");
            return lines;
        }
        add("metadata", &text::count(self.metadata.len(), "text"));
        for (name, value) in &self.metadata {
            let value = value.as_str().unwrap_or_default();
            lines.extend(
                line(name, &if all { value.to_string() } else { cut(value) }).into_iter().map(|l| format!("  {l}")),
            );
        }
        lines
    }
}

fn add_lora(add: &mut impl FnMut(&str, &str), lora: &Lora) {
    let ranks = lora.ranks.iter().map(|(rank, count)| format!("{rank} ({})", text::count(*count, "module")));
    let parts = if lora.text_encoders { ", of text encoders too" } else { "" };
    add("adapter", &format!("{}, {}{parts}", lora.algorithm, text::count(lora.modules, "module")));
    if !lora.ranks.is_empty() {
        add("rank", &ranks.collect::<Vec<_>>().join(", "));
    }
    match lora.alphas {
        Some((low, high)) if low == high => add("alpha", &low.to_string()),
        Some((low, high)) => add("alpha", &format!("{low} to {high}")),
        None => {}
    }
    if lora.control_map {
        add("control map", "it makes FLUX.1 dev take one, as FLUX.1 Canny and Depth do");
    }
    if let Some(dialect) = lora.dialect {
        add("names of", dialect);
    }
    if let Some(merged) = &lora.facts.merged_from {
        add("merged from", merged);
    }
    if let Some(base) = &lora.facts.base_model {
        add("trained on", base);
    }
    if let Some(trigger) = &lora.facts.trigger {
        add("trigger words", trigger);
    }
    if !lora.facts.tags.is_empty() {
        let tags = lora.facts.tags.iter().map(|(tag, count)| format!("{tag} ({count})")).collect::<Vec<_>>();
        add("frequent tags of its pictures", &tags.join(", "));
    }
}

fn embedding(source: &dyn ParamSource, stem: &str) -> Option<EmbeddingInfo> {
    let inversion = Inversion::from_source(source, stem).ok()?;
    let (vectors, widths) = inversion.sizes().into_iter().unzip();
    Some(EmbeddingInfo { words: inversion.words().to_vec(), vectors, widths })
}

/// The start of a long text, and how much more there is.
fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => text.into(),
        Some((at, _)) => format!("{} ... ({} characters; `-v` shows all)", &text[..at], text.chars().count()),
    }
}
