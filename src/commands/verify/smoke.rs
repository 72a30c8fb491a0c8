//! A short run: whether a model paints at all, how long it takes and how much memory.

use std::io;
use std::time::Instant;

use image::{ImageFormat, Rgba, RgbaImage};
use tempfile::TempPath;

use super::check::said;
use super::report::RunReport;
use crate::hub;
use crate::image::input::Alpha;
use crate::pipeline::{self, ComputeOptions, Engine, Event, Events, Family, Machine, Plan, Sees, Watch};
use crate::request::{Control, Inpaint, Input, Parts, PictureFile, Preprocessing};
use crate::ui::Ui;
use crate::{Error, Request, Result};

/// Steps of the run: one has no second step whose history a sampler could get wrong.
const STEPS: usize = 2;
/// Longest side of the picture: the parts are the same at any size, and so it takes seconds.
const SIDE: usize = 256;

/// Paints a small picture with a model, which reports call `name`. Only an interrupt is an error: everything else that fails is told in the report.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn run(name: &str, model: &str, parts: Parts, compute: ComputeOptions, ui: &mut Ui) -> Result<RunReport> {
    let start = Instant::now();
    let mut report = RunReport { target: name.into(), ..RunReport::default() };
    forget_peak_memory();
    match paint(model, parts, compute, &mut report, ui) {
        Ok(()) => {}
        Err(Error::Interrupted) => return Err(Error::Interrupted),
        Err(e) => report.problems.push(said(&e)),
    }
    report.seconds = start.elapsed().as_secs_f64();
    report.peak_bytes = pipeline::peak_resident();
    Ok(report)
}

fn paint(model: &str, parts: Parts, compute: ComputeOptions, report: &mut RunReport, ui: &mut Ui) -> Result<()> {
    let mut request = Request { model: model.into(), parts, ..Request::default() };
    request.prompt.text = "a red apple".into();
    request.sampling.steps = Some(STEPS);
    request.sampling.seed = Some(0);
    let family = Family::detect(&hub::resolve(&request.model, &request.parts)?)?;
    let sees = family.sees();
    // The file goes when this ends.
    let with_hole = matches!(sees, Sees::MaskedPicture | Sees::Map).then(picture_with_hole).transpose()?;
    if let Some(path) = &with_hole {
        let picture = PictureFile { file: path.to_string_lossy().into_owned(), sha256: None };
        if sees == Sees::Map {
            let control =
                Control { model: "canny".into(), picture, preprocessor: Preprocessing::None, ..Control::default() };
            request.controls = vec![control];
        } else {
            request.input = Some(Input { picture, alpha: Alpha::Mask, ..Input::default() });
            request.inpaint = Some(Inpaint::default());
        }
    }
    let (width, height) = Plan::new(&request)?.size();
    (request.image.width, request.image.height) = (Some(width.min(SIDE)), Some(height.min(SIDE)));
    let plan = Plan::new(&request)?;
    (report.width, report.height) = plan.size();
    report.steps = plan.schedule.steps();
    pipeline::run(&plan, &mut Engine::new(Machine::new(compute)?), Watch::default(), &mut Quiet(ui))
}

/// What models for inpainting are shown: a picture whose middle is transparent, and so is both picture and mask; to others it is a map.
fn picture_with_hole() -> Result<TempPath> {
    let middle = SIDE as u32 / 4..SIDE as u32 * 3 / 4;
    let picture = RgbaImage::from_fn(SIDE as u32, SIDE as u32, |x, y| {
        let alpha = if middle.contains(&x) && middle.contains(&y) { 0 } else { 255 };
        Rgba([x as u8, y as u8, 128, alpha])
    });
    let file = tempfile::Builder::new().suffix(".png").tempfile().map_err(Error::io("write", std::env::temp_dir()))?;
    let path = file.into_temp_path();
    let saved = picture.save_with_format(&path, ImageFormat::Png);
    saved.map_err(|e| Error::io("write", &*path)(io::Error::other(e)))?;
    Ok(path)
}

/// Shows progress and warnings; the picture itself was checked by the pipeline and is dropped.
struct Quiet<'a>(&'a mut Ui);

impl Events for Quiet<'_> {
    fn on(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Picture { .. } | Event::Intermediate { .. } | Event::Preview { .. } | Event::Note(_) => Ok(()),
            event => self.0.on(event),
        }
    }
}

/// Makes the memory held now the peak. Files that were looked at before would count otherwise; where the system refuses, they do.
fn forget_peak_memory() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}
