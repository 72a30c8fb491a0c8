//! ControlNets and the pictures that they are shown.

use std::path::{Path, PathBuf};

use clap::Args;

use super::checks;
use super::input::InputArgs;
use super::mask::MaskArgs;
use super::values;
use crate::image::input::Resize;
use crate::request::{Control, ControlMode, PictureFile, Preprocessing};
use crate::{Error, Result};

/// The options of the heading "Control".
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Control")]
pub struct ControlArgs {
    /// Show a ControlNet or T2I-Adapter a picture, as MODEL[#KIND]=IMAGE[:SCALE[:START[:END]]]; may be given several times.
    ///
    /// MODEL is a diffusers folder, a file (.safetensors, .pth), a short name (`sdgen download --list`), a repository, or a kind such as
    /// `canny`, which stands for the common ControlNet of the model's family. KIND says which kind of map it is shown where its name does
    /// not; one for several kinds (`union`) wants to be told, and may be shown several pictures. FLUX.1 Canny and Depth take the map
    /// themselves, and so does FLUX.1 dev with one of their LoRAs: then MODEL is the kind alone. IMAGE is a picture, or the map of one; `-`
    /// is standard input. SCALE (0 to 5) says how much it counts [default: 1], START and END between which parts of the steps it works
    /// [default: 0 and 1]. What several say is summed.
    #[arg(long = "control", value_name = "MODEL=IMAGE", value_parser = values::control)]
    pub controls: Vec<Control>,

    /// What makes the maps of the pictures: `auto`, `none`, or a name [default: auto].
    ///
    /// `auto` goes by the ControlNet's kind (edges for `canny`), which its short name or its own name tells; a picture that is such a map
    /// already is left as it is. `none` takes pictures as the maps that they are. Names are those of `sdgen preprocess`, which has settings.
    #[arg(long, value_name = "NAME", value_parser = values::preprocessing)]
    pub preprocessor: Option<Preprocessing>,

    /// What counts more, the prompt or the picture.
    ///
    /// `prompt` lets the net count less the finer what it says; `control` too, and the prediction without the prompt does not see it,
    /// so that guidance strengthens it. Both are those of A1111's extension.
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    pub control_mode: ControlMode,

    /// Guess mode of diffusers: the nets say what there is, for an empty prompt and a guidance of 3 to 5.
    #[arg(long, conflicts_with = "control_mode")]
    pub guess_mode: bool,

    /// Write the maps that the nets are shown, beside the picture or into a folder.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    pub save_control: Option<Option<PathBuf>>,
}

impl ControlArgs {
    /// The ControlNets' part of the request. `resize` is what was said of their pictures.
    ///
    /// # Errors
    /// [`Error::Usage`] when options have nothing to act on, or standard input is to be several things.
    pub fn controls(
        &self,
        resize: Option<Resize>,
        input: Option<&InputArgs>,
        mask: Option<&MaskArgs>,
    ) -> Result<Vec<Control>> {
        if self.controls.is_empty() {
            let given = [
                (self.preprocessor.is_some(), "--preprocessor"),
                (self.control_mode != ControlMode::Balanced, "--control-mode"),
                (self.guess_mode, "--guess-mode"),
                (self.save_control.is_some(), "--save-control"),
            ];
            if let Some((_, option)) = given.iter().find(|(given, _)| *given) {
                let message = format!("`{option}` has no ControlNet to act on");
                return Err(Error::usage(message, "add `--control MODEL=IMAGE`, or leave it out"));
            }
        }
        self.check_stdin(input, mask)?;
        let mode = if self.guess_mode { ControlMode::Guess } else { self.control_mode };
        let preprocessor = self.preprocessor.unwrap_or_default();
        Ok(self.controls.iter().map(|control| Control { preprocessor, resize, mode, ..control.clone() }).collect())
    }

    fn check_stdin(&self, input: Option<&InputArgs>, mask: Option<&MaskArgs>) -> Result<()> {
        let is_stdin = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new("-"));
        let taken = self.controls.iter().filter(|control| control.picture.file == "-").count()
            + usize::from(input.is_some_and(|input| is_stdin(&input.image)))
            + usize::from(mask.is_some_and(|mask| is_stdin(&mask.mask)));
        if taken > 1 {
            return Err(Error::usage("standard input cannot be several pictures", "give all but one as files"));
        }
        Ok(())
    }
}

/// `MODEL[#KIND]=IMAGE[:SCALE[:START[:END]]]`.
///
/// # Errors
/// [`Error::Usage`] for what is no such thing.
pub fn parse(text: &str) -> Result<Control> {
    const FORM: &str = "give MODEL=IMAGE[:SCALE[:START[:END]]], as in `canny=edges.png` or `canny=edges.png:0.7:0:0.6`";
    let Some((model, rest)) = text.split_once('=').filter(|(model, rest)| !model.is_empty() && !rest.is_empty()) else {
        return Err(Error::usage(format!("`{text}` does not say which ControlNet is shown which picture"), FORM));
    };
    let (file, numbers) = checks::numbers_behind(rest, 3);
    if file.is_empty() {
        return Err(Error::usage(format!("`{text}` names no picture"), FORM));
    }
    let (model, kind) = match model.rsplit_once('#').filter(|(model, kind)| !model.is_empty() && !kind.is_empty()) {
        Some((before, kind)) if !Path::new(model).exists() => {
            (before, Some(kind.trim().to_lowercase().replace('_', "-")))
        }
        _ => (model, None),
    };
    let number = |i: usize, default: f64| numbers.get(i).copied().unwrap_or(default);
    let control = Control {
        model: checks::path("ControlNet", Path::new(model))?,
        kind,
        picture: PictureFile { file: file.into(), sha256: None },
        scale: number(0, 1.0),
        start: number(1, 0.0),
        end: number(2, 1.0),
        ..Control::default()
    };
    control.validate()?;
    Ok(control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, f64, f64, f64) {
        let control = parse(text).unwrap();
        (control.model, control.picture.file, control.scale, control.start, control.end)
    }

    #[test]
    fn numbers_stand_behind_the_picture() {
        let whole = |model: &str, file: &str, scale, start, end| (model.into(), file.into(), scale, start, end);
        assert_eq!(parts("canny=a.png"), whole("canny", "a.png", 1.0, 0.0, 1.0));
        assert_eq!(parts("a/b=c/d.png:0.7"), whole("a/b", "c/d.png", 0.7, 0.0, 1.0));
        assert_eq!(parts("canny=-:0.5:0.1:0.6"), whole("canny", "-", 0.5, 0.1, 0.6));
        assert_eq!(parts("x=C:\\a.png:1:0.25"), whole("x", "C:\\a.png", 1.0, 0.25, 1.0));
        assert_eq!(parts("union#Line_Art=a.png"), whole("union", "a.png", 1.0, 0.0, 1.0));
        assert_eq!(parse("union#Line_Art=a.png").unwrap().kind.as_deref(), Some("line-art"));
        assert_eq!(parse("a#b/net#canny=a.png").unwrap().model, "a#b/net");
        assert_eq!(parts("x=a=b:c.png"), whole("x", "a=b:c.png", 1.0, 0.0, 1.0));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("photo:2");
        std::fs::write(&path, "").unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(parts(&format!("x={path}")), whole("x", path, 1.0, 0.0, 1.0));
        assert_eq!(parts(&format!("x={path}:0.5")), whole("x", path, 0.5, 0.0, 1.0));
    }

    #[test]
    fn what_is_no_control_is_refused_with_its_form() {
        for (text, word) in [
            ("edges.png", "which ControlNet"),
            ("=a.png", "which ControlNet"),
            ("canny=", "which ControlNet"),
            ("canny=:1", "no picture"),
            ("canny=a.png:-1", "scale -1"),
            ("canny=a.png:6", "scale 6"),
            ("canny=a.png:nan", "scale NaN"),
            ("canny=a.png:1:0.7:0.3", "starts at 0.7 and ends at 0.3"),
            ("canny=a.png:1:0:2", "end 2"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
            assert!(error.to_string().contains(word) && error.hint().is_some(), "{text}: {error}");
        }
    }
}
