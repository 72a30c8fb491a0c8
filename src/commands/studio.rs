//! [`Studio`]: the watcher of a run that writes its pictures. All commands that make pictures share it.

use std::path::PathBuf;
use std::time::Instant;

use image::RgbImage;

use crate::image::{encode, metadata, MetadataMode, Number, Output, Provenance, SamplerLabels};
use crate::pipeline::{Event, Events, Plan};
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

/// Shows what happens, and writes pictures as they come.
pub struct Studio<'a> {
    ui: &'a mut Ui,
    output: &'a Output,
    metadata: MetadataMode,
    intermediates: Option<Intermediates>,
    request: Request,
    model: String,
    /// Of the first picture of the request.
    number: Number,
    made: usize,
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
        Studio { ui, output, metadata, intermediates, request, model, number, made: 0, started: Instant::now() }
    }

    /// What is said besides the pictures.
    pub fn ui(&mut self) -> &mut Ui {
        self.ui
    }

    /// The pictures to come are those of this plan, counted from `number`.
    pub fn begin(&mut self, plan: &Plan, number: Number) {
        self.request = plan.request.clone();
        self.model = plan.files.name();
        self.number = number;
        self.started = Instant::now();
    }

    /// Pictures that were written.
    #[must_use]
    pub fn made(&self) -> usize {
        self.made
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
        let texts = metadata(self.metadata, &self.request, batch_index, &self.labels(), provenance);
        let number = self.number(batch_index);
        let written = self.output.write(&encode(picture, &texts)?, &self.request, &self.model, number)?;
        self.made += 1;
        if let Some(note) = &written.note {
            self.ui.note(note);
        }
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
        let number = self.number(batch_index);
        let (png, which) = (encode(picture, &[])?, (self.model.as_str(), number));
        let (what, folder) = (format!("step-{step:03}"), intermediates.folder.as_deref());
        let path = self.output.write_beside(&png, &self.request, which, &what, folder)?;
        self.ui.intermediate(&path, number.index, step);
        Ok(())
    }

    /// What A1111 calls the sampler.
    fn labels(&self) -> SamplerLabels {
        let sampling = &self.request.sampling;
        let sampler = sampling.scheduler.unwrap_or(Sampler::Ddim);
        let (sampler, schedule_type) = sampler.a1111_label(sampling.sigmas.unwrap_or(SigmaSpacing::Normal));
        SamplerLabels { sampler: sampler.into(), schedule_type: schedule_type.into() }
    }
}

impl Events for Studio<'_> {
    fn on(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Picture { index, picture, provenance } => self.picture(index, picture, provenance),
            Event::Intermediate { index, step, picture } => self.intermediate(index, step, picture),
            event => self.ui.on(event),
        }
    }
}
