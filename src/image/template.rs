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

    /// Makes the names of several pictures differ: `-{index}` is appended unless they do already. Pictures of a batch share
    /// a seed.
    #[must_use]
    pub fn for_pictures(mut self, pictures: usize, batch: usize) -> Self {
        let differs = self.has(Field::Index) || (batch <= 1 && self.has(Field::Seed));
        if pictures > 1 && !differs {
            self.stem.extend([Part::Text("-".into()), Part::Field(Field::Index, 0)]);
        }
        self
    }

    /// The path of a picture.
    #[must_use]
    pub fn render(&self, request: &Request, model: &str, index: usize, stamp: &Stamp) -> PathBuf {
        let component = |parts: &[Part]| -> String {
            let text: String = parts.iter().map(|part| part.render(request, model, index, stamp)).collect();
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
mod tests {
    use super::*;
    use crate::sampling::Sampler;

    fn request() -> Request {
        let mut request = Request::default();
        request.prompt.text = "A red apple, (shiny:1.2)".into();
        request.sampling.seed = Some(42);
        request.sampling.steps = Some(20);
        request.sampling.guidance = Some(7.5);
        request.sampling.scheduler = Some(Sampler::DpmPp2m);
        request.image.width = Some(512);
        request.image.height = Some(768);
        request
    }

    fn stamp() -> Stamp {
        Stamp { date: "2025-01-31".into(), time: "23-59-59".into() }
    }

    fn render(template: &str) -> String {
        let template = Template::parse(template).unwrap();
        template.render(&request(), "sd/v1.5", 3, &stamp()).to_str().unwrap().into()
    }

    #[test]
    fn placeholders_are_filled() {
        for (template, path) in [
            ("a.png", "a.png"),
            ("{seed}", "42.png"),
            ("{seed:08}-{index:4}.png", "00000042-0003.png"),
            ("{model}_{date}_{time}.png", "sd_v1.5_2025-01-31_23-59-59.png"),
            ("{prompt}.png", "a-red-apple-shiny-1-2.png"),
            ("{steps}-{guidance}-{scheduler}-{width}x{height}.png", "20-7.5-dpm++2m-512x768.png"),
            ("{{{seed}}}.png", "{42}.png"),
            ("/tmp/x/{date}/a/{seed}.PNG", "/tmp/x/2025-01-31/a/42.PNG"),
            ("./../a.png", "./../a.png"),
            ("/a.png", "/a.png"),
            ("日本/{seed}é.png", "日本/42é.png"),
        ] {
            assert_eq!(render(template), path);
        }
    }

    #[test]
    fn png_is_added_where_no_extension_is() {
        for (template, path) in [
            ("a", "a.png"),
            ("v1.5", "v1.5.png"),
            ("v1.{seed}", "v1.42.png"),
            ("{seed}.final", "42.final.png"),
            (".png", ".png.png"),
            ("a.", "a..png"),
            ("x.jpg/a", "x.jpg/a.png"),
        ] {
            assert_eq!(render(template), path);
        }
    }

    #[test]
    fn other_formats_are_refused_with_a_name_that_works() {
        for template in ["a.jpg", "a.JPEG", "{seed}-a.webp", "out/a.tiff"] {
            let error = Template::parse(template).unwrap_err();
            assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
            assert!(error.hint().unwrap().contains("a.png`"), "{error} {:?}", error.hint());
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (template, message, hint) in [
            ("{sed}.png", "unknown placeholder `{sed}`", "did you mean `{seed}`?"),
            ("{Index}.png", "unknown placeholder `{Index}`", "did you mean `{index}`?"),
            ("{zzz}.png", "unknown placeholder `{zzz}`", "one of: {seed} {index}"),
            ("{}.png", "unknown placeholder `{}`", "one of:"),
            ("{seed.png", "without its partner", "`{{`"),
            ("seed}.png", "without its partner", "`}}`"),
            ("{model:04}.png", "takes no width", "use `{model}`"),
            ("{seed:x}.png", "`x` is no width", "{seed:04}"),
            ("{seed:}.png", "`` is no width", "{seed:04}"),
            ("{seed:0}.png", "`0` is no width", "1 to 20"),
            ("{seed:99999999999999999999999}", "is no width", "1 to 20"),
            ("", "names no file", "picture.png"),
            ("out/", "names no file", "picture.png"),
        ] {
            let error = Template::parse(template).unwrap_err();
            assert!(error.to_string().contains(message), "{template}: {error}");
            assert!(error.hint().unwrap().contains(hint), "{template}: {:?}", error.hint());
            assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
        }
    }

    #[test]
    fn names_of_several_pictures_differ() {
        let name = |template: &str, pictures, batch| {
            let template = Template::parse(template).unwrap().for_pictures(pictures, batch);
            template.render(&request(), "m", 3, &stamp()).to_str().unwrap().to_owned()
        };
        assert_eq!(name("a.png", 1, 1), "a.png");
        assert_eq!(name("a.png", 4, 1), "a-3.png");
        assert_eq!(name("{seed}.png", 4, 1), "42.png");
        assert_eq!(name("{seed}.png", 4, 2), "42-3.png");
        assert_eq!(name("{index}.png", 4, 2), "3.png");
        assert_eq!(name("{index}/a.png", 4, 2), "3/a.png");
        assert_eq!(name("{date}/{model}", 2, 2), "2025-01-31/m-3.png");
    }

    #[test]
    fn the_fixed_folder_ends_at_the_first_placeholder() {
        for (template, folder) in [
            ("a.png", "."),
            ("{date}/a.png", "."),
            ("out/a.png", "out"),
            ("/a.png", "/"),
            ("/tmp/out/{date}/b/a.png", "/tmp/out"),
            ("../a-{date}/a.png", ".."),
            ("a{{b}}/c.png", "a{b}"),
        ] {
            let parsed = Template::parse(template).unwrap();
            assert_eq!(parsed.fixed_folder(), Path::new(folder), "{template}");
            assert_eq!(parsed.has_variable_folders(), template.contains("date"), "{template}");
        }
    }

    #[test]
    fn values_never_climb_or_name_devices() {
        let render = |template: &str, model: &str| {
            Template::parse(template).unwrap().render(&request(), model, 0, &stamp()).to_str().unwrap().to_owned()
        };
        assert_eq!(render("{model}/a.png", ".."), "untitled/a.png");
        assert_eq!(render("{model}.png", "../../x"), "_.._x.png");
        assert_eq!(render("{model}.png", "con"), "con_.png");
        assert_eq!(render("con.png", "m"), "con.png");
    }

    #[test]
    fn the_stamp_is_made_for_names() {
        let now = Stamp::now();
        assert!(now.date.len() == 10 && now.date.starts_with("20"), "{now:?}");
        assert!(now.time.len() == 8 && !now.time.contains(':'), "{now:?}");
    }
}
