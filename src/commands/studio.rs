//! [`Studio`]: the watcher of a run that writes its pictures. All commands that make pictures share it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use image::RgbImage;

use crate::image::{encode, metadata, stored, MetadataMode, Number, Output, Provenance, SamplerLabels};
use crate::pipeline::{Event, Events, Plan};
use crate::recipe::places::Places;
use crate::sampling::{Sampler, SigmaSpacing};
use crate::ui::{Announcement, Ui};
use crate::{Request, Result};

/// Where pictures of steps go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intermediates {
    /// A folder; `None` is beside the picture.
    pub folder: Option<PathBuf>,
    /// Each so-many-th step.
    pub every: usize,
}

/// What became of the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Written.
    pub made: usize,
    /// Left as an earlier run made them.
    pub there: usize,
    /// Not to be made.
    pub missing: usize,
}

/// Shows what happens, and writes pictures as they come.
pub struct Studio<'a> {
    ui: &'a mut Ui,
    output: &'a Output,
    metadata: MetadataMode,
    intermediates: Option<Intermediates>,
    plan: Option<Plan>,
    places: Places,
    request: Request,
    model: String,
    /// Of the first picture of the request.
    number: Number,
    /// How the request is stored in its pictures, if they may be there from an earlier run.
    stored: Option<Request>,
    tally: Tally,
    /// The files of all pictures, when they are asked for.
    files: Option<Vec<PathBuf>>,
    started: Instant,
}

impl<'a> Studio<'a> {
    /// A studio that writes to `output`.
    pub fn new(
        ui: &'a mut Ui,
        output: &'a Output,
        metadata: MetadataMode,
        intermediates: Option<Intermediates>,
    ) -> Self {
        let (request, model, number) = (Request::default(), String::new(), Number::default());
        let (tally, started) = (Tally::default(), Instant::now());
        let (plan, places) = (None, Places::of_process());
        Studio {
            ui,
            output,
            metadata,
            intermediates,
            plan,
            places,
            request,
            model,
            number,
            stored: None,
            tally,
            files: None,
            started,
        }
    }

    /// What is said besides the pictures.
    pub fn ui(&mut self) -> &mut Ui {
        self.ui
    }

    /// The pictures to come are those of this plan, counted from `number`. `resume` is whether those that an earlier run has made
    /// are left as they are.
    pub fn begin(&mut self, plan: &Plan, number: Number, resume: bool) {
        self.plan = Some(plan.clone());
        self.request = plan.request.clone();
        self.model = plan.files.name();
        self.number = number;
        self.stored = resume.then(|| {
            let loras: Vec<&str> = plan.loras.iter().map(|lora| lora.label.as_str()).collect();
            stored(&plan.request, &self.model, &loras)
        });
        self.started = Instant::now();
    }

    /// From now on the files of pictures are remembered.
    pub fn remember_files(&mut self) {
        self.files.get_or_insert_default();
    }

    /// Those files, the ones of an earlier run among them.
    pub fn take_files(&mut self) -> Vec<PathBuf> {
        self.files.take().unwrap_or_default()
    }

    /// Whether all pictures of the request are there already, which is told then.
    pub fn is_done(&mut self) -> bool {
        let batch = self.request.image.batch.unwrap_or(1);
        let found: Option<Vec<PathBuf>> = (0..batch).map(|batch_index| self.find(batch_index)).collect();
        let Some(found) = found else { return false };
        found.iter().enumerate().for_each(|(batch_index, path)| self.skip(batch_index, path));
        true
    }

    /// What became of the pictures so far.
    pub fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn find(&self, batch_index: usize) -> Option<PathBuf> {
        let which = (self.model.as_str(), self.number(batch_index));
        self.output.find(&self.request, self.stored.as_ref()?, batch_index, which)
    }

    fn skip(&mut self, batch_index: usize, path: &Path) {
        self.tally.there += 1;
        self.files.iter_mut().for_each(|files| files.push(path.into()));
        self.ui.skipped(path, self.number(batch_index).index);
    }

    fn number(&self, batch_index: usize) -> Number {
        Number { index: self.number.index + batch_index, ..self.number }
    }

    /// Decoded pictures wanted of each so-many-th step.
    #[must_use]
    pub fn every(&self) -> Option<usize> {
        self.intermediates.as_ref().map(|i| i.every)
    }

    fn picture(&mut self, batch_index: usize, picture: &RgbImage, provenance: &Provenance) -> Result<()> {
        if let Some(path) = self.find(batch_index) {
            self.skip(batch_index, &path);
            return Ok(());
        }
        let texts = metadata(self.metadata, &self.request, batch_index, &labels(&self.request), provenance);
        let number = self.number(batch_index);
        let written = self.output.write(&encode(picture, &texts)?, &self.request, &self.model, number)?;
        self.tally.made += 1;
        self.files.iter_mut().for_each(|files| files.extend(written.path.clone()));
        if let (Some(plan), MetadataMode::Full, 0) = (&self.plan, self.metadata, batch_index) {
            self.places.remember_all(plan, provenance);
        }
        if let Some(note) = &written.note {
            self.ui.note(note);
        }
        self.ui.preview(picture, true);
        self.ui.written(&Announcement {
            path: written.path.as_deref(),
            index: number.index,
            seed: self.request.sampling.seed.unwrap_or_default(),
            width: picture.width(),
            height: picture.height(),
            seconds: self.started.elapsed().as_secs_f64(),
        });
        Ok(())
    }

    fn intermediate(&mut self, batch_index: usize, step: usize, picture: &RgbImage) -> Result<()> {
        let Some(intermediates) = &self.intermediates else { return Ok(()) };
        if batch_index == 0 && self.ui.shows_steps() {
            self.ui.preview(picture, false);
        }
        let number = self.number(batch_index);
        let (png, which) = (encode(picture, &[])?, (self.model.as_str(), number));
        let (what, folder) = (format!("step-{step:03}"), intermediates.folder.as_deref());
        let path = self.output.write_beside(&png, &self.request, which, &what, folder)?;
        self.ui.intermediate(&path, number.index, step);
        Ok(())
    }
}

/// What A1111 calls the sampler of a complete request.
pub fn labels(request: &Request) -> SamplerLabels {
    let sampling = &request.sampling;
    let sampler = sampling.scheduler.unwrap_or(Sampler::Ddim);
    let (sampler, schedule_type) = sampler.a1111_label(sampling.sigmas.unwrap_or(SigmaSpacing::Normal));
    SamplerLabels { sampler: sampler.into(), schedule_type: schedule_type.into() }
}

impl Events for Studio<'_> {
    fn on(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Picture { index, picture, provenance } => self.picture(index, picture, provenance),
            Event::Intermediate { index, step, picture } => self.intermediate(index, step, picture),
            Event::Preview { picture } => {
                self.ui.preview(picture, false);
                Ok(())
            }
            event => self.ui.on(event),
        }
    }
}
