//! Pictures: whether they are whole, and with `--reproduce` whether their recipe makes them again.

use std::path::Path;
use std::time::Instant;

use image::RgbImage;

use super::check::said;
use super::report::PictureReport;
use crate::cli::VerifyArgs;
use crate::image::{check_picture, read_texts, SdgenChunk};
use crate::nn::Precision;
use crate::pipeline::{self, ComputeOptions, Engine, Event, Events, Machine, Plan, Watch};
use crate::recipe::{model_here, places::Places};
use crate::ui::Ui;
use crate::{Error, Result};

/// Looks at a picture, and with `--reproduce` makes it again.
///
/// # Errors
/// With `--reproduce`: [`Error::Model`] when the picture has no recipe, or its model is not there; otherwise what ended the work.
pub fn check(path: &Path, args: &VerifyArgs, ui: &mut Ui) -> Result<PictureReport> {
    let start = Instant::now();
    let target = path.display().to_string();
    let bytes = crate::files::read_small(path).map_err(Error::io("read", path))?;
    let chunk = read_texts(&bytes).map(|texts| SdgenChunk::find(&texts)).transpose().map(Option::flatten);
    let mut report = PictureReport { target, ..PictureReport::default() };
    let picture = match image::load_from_memory(&bytes) {
        Ok(picture) => Some(picture.into_rgb8()),
        Err(e) => {
            report.problems.push(format!("the picture is damaged: {e}"));
            None
        }
    };
    if let Some(picture) = &picture {
        (report.width, report.height) = picture.dimensions();
        report.problems.extend(check_picture(picture).err().map(|e| e.to_string()));
    }
    match chunk {
        Ok(chunk) => {
            report.recipe = chunk.is_some();
            if let Some(picture) = picture.filter(|_| args.reproduce && report.problems.is_empty()) {
                let chunk = chunk.ok_or_else(|| without_recipe(path))?;
                again(&chunk, &picture, args, &mut report, ui)?;
            }
        }
        Err(e) => report.problems.push(said(&e)),
    }
    report.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}

fn without_recipe(path: &Path) -> Error {
    Error::model(
        format!("`{}` has no recipe: nothing says how sdgen made it", path.display()),
        "take the original file: web sites and editors remove such texts, and `--metadata none` and `a1111` write none",
    )
}

/// Runs the recipe and compares.
fn again(
    chunk: &SdgenChunk,
    picture: &RgbImage,
    args: &VerifyArgs,
    report: &mut PictureReport,
    ui: &mut Ui,
) -> Result<()> {
    let mut request = chunk.request.clone();
    let main = chunk.made_with.model.files.first().map(|file| file.sha256.as_str());
    request.model = match args.model()? {
        Some(model) => model,
        None => model_here(&request.model, main, &Places::of_process())?,
    };
    let plan = Plan::new(&request)?;
    let made_with = &chunk.made_with;
    let mut engine = Engine::new(Machine::new(compute(args.compute.options(), &made_with.dtype))?);
    let mut watcher = Kept { ui, index: chunk.batch_index, picture: None, files: Vec::new() };
    pipeline::run(&plan, &mut engine, Watch::default(), &mut watcher)?;
    for file in &made_with.model.files {
        let now = watcher.files.iter().find(|(name, _)| *name == file.name);
        if now.is_some_and(|(_, sha256)| *sha256 != file.sha256) {
            report.notes.push(format!("the model is another one: {} has changed", file.name));
        }
    }
    let Some(new) = watcher.picture else {
        report.problems.push(format!("its recipe makes no picture of number {}", chunk.batch_index));
        return Ok(());
    };
    compare(picture, &new, report);
    Ok(())
}

/// The precision that the picture was made in, unless another one is asked for.
fn compute(options: ComputeOptions, dtype: &str) -> ComputeOptions {
    let made_in = [Precision::F32, Precision::F16, Precision::Bf16].into_iter().find(|p| p.to_string() == dtype);
    ComputeOptions { precision: options.precision.or(made_in), ..options }
}

fn compare(old: &RgbImage, new: &RgbImage, report: &mut PictureReport) {
    if old.dimensions() != new.dimensions() {
        report.identical = Some(false);
        let (width, height) = new.dimensions();
        report.problems.push(format!("its recipe makes a picture of {width}x{height}"));
        return;
    }
    let differences = || old.as_raw().iter().zip(new.as_raw()).map(|(a, b)| a.abs_diff(*b));
    let max = differences().max().unwrap_or(0);
    let sum: u64 = differences().map(u64::from).sum();
    report.identical = Some(max == 0);
    report.max_difference = Some(max);
    report.mean_difference = Some(sum as f64 / old.as_raw().len().max(1) as f64);
    if max > 0 {
        report.problems.push("its recipe makes another picture".into());
    }
}

/// Shows progress and keeps one picture.
struct Kept<'a> {
    ui: &'a mut Ui,
    index: usize,
    picture: Option<RgbImage>,
    /// The model's files and their hashes.
    files: Vec<(String, String)>,
}

impl Events for Kept<'_> {
    fn on(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Picture { index, picture, provenance } if index == self.index => {
                self.picture = Some(picture.clone());
                self.files = provenance.model_files.iter().map(|f| (f.name.clone(), f.sha256.clone())).collect();
                Ok(())
            }
            Event::Picture { .. } | Event::Intermediate { .. } | Event::Preview { .. } => Ok(()),
            event => self.ui.on(event),
        }
    }
}
