//! The parts of a model as one source with the names of the original code.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Shape, Tensor};
use serde_json::Value;

use super::file::{self, Numbers, Report};
use super::{scheduler, Model};
use crate::hub::ModelFiles;
use crate::nn::ParamSource;
use crate::pipeline::Events;
use crate::weights::names::{clip, t5, Original, Renamed};
use crate::weights::write::Format;
use crate::weights::WeightsError;
use crate::{Error, Result};

/// The prefixes of the parts, as the original code names its objects.
const UNET: &str = "model.diffusion_model.";
const VAE: &str = "first_stage_model.";
const CLIP: &str = "cond_stage_model.transformer.";
const OPEN_CLIP: &str = "cond_stage_model.model.";
const CLIP_L: &str = "conditioner.embedders.0.transformer.";
const CLIP_G: &str = "conditioner.embedders.1.model.";

/// Those of ComfyUI, for models whose original code has its parts in files of their own.
const TEXT_ENCODERS: [&str; 3] =
    ["text_encoders.clip_l.transformer.", "text_encoders.clip_g.transformer.", "text_encoders.t5xxl.transformer."];
const FLUX_VAE: &str = "vae.";

/// Writes a model as one file.
///
/// # Errors
/// [`Error::Model`] when the model's parts have no place in such a file; otherwise as [`file::write`].
pub fn write(
    path: &Path,
    format: Format,
    model: &Model<'_>,
    numbers: Numbers,
    events: &mut dyn Events,
) -> Result<Report> {
    let pipeline = model.files.pipeline()?;
    let is_transformer = pipeline.starts_with("Flux") || pipeline.starts_with("StableDiffusion3");
    let (together, denoiser) =
        if is_transformer { (transformer(model, &pipeline)?, "transformer") } else { (together(model)?, "unet") };
    let source: Arc<dyn ParamSource> = Arc::new(together);
    let mut words = model.words(denoiser)?;
    words.extend(if is_transformer { told_by_pipeline(&pipeline) } else { told(model.files)? });
    let history = file::history(&source, numbers, Some(["diffusers", "single"]));
    file::write(path, format, &source, words, &history, numbers, events)
}

/// All parts, each below its prefix.
fn together(model: &Model<'_>) -> Result<Together> {
    let files = model.files;
    let unet = model.weights("unet")?;
    let has_two = files.read("text_encoder_2/config.json")?.is_some();
    let linear = unet.names().iter().find(|name| name.ends_with(".proj_in.weight")).and_then(|name| unet.info(name));
    let is_second = linear.is_some_and(|(shape, _)| shape.rank() == 2);
    let mut parts: Vec<(&'static str, Arc<dyn ParamSource>)> = vec![
        (UNET, Arc::new(Original::unet(unet).map_err(|names| no_place(files, "unet", &names))?)),
        (VAE, Arc::new(Original::vae(model.weights("vae")?).map_err(|names| no_place(files, "vae", &names))?)),
    ];
    // Files differ in what stands in front of the names.
    let encoder = |part: &str| -> Result<Arc<dyn ParamSource>> {
        Ok(Arc::new(Renamed::new(model.weights(part)?, "", clip::rename)))
    };
    let open_clip = |part: &str| -> Result<Arc<dyn ParamSource>> {
        Ok(Arc::new(
            Original::open_clip(without_positions(encoder(part)?)).map_err(|names| no_place(files, part, &names))?,
        ))
    };
    match (has_two, is_second) {
        (true, _) => {
            parts.push((CLIP_L, encoder("text_encoder")?));
            parts.push((CLIP_G, open_clip("text_encoder_2")?));
        }
        (false, true) => parts.push((OPEN_CLIP, open_clip("text_encoder")?)),
        (false, false) => parts.push((CLIP, encoder("text_encoder")?)),
    }
    Ok(Together { label: files.name(), parts })
}

/// All parts of a model of FLUX.1 or Stable Diffusion 3, each below its prefix.
fn transformer(model: &Model<'_>, pipeline: &str) -> Result<Together> {
    let files = model.files;
    let is_flux = pipeline.starts_with("Flux");
    let denoiser = model.weights("transformer")?;
    let denoiser = if is_flux { Original::flux(denoiser) } else { Original::mmdit(denoiser) };
    let vae = Original::vae(model.weights("vae")?).map_err(|names| no_place(files, "vae", &names))?;
    let mut parts: Vec<(&'static str, Arc<dyn ParamSource>)> = vec![
        (UNET, Arc::new(denoiser.map_err(|names| no_place(files, "transformer", &names))?)),
        (if is_flux { FLUX_VAE } else { VAE }, Arc::new(vae)),
    ];
    let [clip_l, clip_g, t5xxl] = TEXT_ENCODERS;
    let encoders = if is_flux { vec![clip_l, t5xxl] } else { vec![clip_l, clip_g, t5xxl] };
    for (prefix, part) in encoders.into_iter().zip(["text_encoder", "text_encoder_2", "text_encoder_3"]) {
        let rename = if prefix == t5xxl { t5::rename } else { clip::rename };
        parts.push((prefix, Arc::new(Renamed::new(model.weights(part)?, "", rename))));
    }
    Ok(Together { label: files.name(), parts })
}

/// The numbers of the places, which transformers keeps and OpenCLIP does not: they are 0, 1, 2, ...
fn without_positions(source: Arc<dyn ParamSource>) -> Arc<dyn ParamSource> {
    let keep = |name: &str| if name.ends_with("position_ids") { Vec::new() } else { clip::rename(name) };
    Arc::new(Renamed::new(source, "", keep))
}

fn no_place(files: &ModelFiles, part: &str, names: &[String]) -> Error {
    let list = crate::commands::inspect::text::names(names, 5);
    Error::model(
        format!("the {part} of `{}` has tensors that single files have no names for: {list}", files.name()),
        "keep the folder: `--layout diffusers`",
    )
}

/// What the tensors do not show and a single file would lose: what the network predicts.
fn told(files: &ModelFiles) -> Result<BTreeMap<String, String>> {
    let scheduler = scheduler(files)?;
    let prediction = match scheduler.get("prediction_type").and_then(Value::as_str) {
        Some("v_prediction") => "v",
        _ => "epsilon",
    };
    Ok(BTreeMap::from([("modelspec.prediction_type".to_string(), prediction.to_string())]))
}

/// The same of a transformer: which of the models with its tensors it is.
fn told_by_pipeline(pipeline: &str) -> BTreeMap<String, String> {
    let kontext = ("modelspec.architecture".to_string(), "Flux.1-dev/kontext".to_string());
    BTreeMap::from_iter((pipeline == "FluxKontextPipeline").then_some(kontext))
}

/// Several sources, each below a prefix.
struct Together {
    label: String,
    parts: Vec<(&'static str, Arc<dyn ParamSource>)>,
}

impl Together {
    fn part<'a>(&self, name: &'a str) -> Option<(&Arc<dyn ParamSource>, &'a str)> {
        self.parts.iter().find_map(|(prefix, source)| Some((source, name.strip_prefix(prefix)?)))
    }
}

impl ParamSource for Together {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn names(&self) -> Vec<String> {
        let below = |(prefix, source): &(&'static str, Arc<dyn ParamSource>)| {
            source.names().into_iter().map(|name| format!("{prefix}{name}")).collect::<Vec<_>>()
        };
        self.parts.iter().flat_map(below).collect()
    }

    fn info(&self, name: &str) -> Option<(Shape, DType)> {
        let (source, name) = self.part(name)?;
        source.info(name)
    }

    fn stored_type(&self, name: &str) -> Option<String> {
        let (source, name) = self.part(name)?;
        source.stored_type(name)
    }

    fn read(&self, name: &str) -> std::result::Result<Tensor, WeightsError> {
        match self.part(name) {
            Some((source, name)) => source.read(name),
            None => Err(WeightsError::BadTensor {
                file: self.label.clone(),
                tensor: name.into(),
                reason: "it is not there".into(),
            }),
        }
    }
}
