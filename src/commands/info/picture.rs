//! Pictures: the texts in them, those that are known taken apart.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use super::line;
use crate::commands::inspect::{container, text};
use crate::image::{read_all_texts, Infotext, SdgenChunk};
use crate::recipe::{self, Recipe};
use crate::{Error, Result};

/// A picture.
#[derive(Serialize)]
pub struct PictureInfo {
    /// As it was named.
    file: String,
    container: Option<&'static str>,
    bytes: u64,
    width: Option<u32>,
    height: Option<u32>,
    /// A1111's text, taken apart.
    parameters: Option<Parameters>,
    /// sdgen's settings.
    sdgen: Option<SdgenChunk>,
    /// Why sdgen's settings cannot be read, when they cannot.
    sdgen_problem: Option<String>,
    /// What `--from` takes of it.
    recipe: Option<RecipeInfo>,
    /// All texts as they are, by their keywords.
    texts: Vec<(String, String)>,
}

/// A1111's `parameters`, taken apart.
#[derive(Serialize)]
struct Parameters {
    prompt: String,
    negative: String,
    fields: Map<String, Value>,
}

/// What `--from` takes of a picture.
#[derive(Serialize)]
struct RecipeInfo {
    program: String,
    options: Map<String, Value>,
    not_taken: Vec<String>,
}

impl RecipeInfo {
    fn of(recipe: Recipe) -> Self {
        let Recipe { program, values, not_taken, notes: _ } = recipe;
        let option = |taken: recipe::Taken| (format!("--{}", taken.option), Value::String(taken.texts.join(", ")));
        RecipeInfo { program, options: values.into_iter().map(option).collect(), not_taken }
    }

    fn lines(&self) -> Vec<String> {
        let options = self.options.iter().filter(|(_, value)| **value != "");
        let options = options.map(|(option, value)| format!("{option} {}", value.as_str().unwrap_or_default()));
        let mut lines = line(&format!("recipe by {}", self.program), &options.collect::<Vec<_>>().join("\n"));
        if !self.not_taken.is_empty() {
            lines.extend(line("not taken", &self.not_taken.join(", ")));
        }
        lines
    }
}

impl PictureInfo {
    /// Of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(name: &str, path: &Path) -> Result<Self> {
        let bytes = crate::files::read_small(path).map_err(Error::io("read", path))?;
        let texts = read_all_texts(&bytes);
        let size = image::ImageReader::new(std::io::Cursor::new(&bytes)).with_guessed_format().ok();
        let size = size.and_then(|reader| reader.into_dimensions().ok());
        let parameters = texts.iter().find(|text| text.keyword == "parameters").map(|text| {
            let infotext = Infotext::parse(&text.text);
            let fields = infotext.fields.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
            Parameters { prompt: infotext.prompt, negative: infotext.negative, fields }
        });
        let (sdgen, sdgen_problem) = match SdgenChunk::find(&texts) {
            Ok(chunk) => (chunk, None),
            Err(e) => (None, Some(e.to_string())),
        };
        Ok(PictureInfo {
            file: name.into(),
            container: container(path),
            bytes: bytes.len() as u64,
            width: size.map(|(width, _)| width),
            height: size.map(|(_, height)| height),
            parameters,
            sdgen,
            sdgen_problem,
            recipe: recipe::read(&texts).ok().flatten().map(RecipeInfo::of),
            texts: texts.into_iter().map(|text| (text.keyword, text.text)).collect(),
        })
    }

    /// For people: what is known in words, other texts as they are.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.file.clone()];
        let mut add = |name: &str, value: &str| lines.extend(line(name, value));
        let size = self.width.zip(self.height).map(|(width, height)| format!(", {width}x{height}")).unwrap_or_default();
        add("picture", &format!("{}{size}, {}", self.container.unwrap_or("unknown"), text::size(self.bytes)));
        if self.texts.is_empty() {
            add("metadata", "none");
        }
        if let Some(parameters) = &self.parameters {
            add("prompt", &parameters.prompt);
            if !parameters.negative.is_empty() {
                add("negative prompt", &parameters.negative);
            }
            for (name, value) in &parameters.fields {
                add(name, value.as_str().unwrap_or_default());
            }
        }
        if let Some(sdgen) = &self.sdgen {
            add("sdgen", &pretty(sdgen));
        }
        if let Some(problem) = &self.sdgen_problem {
            add("sdgen", problem);
        }
        if let Some(recipe) = self.recipe.as_ref().filter(|_| self.sdgen.is_none()) {
            lines.extend(recipe.lines());
        }
        let known = |keyword: &str| keyword == "parameters" || (keyword == SdgenChunk::KEYWORD && self.sdgen.is_some());
        for (keyword, text) in self.texts.iter().filter(|(keyword, _)| !known(keyword)) {
            lines.extend(line(keyword, text));
        }
        lines
    }
}

fn pretty(chunk: &SdgenChunk) -> String {
    let value = serde_json::to_value(chunk).and_then(|value| serde_json::to_string_pretty(&value));
    value.unwrap_or_default()
}
