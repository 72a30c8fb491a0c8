//! [`Studio`]: the watcher of a run that writes its pictures. All commands that make pictures share it.

use std::path::PathBuf;
use std::time::Instant;

use image::RgbImage;

use crate::image::{encode, metadata, MetadataMode, Output, Provenance, SamplerLabels};
use crate::pipeline::{Event, Events};
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
    /// Pictures written by earlier runs of the same command.
    written: usize,
    started: Instant,
}

impl<'a> Studio<'a> {
    /// A studio that writes to `output`.
    pub fn new(
        ui: &'a mut Ui,
        output: &'a Output,
        metadata: MetadataMode,
        intermediates: Option<Intermediates>,
        model: String,
    ) -> Self {
        let request = Request::default();
        Studio { ui, output, metadata, intermediates, request, model, written: 0, started: Instant::now() }
    }

    /// What is said besides the pictures.
    pub fn ui(&mut self) -> &mut Ui {
        self.ui
    }

    /// The pictures to come are those of this complete request.
    pub fn begin(&mut self, request: &Request) {
        self.request = request.clone();
        self.started = Instant::now();
    }

    /// The pictures of the request are done or given up: numbers go on after them.
    pub fn end(&mut self) {
        self.written += self.request.image.batch.unwrap_or(1);
    }

    /// Decoded pictures wanted of each so-many-th step.
    #[must_use]
    pub fn every(&self) -> Option<usize> {
        self.intermediates.as_ref().map(|i| i.every)
    }

    fn picture(&mut self, batch_index: usize, picture: &RgbImage, provenance: &Provenance) -> Result<()> {
        let texts = metadata(self.metadata, &self.request, batch_index, &self.labels(), provenance);
        let index = self.written + batch_index;
        let written = self.output.write(&encode(picture, &texts)?, &self.request, &self.model, index)?;
        if let Some(note) = &written.note {
            self.ui.note(note);
        }
        self.ui.written(&Announcement {
            path: written.path.as_deref(),
            index,
            seed: self.request.sampling.seed.unwrap_or_default(),
            width: picture.width(),
            height: picture.height(),
            seconds: self.started.elapsed().as_secs_f64(),
        });
        Ok(())
    }

    fn intermediate(&mut self, batch_index: usize, step: usize, picture: &RgbImage) -> Result<()> {
        let Some(intermediates) = &self.intermediates else { return Ok(()) };
        let index = self.written + batch_index;
        let (png, which) = (encode(picture, &[])?, (self.model.as_str(), index));
        let (what, folder) = (format!("step-{step:03}"), intermediates.folder.as_deref());
        let path = self.output.write_beside(&png, &self.request, which, &what, folder)?;
        self.ui.intermediate(&path, index, step);
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
