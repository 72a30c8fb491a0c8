//! Output templates: `out/{date}/{model}-{seed}-{index:04}.png`.

use std::path::{is_separator, Path, PathBuf};

use super::naming::unreserved;
use super::placeholder::{placeholder, Field, Part};
use crate::request::Request;
use crate::{Error, Result};

/// Image formats that other programs would write for such a name: refused, since the bytes are a PNG's.
const OTHER_FORMATS: &[&str] = &[
    "jpg", "jpeg", "jpe", "jfif", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "heif", "jxl", "jp2", "ppm",
    "pgm", "tga", "exr", "ico", "qoi", "svg", "apng",
];

/// A name for each picture, with placeholders for what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The folders before the first placeholder, as typed, with the separator at the end; empty for the current one.
    folder: String,
    /// Folders that depend on the picture.
    folders: Vec<Vec<Part>>,
    stem: Vec<Part>,
    /// `.png`, or as typed.
    extension: String,
}

/// When the pictures are made: one time for all of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// `2025-01-31`, local time.
    pub date: String,
    /// `23-59-59`, local time.
    pub time: String,
}

/// Which picture of a run: what names count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Number {
    /// Counts all pictures of the run from 0.
    pub index: usize,
    /// The line of a file of prompts that asks for it, from 1; `None` where there is no such file.
    pub line: Option<usize>,
}

/// What names have to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Siblings {
    /// Pictures of one prompt.
    pub pictures: usize,
    /// So many of them share a seed.
    pub batch: usize,
    /// Whether there are such pictures for each line of a file.
    pub lines: bool,
}

impl Stamp {
    /// The current local time.
    #[must_use]
    pub fn now() -> Self {
        // A clock beyond the year 9999 is the one way to fail.
        let now = jiff::Timestamp::try_from(std::time::SystemTime::now()).unwrap_or_default();
        let now = now.to_zoned(jiff::tz::TimeZone::system());
        Stamp { date: now.strftime("%Y-%m-%d").to_string(), time: now.strftime("%H-%M-%S").to_string() }
    }
}

impl Template {
    /// Reads a template. `{{` and `}}` stand for braces; numbers take a width, `{index:04}`; `.png` is added where no
    /// extension is.
    ///
    /// # Errors
    /// An unknown or unclosed placeholder, an extension of another image format, or no file name.
    pub fn parse(text: &str) -> Result<Self> {
        let mut components = components(text)?;
        let mut stem = components.pop().unwrap_or_default();
        if stem.is_empty() {
            return Err(Error::usage(format!("`{text}` names no file"), "give a file name, such as `picture.png`"));
        }
        let extension = take_extension(&mut stem)?;
        let fixed = components.iter().take_while(|parts| parts.iter().all(|p| matches!(p, Part::Text(_)))).count();
        let folders = components.split_off(fixed);
        let as_typed =
            |parts: Vec<Part>| -> String { parts.into_iter().map(|part| part.text().to_owned() + "/").collect() };
        let folder =
            components.into_iter().map(|parts| if parts.is_empty() { "/".into() } else { as_typed(parts) }).collect();
        Ok(Template { folder, folders, stem, extension })
    }

    /// The folder that has to exist: what comes before the first placeholder.
    #[must_use]
    pub fn fixed_folder(&self) -> PathBuf {
        // By components: a separator at the end would show in messages.
        Path::new(if self.folder.is_empty() { "." } else { &self.folder }).components().collect()
    }

    /// Whether folders depend on the picture, so that they are created on the way.
    #[must_use]
    pub fn has_variable_folders(&self) -> bool {
        !self.folders.is_empty()
    }

    /// Makes the names of several pictures differ: `-{line}` or `-{index}` is appended unless they do already. Pictures of a
    /// batch share a seed.
    #[must_use]
    pub fn for_siblings(&self, siblings: Siblings) -> Self {
        let Siblings { pictures, batch, lines } = siblings;
        let of_prompt = pictures <= 1 || (batch <= 1 && self.has(Field::Seed));
        let missing = match (of_prompt, lines && !self.has(Field::Line)) {
            _ if self.has(Field::Index) => None,
            (false, _) => Some(Field::Index),
            (true, true) => Some(Field::Line),
            (true, false) => None,
        };
        let mut template = self.clone();
        if let Some(field) = missing {
            template.stem.extend([Part::Text("-".into()), Part::Field(field, 0)]);
        }
        template
    }

    /// Whether names say the line of a file of prompts.
    #[must_use]
    pub fn names_lines(&self) -> bool {
        self.has(Field::Line)
    }

    /// Whether names say when the run was.
    #[must_use]
    pub fn names_time(&self) -> bool {
        self.has(Field::Date) || self.has(Field::Time)
    }

    /// The path of a picture.
    #[must_use]
    pub fn render(&self, request: &Request, model: &str, number: Number, stamp: &Stamp) -> PathBuf {
        let component = |parts: &[Part]| -> String {
            let text: String = parts.iter().map(|part| part.render(request, model, number, stamp)).collect();
            // A name that was typed is the user's own; only one that was put together is checked.
            let typed = parts.iter().all(|part| matches!(part, Part::Text(_)));
            if typed {
                text
            } else {
                unreserved(&text)
            }
        };
        let mut path = PathBuf::from(&self.folder);
        path.extend(self.folders.iter().map(|parts| component(parts)));
        path.join(component(&self.stem) + &self.extension)
    }

    fn has(&self, wanted: Field) -> bool {
        let parts = self.folders.iter().flatten().chain(&self.stem);
        parts.into_iter().any(|part| matches!(part, Part::Field(field, _) if *field == wanted))
    }
}

/// The parts of each path component.
fn components(template: &str) -> Result<Vec<Vec<Part>>> {
    let mut components = vec![Vec::new()];
    let mut text = String::new();
    let mut rest = template;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if matches!(c, '{' | '}') && rest.starts_with(c) {
            text.push(c);
            rest = &rest[1..];
        } else if c == '{' {
            let (inside, after) = rest.split_once('}').ok_or_else(|| stray_brace(template))?;
            flush(&mut components, &mut text);
            if let Some(parts) = components.last_mut() {
                parts.push(placeholder(inside)?);
            }
            rest = after;
        } else if c == '}' {
            return Err(stray_brace(template));
        } else if is_separator(c) {
            flush(&mut components, &mut text);
            components.push(Vec::new());
        } else {
            text.push(c);
        }
    }
    flush(&mut components, &mut text);
    Ok(components)
}

fn flush(components: &mut [Vec<Part>], text: &mut String) {
    if let Some(parts) = components.last_mut().filter(|_| !text.is_empty()) {
        parts.push(Part::Text(std::mem::take(text)));
    }
}

fn stray_brace(template: &str) -> Error {
    let message = format!("the output name `{template}` has a brace without its partner");
    Error::usage(message, "`{{` and `}}` stand for braces in a name")
}

/// Takes `.png` off the end of a file name, in any case. A name without an extension gets it.
fn take_extension(stem: &mut Vec<Part>) -> Result<String> {
    let only_part = stem.len() == 1;
    let Some(Part::Text(text)) = stem.last_mut() else {
        return Ok(".png".into());
    };
    let Some(dot) = text.rfind('.').filter(|dot| *dot > 0 || !only_part) else {
        return Ok(".png".into());
    };
    let extension = text[dot + 1..].to_lowercase();
    if OTHER_FORMATS.contains(&extension.as_str()) {
        let message = format!("pictures are written as PNG, not as `.{extension}`");
        return Err(Error::usage(message, format!("use `{}.png`", &text[..dot])));
    }
    if extension != "png" {
        return Ok(".png".into());
    }
    let as_typed = text.split_off(dot);
    if text.is_empty() {
        stem.pop();
    }
    Ok(as_typed)
}

#[cfg(test)]
mod tests;
