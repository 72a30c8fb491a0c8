//! Recipes: what a picture says of how it was made, as settings, so that `--from` can do it again.
//!
//! [`read`] tells the writer by the texts it left: sdgen's own, which is complete ([`own`]), A1111's and its kin's ([`a1111`]), ComfyUI's graph
//! ([`comfy`]), and the JSON of InvokeAI, mflux and Fooocus ([`json`]). Files are named in them, not found: that is for [`Finder`], which
//! looks where a file of that name and content was last ([`places`]). Followed: the sources named in each file.

mod a1111;
mod comfy;
mod find;
mod graph;
mod json;
mod own;
pub mod places;
mod samplers;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde_json::Value;

use crate::config::{table, Given, Layer, Origin};
use crate::image::{read_all_texts, Infotext, SdgenChunk, TextChunk};
use crate::{Error, Result};

pub use find::{model_here, Finder};

/// What other programs' recipes lead to.
const LIKE: &str = "noise is drawn otherwise there: the picture will be like it, not the same";

/// What a picture says of how it was made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recipe {
    /// The program that wrote it.
    pub program: String,
    /// What is taken.
    pub values: Vec<Taken>,
    /// What it says beyond that.
    pub not_taken: Vec<String>,
    /// What is to be known about the result.
    pub notes: Vec<String>,
}

/// A value of a setting, and which content the files have that it names.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// The setting's option.
    pub option: &'static str,
    /// What the option takes.
    pub texts: Vec<String>,
    /// The SHA-256 of the file of each text, or what is known of its beginning.
    pub hashes: Vec<Option<String>>,
}

impl Recipe {
    fn of(program: impl Into<String>) -> Self {
        Recipe { program: program.into(), ..Recipe::default() }
    }

    /// Takes a value over.
    fn set(&mut self, option: &'static str, text: impl ToString) {
        self.push(option, text.to_string(), None);
    }

    /// As [`Self::set`], for what may not be there.
    fn set_some(&mut self, option: &'static str, text: Option<impl ToString>) {
        if let Some(text) = text {
            self.set(option, text);
        }
    }

    /// Takes over a file, or one more of several.
    fn push(&mut self, option: &'static str, text: String, sha256: Option<String>) {
        match self.values.iter_mut().find(|taken| taken.option == option) {
            Some(taken) => {
                taken.texts.push(text);
                taken.hashes.push(sha256);
            }
            None => self.values.push(Taken { option, texts: vec![text], hashes: vec![sha256] }),
        }
    }

    /// The texts of an option.
    #[must_use]
    pub fn get(&self, option: &str) -> Option<&[String]> {
        self.values.iter().find(|taken| taken.option == option).map(|taken| taken.texts.as_slice())
    }

    /// The subcommand that makes such a picture.
    #[must_use]
    pub fn command(&self) -> &'static str {
        let has = |option: &str| self.get(option).is_some();
        let by_alpha = self.get("alpha").is_some_and(|texts| texts == ["mask"]);
        match () {
            () if has("mask") || has("extend") || by_alpha => "inpaint",
            () if has("image") || has("strength") => "img2img",
            () if has("control") => "controlnet",
            () => "generate",
        }
    }

    /// Its values as settings, files still to be found.
    #[must_use]
    pub fn layer(&self, picture: &Path) -> Layer {
        let origin = Origin::Recipe(picture.into());
        let given = |taken: &Taken| {
            let setting = table::by_option(taken.option)?;
            Some(Given { setting, texts: taken.texts.clone(), origin: origin.clone() })
        };
        let given = self.values.iter().filter_map(given).collect();
        Layer { name: format!("the recipe of {}", picture.display()), given, called: true }
    }
}

/// The recipe in a picture's file.
///
/// # Errors
/// [`Error::Model`] when there is none, or it is damaged; [`Error::Io`] when the file cannot be read.
pub fn read_file(path: &Path) -> Result<Recipe> {
    let bytes = crate::files::read_small(path).map_err(Error::io("read", path))?;
    let damaged = |what: String| {
        let hint = "use the original file: editors and web sites rewrite or remove settings";
        Error::model(format!("`{}`: {what}", path.display()), hint)
    };
    read(&read_all_texts(&bytes)).map_err(damaged)?.ok_or_else(|| {
        Error::model(
            format!("`{}` has no recipe: nothing in it says how it was made", path.display()),
            "take the original file: web sites and editors remove such texts, and so does `--metadata none`",
        )
    })
}

/// The recipe in a picture's texts, `None` where there is none.
///
/// # Errors
/// What is wrong with it.
pub fn read(texts: &[TextChunk]) -> Result<Option<Recipe>, String> {
    if let Some(chunk) = SdgenChunk::find(texts).map_err(|e| e.to_string())? {
        return Ok(Some(own::recipe(&chunk)));
    }
    let text = |keyword: &str| texts.iter().find(|chunk| chunk.keyword == keyword).map(|chunk| chunk.text.as_str());
    if let Some(metadata) = text("invokeai_metadata") {
        return json::invokeai(&parse(metadata, "InvokeAI's settings")?).map(Some);
    }
    if let Some(parameters) = text("parameters") {
        if parameters.trim_start().starts_with('{') {
            return json::fooocus(&parse(parameters, "the settings")?).map(Some);
        }
        let infotext = Infotext::parse(parameters);
        if !infotext.fields.is_empty() {
            return Ok(Some(a1111::recipe(&infotext)));
        }
    }
    if let Some(graph) = text("prompt") {
        return comfy::recipe(&parse(graph, "ComfyUI's graph")?).map(Some);
    }
    text("UserComment").map(|comment| json::mflux(&parse(comment, "the settings")?)).transpose()
}

fn parse(text: &str, what: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|e| format!("{what} are damaged: {e}").replace("graph are", "graph is"))
}
