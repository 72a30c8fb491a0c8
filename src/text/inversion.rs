//! Textual inversion: files that bring vectors for a word of their own.
//!
//! Layouts: A1111's safetensors (`emb_params`) and `.pt` (`string_to_param`), diffusers' `{token: vectors}`, and two tensors
//! for the two encoders of SDXL (`clip_l` and `clip_g`, or `text_encoders_0` and `text_encoders_1`). The word is the file's
//! name without its ending, as in A1111; diffusers' token works too. References: `textual_inversion.py` of A1111,
//! `loaders/textual_inversion.py` of diffusers.

use std::path::Path;

use candle_core::{DType, Tensor};

use super::encode::ClipStack;
use super::encoder::TextEncoder;
use crate::error::{Error, Result};
use crate::nn::ParamSource;
use crate::weights;

/// Names of the only tensor in files of A1111 and ComfyUI; they are no words.
const NAMELESS: [&str; 4] = ["emb_params", "*", "clip_l", "clip_g"];
/// Where A1111's `.pt` files hold their tensor, and what they hold besides.
const A1111_PARAM: &str = "string_to_param.";
const A1111_TOKEN: &str = "string_to_token.";
/// The tensors of SDXL's first and second encoder.
const PAIRS: [[&str; 2]; 2] = [["clip_l", "clip_g"], ["text_encoders_0", "text_encoders_1"]];

/// The vectors of a word, for one text encoder or two.
#[derive(Debug, Clone)]
pub struct Inversion {
    label: String,
    words: Vec<String>,
    /// `[n, width]` f32, one for each encoder.
    vectors: Vec<Tensor>,
}

impl Inversion {
    /// Reads a file: safetensors, `.pt` or `.bin`.
    ///
    /// # Errors
    /// [`Error::Weights`] when the file cannot be read, [`Error::Model`] when it is no embedding.
    pub fn open(path: &Path) -> Result<Self> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::from_source(weights::open(path)?.as_ref(), &stem)
    }

    /// The embedding in `source`; `stem` is the word that its file's name gives.
    ///
    /// # Errors
    /// [`Error::Model`] when it is no embedding.
    pub fn from_source(source: &dyn ParamSource, stem: &str) -> Result<Self> {
        let label = source.label();
        let mut names = source.names();
        names.retain(|name| !name.starts_with(A1111_TOKEN));
        names.sort_unstable();
        let mut words = vec![stem.to_string()];
        let tensors = match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [name] => {
                let is_word = !NAMELESS.contains(&name) && !name.starts_with(A1111_PARAM) && name != stem;
                words.extend(is_word.then(|| name.to_string()));
                vec![name]
            }
            // Sorted: the pairs' names are not in this order.
            [a, b] => PAIRS
                .iter()
                .find(|pair| pair.contains(&a) && pair.contains(&b))
                .map_or_else(Vec::new, |pair| pair.to_vec()),
            _ => Vec::new(),
        };
        if tensors.is_empty() {
            let message = format!("`{label}` is no textual inversion: it holds {}", list(&names));
            return Err(Error::model(
                message,
                "take a file of textual inversion: one tensor of a few vectors for each text encoder",
            ));
        }
        let vectors = tensors.iter().map(|name| read(source, name)).collect::<Result<_>>()?;
        Ok(Inversion { label, words, vectors })
    }

    /// What stands for the vectors in a prompt: the file's name, and its own token if it has one.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The number of vectors and their width, for each text encoder.
    #[must_use]
    pub fn sizes(&self) -> Vec<(usize, usize)> {
        self.vectors.iter().filter_map(|vectors| vectors.dims2().ok()).collect()
    }
}

impl ClipStack {
    /// Makes the embedding's words stand for its vectors in all prompts.
    ///
    /// # Errors
    /// [`Error::Model`] when it was made for encoders of other widths, or is longer than a chunk.
    pub fn add_inversion(&mut self, inversion: &Inversion) -> Result<()> {
        let ours: Vec<usize> = self.encoders_mut().iter().map(TextEncoder::width).collect();
        let theirs = inversion.vectors.iter().map(|vectors| vectors.dim(1)).collect::<Result<Vec<_>, _>>()?;
        if ours != theirs {
            let message = format!(
                "the embedding `{}` is of width {}, the model's text {} of width {}",
                inversion.label,
                join(&theirs),
                if ours.len() == 1 { "encoder" } else { "encoders" },
                join(&ours)
            );
            return Err(Error::model(message, "take an embedding that was made for this kind of model"));
        }
        for (encoder, vectors) in self.encoders_mut().iter_mut().zip(&inversion.vectors) {
            for word in &inversion.words {
                encoder.add_word(word, vectors)?;
            }
        }
        Ok(())
    }
}

fn read(source: &dyn ParamSource, name: &str) -> Result<Tensor> {
    let bad = |what: &str| {
        let message = format!("tensor `{name}` of `{}` {what}", source.label());
        Error::model(message, "it is no textual inversion, or damaged: fetch it again")
    };
    let tensor = source.read(name)?;
    let tensor = match tensor.rank() {
        1 => tensor.unsqueeze(0)?,
        2 => tensor,
        _ => return Err(bad(&format!("has the shape {:?}, not that of vectors", tensor.dims()))),
    };
    let tensor = tensor.to_dtype(DType::F32)?;
    if !tensor.flatten_all()?.to_vec1::<f32>()?.iter().all(|value| value.is_finite()) {
        return Err(bad("holds values that are no numbers"));
    }
    Ok(tensor)
}

fn join(widths: &[usize]) -> String {
    widths.iter().map(usize::to_string).collect::<Vec<_>>().join(" and ")
}

/// The first names, and how many there are.
fn list(names: &[String]) -> String {
    match names {
        [] => "no tensor".into(),
        _ => format!(
            "{} tensors ({}{})",
            names.len(),
            names[..names.len().min(3)].join(", "),
            if names.len() > 3 { ", ..." } else { "" }
        ),
    }
}
