//! The `sdgen` chunk: JSON with the complete request, enough to make the picture again. It names no folder, no user and no
//! host: a model is stored by its name, its files by name and hash.

use serde::{Deserialize, Serialize};

use super::metadata::{model_label, LoraFacts, Provenance};
use super::png::TextChunk;
use crate::request::{Request, SCHEMA};
use crate::{Error, Result};

/// What the `sdgen` chunk of a picture holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SdgenChunk {
    /// The version of this layout: the request's.
    pub schema: u32,
    /// What decides the picture, complete.
    pub request: Request,
    /// Which picture of the request's batch this is, from 0.
    pub batch_index: usize,
    /// Where it was made: for people who look for differences, not needed to make it again.
    pub made_with: MadeWith,
}

/// The program, machine and model files behind a picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeWith {
    /// sdgen's version.
    pub version: String,
    /// "cpu", "cuda:0", "metal".
    pub device: String,
    /// "f32", "bf16", "f16".
    pub dtype: String,
    /// The model's files.
    pub model: ModelFacts,
    /// The files of LoRAs whose hashes are known: those that the request lists, then those that the prompt names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loras: Vec<FileHash>,
}

/// A model without its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// Its alias, or the name of its folder or file.
    pub name: String,
    /// The weight files, where their hashes are known.
    pub files: Vec<FileHash>,
}

impl LoraFacts {
    fn hash(&self) -> Option<FileHash> {
        Some(FileHash { name: self.file.clone(), sha256: self.sha256.clone()? })
    }
}

/// A file by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHash {
    /// The path inside the model: "unet/diffusion_pytorch_model.safetensors".
    pub name: String,
    /// SHA-256, lower-case hex.
    pub sha256: String,
}

impl SdgenChunk {
    /// The keyword in the PNG.
    pub const KEYWORD: &'static str = "sdgen";

    /// The chunk of a picture, with the request [as it is stored](stored).
    #[must_use]
    pub fn new(request: &Request, batch_index: usize, provenance: &Provenance) -> Self {
        let model = ModelFacts { name: provenance.model_name.clone(), files: provenance.model_files.clone() };
        let loras: Vec<&str> = provenance.loras.iter().map(|facts| facts.file.as_str()).collect();
        let request = stored(request, &provenance.model_name, &loras);
        SdgenChunk {
            schema: SCHEMA,
            request,
            batch_index,
            made_with: MadeWith {
                version: provenance.version.clone(),
                device: provenance.device.clone(),
                dtype: provenance.dtype.clone(),
                model,
                loras: provenance.loras.iter().filter_map(LoraFacts::hash).collect(),
            },
        }
    }

    /// The chunk's text.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Structs of strings and numbers: the conversion has no way to fail.
        serde_json::to_value(self).map(|json| json.to_string()).unwrap_or_default()
    }

    /// The chunk among a picture's texts, or `None` when there is none.
    ///
    /// # Errors
    /// When there is one that is damaged, or of a later layout.
    pub fn find(texts: &[TextChunk]) -> Result<Option<Self>> {
        texts.iter().find(|chunk| chunk.keyword == Self::KEYWORD).map(|chunk| Self::parse(&chunk.text)).transpose()
    }

    /// # Errors
    /// When the text is no such chunk, or one of a later layout.
    fn parse(text: &str) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|e| damaged(&e))?;
        let schema = value.get("schema").and_then(serde_json::Value::as_u64);
        if schema.is_some_and(|schema| schema > u64::from(SCHEMA)) {
            let message = "the picture was made by a newer sdgen, whose settings this one does not know";
            return Err(Error::usage(message, "update sdgen"));
        }
        serde_json::from_value(value).map_err(|e| damaged(&e))
    }
}

/// A request as pictures have it: its model is called by its name and other files by their last part, so that no path is stored.
/// `loras` are the names under which those that it lists are found again, with any others behind them.
#[must_use]
pub fn stored(request: &Request, model: &str, loras: &[&str]) -> Request {
    let mut request = Request { model: model.into(), lora_dirs: Vec::new(), ..request.clone() };
    for path in request.prompt.embeddings.iter_mut().chain(request.parts.paths_mut()) {
        *path = model_label(path);
    }
    for (index, lora) in request.loras.iter_mut().enumerate() {
        lora.file = loras.get(index).map_or_else(|| model_label(&lora.file), |known| (*known).into());
    }
    let picture = request.input.as_mut().map(|input| &mut input.picture);
    let mask = request.inpaint.as_mut().and_then(|inpaint| inpaint.mask.as_mut());
    for control in &mut request.controls {
        control.model = model_label(&control.model);
    }
    if let Some(redux) = &mut request.redux {
        redux.model = model_label(&redux.model);
    }
    let controls = request.controls.iter_mut().map(|control| &mut control.picture);
    let words = request.redux.iter_mut().flat_map(|redux| &mut redux.pictures).map(|shown| &mut shown.picture);
    for file in picture.into_iter().chain(mask).chain(controls).chain(words) {
        file.file = model_label(&file.file);
    }
    request
}

fn damaged(e: &serde_json::Error) -> Error {
    let message = format!("the picture's `sdgen` settings are damaged: {e}");
    Error::usage(message, "use the original file: editors and web sites rewrite or remove settings")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{encode, read_texts};
    use ::image::RgbImage;

    fn request() -> Request {
        let mut request = Request { model: "/home/someone/models/v1-5".into(), ..Request::default() };
        request.prompt.text = "NUL \0, escape \u{1b}, line\nbreak, 🍎, \"quotes\"".into();
        request.prompt.negative = Some(String::new());
        request.sampling.seed = Some(u64::MAX);
        request.sampling.guidance = Some(7.1);
        request
    }

    #[test]
    fn a_request_comes_back_from_a_picture() {
        let chunk = SdgenChunk::new(&request(), 3, &Provenance::for_tests());
        let text = TextChunk::new(SdgenChunk::KEYWORD, chunk.to_json());
        let png = encode(&RgbImage::new(1, 1), &[text]).unwrap();
        let back = SdgenChunk::find(&read_texts(&png).unwrap()).unwrap().unwrap();
        assert_eq!(back, chunk);
        assert_eq!(back.request, Request { model: "v1-5".into(), ..request() });
        assert_eq!(back.batch_index, 3);
    }

    #[test]
    fn no_path_is_stored() {
        let chunk = SdgenChunk::new(&request(), 0, &Provenance::for_tests());
        let json = chunk.to_json();
        assert!(!json.contains("home") && !json.contains("someone"), "{json}");
    }

    #[test]
    fn damaged_and_later_chunks_are_errors() {
        let find = |text: &str| SdgenChunk::find(&[TextChunk::new("sdgen", text)]);
        for text in ["", "{", "[]", "null", "{}", "{\"schema\":1}", "{\"schema\":-1,\"request\":{}}"] {
            let message = find(text).unwrap_err().to_string();
            assert!(message.contains("damaged"), "{text}: {message}");
        }
        let deep = "[".repeat(100_000);
        assert!(find(&deep).is_err());
        let later = find("{\"schema\":2,\"whatever\":true}").unwrap_err();
        assert!(later.to_string().contains("newer"));
        assert!(SdgenChunk::find(&[TextChunk::new("parameters", "a")]).unwrap().is_none());
    }
}
