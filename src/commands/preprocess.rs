//! `sdgen preprocess`: a picture becomes a control map.

use std::path::{is_separator, Path};
use std::time::Instant;

use serde_json::json;

use crate::cli::PreprocessArgs;
use crate::control::{control_map, Networks};
use crate::hub::{AnnotatorFiles, Annotators};
use crate::image::input::{load, Alpha, Source};
use crate::image::{encode, is_stdout, Number, Output, OutputOptions};
use crate::ui::{install_interrupt, Ui};
use crate::{Request, Result};

/// Makes the map that the arguments ask for.
///
/// # Errors
/// [`crate::Error::Usage`] before any work for what does not go together; otherwise what ended the work. No file is left behind then.
pub fn preprocess(args: &PreprocessArgs, ui: &mut Ui) -> Result<()> {
    let start = Instant::now();
    let (name, settings) = (args.preprocessor, args.settings());
    let image = args.image()?;
    settings.check(name)?;
    args.check()?;
    let place = place(args.output.as_deref(), image, &name.name());
    let output = Output::prepare(&OutputOptions::single(Some(&place), args.overwrite))?;
    install_interrupt(ui);
    let picture = load(&Source::new(image), Alpha::White)?;
    picture.notes.iter().for_each(|note| ui.note(note));
    let networks: Box<dyn Networks> = match &args.weights {
        Some(path) => Box::new(AnnotatorFiles(path.clone())),
        None => Box::new(Annotators),
    };
    let made = control_map(name, &picture.rgb, &settings, networks.as_ref())?;
    made.notes.iter().for_each(|note| ui.note(note));
    // A map's name has no fields: the request is there for those of pictures.
    let written = output.write(&encode(&made.map, &[])?, &Request::default(), "", Number::default())?;
    written.note.iter().for_each(|note| ui.note(note));
    let (width, height) = made.map.dimensions();
    let seconds = start.elapsed().as_secs_f64();
    if let Some(path) = &written.path {
        let path = path.to_string_lossy();
        if args.general.json {
            let fields = json!({
                "path": path,
                "preprocessor": name.name(),
                "width": width,
                "height": height,
                "seconds": (seconds * 1000.0).round() / 1000.0,
            });
            ui.event("map", fields);
        } else {
            ui.data(&path);
        }
    }
    ui.detail(&format!("{name}: {width}x{height} in {seconds:.2} s"));
    Ok(())
}

/// Where the map goes, as a template without fields.
fn place(typed: Option<&str>, image: &Path, name: &str) -> String {
    let stem = match image.to_str() {
        Some("-") => "map".into(),
        _ => image.file_stem().unwrap_or_default().to_string_lossy(),
    };
    let own = format!("{stem}-{name}.png");
    let place = match typed {
        None => own,
        Some(name) if is_stdout(name) => name.into(),
        Some(folder) if folder.ends_with(is_separator) || Path::new(folder).is_dir() => {
            Path::new(folder).join(own).to_string_lossy().into_owned()
        }
        Some(file) => file.into(),
    };
    place.replace('{', "{{").replace('}', "}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_named_after_their_picture() {
        let folder = tempfile::tempdir().unwrap();
        let typed = folder.path().to_str().unwrap();
        let image = Path::new("pictures/a {photo}.jpg");
        assert_eq!(place(None, image, "canny"), "a {{photo}}-canny.png");
        assert_eq!(place(Some(typed), image, "canny"), format!("{typed}/a {{{{photo}}}}-canny.png"));
        assert_eq!(place(Some("new/"), Path::new("-"), "canny"), "new/map-canny.png");
        assert_eq!(place(Some("-"), image, "canny"), "-");
        assert_eq!(place(Some("{seed}.png"), image, "canny"), "{{seed}}.png");
    }
}
