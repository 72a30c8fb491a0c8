//! Pictures: the texts in them, those that are known taken apart.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use super::line;
use crate::commands::inspect::{container, text};
use crate::image::{read_comment, read_texts, Infotext, SdgenChunk, TextChunk};
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

impl PictureInfo {
    /// Of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(name: &str, path: &Path) -> Result<Self> {
        let bytes = crate::files::read_small(path).map_err(Error::io("read", path))?;
        let mut texts = read_texts(&bytes).unwrap_or_default();
        texts.extend(read_comment(&bytes).map(|comment| TextChunk::new(keyword_of(&comment), &comment)));
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
        let known = |keyword: &str| keyword == "parameters" || (keyword == SdgenChunk::KEYWORD && self.sdgen.is_some());
        for (keyword, text) in self.texts.iter().filter(|(keyword, _)| !known(keyword)) {
            add(keyword, text);
        }
        lines
    }
}

/// What PNG files call a text that others have as a comment: A1111 writes its settings there, other programs theirs as JSON.
fn keyword_of(comment: &str) -> &'static str {
    if comment.trim_start().starts_with('{') {
        "UserComment"
    } else {
        "parameters"
    }
}

fn pretty(chunk: &SdgenChunk) -> String {
    let value = serde_json::to_value(chunk).and_then(|value| serde_json::to_string_pretty(&value));
    value.unwrap_or_default()
}
