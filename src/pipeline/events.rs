//! What the pipeline tells whoever watches it: progress, notes, finished pictures.

use image::RgbImage;

use crate::image::Provenance;
use crate::Result;

/// A part of the work that takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading weights; counted in components.
    Load,
    /// Encoding the prompt.
    Encode,
    /// Encoding the picture to begin with.
    EncodePicture,
    /// Denoising; counted in steps.
    Sample,
    /// Latents to pixels; counted in pictures.
    Decode,
    /// Merging LoRAs into one; counted in tensors.
    Merge,
    /// Writing weights; counted in tensors.
    Write,
}

/// Something that happened.
pub enum Event<'a> {
    /// A phase begins, with its number of units.
    Begin {
        /// Which.
        phase: Phase,
        /// How many units it has.
        total: usize,
    },
    /// So many units of a phase are done.
    Progress {
        /// Which.
        phase: Phase,
        /// Units done.
        done: usize,
    },
    /// A phase is over.
    End {
        /// Which.
        phase: Phase,
        /// How long it took.
        seconds: f64,
    },
    /// Something the user should know that is no problem: a choice that was made for them.
    Note(&'a str),
    /// Something the user probably did not want: an input that was cut, replaced or ignored.
    Warning(&'a str),
    /// A picture of a step that is not the last.
    Intermediate {
        /// Which picture of the batch, from 0.
        index: usize,
        /// The step just done, from 1.
        step: usize,
        /// The predicted final picture at this step.
        picture: &'a RgbImage,
    },
    /// A cheap guess of the picture at a step, of the first of a batch, for showing only.
    Preview {
        /// The pixels, of the result's size.
        picture: &'a RgbImage,
    },
    /// A finished picture.
    Picture {
        /// Which picture of the batch, from 0.
        index: usize,
        /// The pixels.
        picture: &'a RgbImage,
        /// What made it, beyond the request.
        provenance: &'a Provenance,
    },
}

/// A watcher of the pipeline.
pub trait Events {
    /// Called for each event, in order.
    ///
    /// # Errors
    /// An error ends the run: [`crate::Error::Interrupted`] is how a watcher cancels it.
    fn on(&mut self, event: Event<'_>) -> Result<()>;
}

/// Hears nothing: for work that was told of before.
pub(super) struct Silent;

impl Events for Silent {
    fn on(&mut self, _: Event<'_>) -> Result<()> {
        Ok(())
    }
}
