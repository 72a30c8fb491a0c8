//! A model as a folder in diffusers' layout.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use serde_json::{json, Map, Value};

use super::file::{self, Numbers, Report};
use super::{scheduler, Model};
use crate::commands::inspect::components;
use crate::hub::ModelFiles;
use crate::image::write_guard;
use crate::text::clip_files;
use crate::ui::Ui;
use crate::weights::write::Format;
use crate::{Error, Result};

const INDEX: &str = "model_index.json";

/// Small files of parts, which are copied as they are.
const SMALL: [&str; 8] = [
    "config.json",
    "scheduler_config.json",
    "preprocessor_config.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
];

/// Parts whose weights are written; others (a safety checker) paint nothing.
const NETWORKS: [&str; 6] = ["unet", "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3"];

/// Writes a model as a folder.
///
/// # Errors
/// [`Error::Model`] when a part is missing or a config is no JSON; otherwise as [`file::write`].
pub fn write(path: &Path, model: &Model<'_>, numbers: Numbers, ui: &mut Ui) -> Result<Report> {
    let files = model.files;
    let index = index(files)?;
    make(path)?;
    let mut report = Report::default();
    let mut left_out = Vec::new();
    // Other entries are settings, and parts whose class is null are not there.
    for (part, class) in index.iter().filter(|(_, class)| class.get(1).is_some_and(Value::is_string)) {
        let is_network = NETWORKS.contains(&part.as_str());
        if !is_network && !is_small(part) {
            left_out.push(part.clone());
            continue;
        }
        let folder = path.join(part);
        make(&folder)?;
        for (name, bytes) in small_files(files, part, class)? {
            save(&folder.join(name), &bytes)?;
        }
        if is_network {
            check_projection(files, part, class)?;
            report.add(write_part(&folder, model, part, numbers, ui)?);
        }
    }
    let index: Map<String, Value> = index
        .into_iter()
        .map(|(name, class)| if left_out.contains(&name) { (name, json!([null, null])) } else { (name, class) })
        .collect();
    if !left_out.is_empty() {
        ui.note(&format!("left out, as it takes no part in painting: {}", left_out.join(", ")));
    }
    save(&path.join(INDEX), pretty(&Value::Object(index)).as_bytes())?;
    Ok(report)
}

/// Files of Stable Diffusion 3 lack the projection of their first text encoder: diffusers would draw one at random.
fn check_projection(files: &ModelFiles, part: &str, class: &Value) -> Result<()> {
    let wants = class.get(1).and_then(Value::as_str) == Some("CLIPTextModelWithProjection");
    if !wants || files.weights(part)?.info("text_projection.weight").is_some() {
        return Ok(());
    }
    Err(Error::model(
        format!("the {part} of `{}` has no projection, which diffusers wants in a folder", files.name()),
        "keep the file: `--layout single`",
    ))
}

/// Parts without weights.
fn is_small(part: &str) -> bool {
    part.starts_with("tokenizer") || part == "scheduler" || part == "feature_extractor"
}

fn write_part(folder: &Path, model: &Model<'_>, part: &str, numbers: Numbers, ui: &mut Ui) -> Result<Report> {
    let is_encoder = part.starts_with("text_encoder");
    let name = if is_encoder { "model.safetensors" } else { "diffusion_pytorch_model.safetensors" };
    let (files, source) = (model.files, model.weights(part)?);
    let layout = if files.folder().is_none() && !files.is_built_in() { "single" } else { "diffusers" };
    let history = file::history(&source, numbers, Some([layout, "diffusers"]));
    file::write(&folder.join(name), Format::Safetensors, &source, model.words(part)?, &history, numbers, ui)
}

/// The small files of a part: those of the model, and where a bare file brings none, those of its family.
fn small_files(files: &ModelFiles, part: &str, class: &Value) -> Result<Vec<(String, Cow<'static, [u8]>)>> {
    let mut found = Vec::new();
    for name in SMALL {
        let Some(bytes) = files.read(&format!("{part}/{name}"))? else { continue };
        found.push((name.to_string(), with_class(name, bytes, class)));
    }
    if found.is_empty() && class.get(1).and_then(Value::as_str) == Some(T5_TOKENIZER) {
        return Err(Error::model(
            format!("`{}` brings no {part}, which a folder in diffusers' layout has for T5", files.name()),
            "give a folder of its family with `--config`, or keep the file: `--layout single`",
        ));
    }
    if found.is_empty() && part.starts_with("tokenizer") {
        // OpenAI's encoder, with its quick activation, is padded with the end token, OpenCLIP's with zeros.
        let encoder = part.replace("tokenizer", "text_encoder");
        let config: Value = serde_json::from_str(&files.text(&format!("{encoder}/config.json"))?).unwrap_or_default();
        let pads_with_end = config.get("hidden_act").and_then(Value::as_str).is_none_or(|act| act == "quick_gelu");
        let whole = clip_files(pads_with_end)?.into_iter();
        found.extend(whole.map(|(name, text)| (name.to_string(), Cow::Owned(text.into_bytes()))));
    }
    Ok(found)
}

/// A config with the class that it is of, which diffusers wants in it.
fn with_class(name: &str, bytes: Cow<'static, [u8]>, class: &Value) -> Cow<'static, [u8]> {
    let class = class.get(1).and_then(Value::as_str).unwrap_or_default();
    let field = match name {
        "config.json" if class.starts_with("CLIP") || class.starts_with("T5") => "architectures",
        "config.json" | "scheduler_config.json" => "_class_name",
        _ => return bytes,
    };
    let Ok(mut config) = serde_json::from_slice::<Map<String, Value>>(&bytes) else { return bytes };
    if config.contains_key(field) {
        return bytes;
    }
    let value = if field == "architectures" { json!([class]) } else { class.into() };
    config.insert(field.into(), value);
    Cow::Owned(pretty(&Value::Object(config)).into_bytes())
}

/// The model's index; of a bare file, one that names its parts.
fn index(files: &ModelFiles) -> Result<Map<String, Value>> {
    let index: Map<String, Value> = serde_json::from_str(&files.text(INDEX)?).map_err(|e| {
        Error::model(format!("`{}` is not understood: {e}", files.label(INDEX)), "fetch the folder again")
    })?;
    if !components(files)?.is_empty() {
        return Ok(index);
    }
    if let Some(whole) = transformer_index(files)? {
        return Ok(whole);
    }
    let unet = files.weights("unet")?;
    let channels = unet.info("conv_in.weight").and_then(|(shape, _)| shape.dims().get(1).copied());
    let has_two = files.read("text_encoder_2/config.json")?.is_some();
    let scheduler = scheduler(files)?;
    let scheduler = scheduler.get("_class_name").and_then(Value::as_str).unwrap_or("DDIMScheduler").to_string();
    let pipeline = match (has_two, channels) {
        (false, Some(9)) => "StableDiffusionInpaintPipeline",
        (false, Some(8)) => "StableDiffusionInstructPix2PixPipeline",
        (false, _) => "StableDiffusionPipeline",
        (true, Some(9)) => "StableDiffusionXLInpaintPipeline",
        (true, Some(8)) => "StableDiffusionXLInstructPix2PixPipeline",
        (true, _) => "StableDiffusionXLPipeline",
    };
    let mut whole = Map::new();
    whole.insert("_class_name".into(), pipeline.into());
    if let Some(zeros) = index.get("force_zeros_for_empty_prompt") {
        whole.insert("force_zeros_for_empty_prompt".into(), zeros.clone());
    }
    if !has_two {
        whole.insert("requires_safety_checker".into(), false.into());
        whole.insert("safety_checker".into(), json!([null, null]));
        whole.insert("feature_extractor".into(), json!([null, null]));
    }
    let mut part = |name: &str, library: &str, class: &str| whole.insert(name.into(), json!([library, class]));
    part("scheduler", "diffusers", &scheduler);
    part("text_encoder", "transformers", "CLIPTextModel");
    part("tokenizer", "transformers", "CLIPTokenizer");
    if has_two {
        part("text_encoder_2", "transformers", "CLIPTextModelWithProjection");
        part("tokenizer_2", "transformers", "CLIPTokenizer");
    }
    part("unet", "diffusers", "UNet2DConditionModel");
    part("vae", "diffusers", "AutoencoderKL");
    Ok(whole)
}

/// The class of T5's tokenizer.
const T5_TOKENIZER: &str = "T5TokenizerFast";

/// As [`index`], of a bare file of FLUX.1 or Stable Diffusion 3; `None` for others.
fn transformer_index(files: &ModelFiles) -> Result<Option<Map<String, Value>>> {
    const CLIP: (&str, &str) = ("transformers", "CLIPTextModelWithProjection");
    const T5: (&str, &str) = ("transformers", "T5EncoderModel");
    let pipeline = files.pipeline()?;
    let (encoders, transformer) = match pipeline.as_str() {
        flux if flux.starts_with("Flux") => (vec![("transformers", "CLIPTextModel"), T5], "FluxTransformer2DModel"),
        "StableDiffusion3Pipeline" => (vec![CLIP, CLIP, T5], "SD3Transformer2DModel"),
        _ => return Ok(None),
    };
    let mut whole = Map::from_iter([("_class_name".to_string(), pipeline.into())]);
    let mut part = |name: String, (library, class): (&str, &str)| whole.insert(name, json!([library, class]));
    part("scheduler".into(), ("diffusers", "FlowMatchEulerDiscreteScheduler"));
    for (encoder, suffix) in encoders.into_iter().zip(["", "_2", "_3"]) {
        let tokenizer = if encoder == T5 { T5_TOKENIZER } else { "CLIPTokenizer" };
        part(format!("text_encoder{suffix}"), encoder);
        part(format!("tokenizer{suffix}"), ("transformers", tokenizer));
    }
    part("transformer".into(), ("diffusers", transformer));
    part("vae".into(), ("diffusers", "AutoencoderKL"));
    Ok(Some(whole))
}

fn make(folder: &Path) -> Result<()> {
    let _guard = write_guard();
    fs::create_dir(folder).map_err(Error::io("create", folder))
}

fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    let _guard = write_guard();
    fs::write(path, bytes).map_err(Error::io("write", path))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
