//! The picture that a request gives: where most models begin, and what FLUX.1 Kontext sees.

use std::sync::Arc;

use image::RgbImage;

use crate::pipeline::canvas::{Canvas, Prepared};
use crate::pipeline::reference::Reference;
use crate::pipeline::{Defaults, Family};
use crate::{Request, Result};

/// The picture that a request gives, as its model takes it.
#[derive(Default)]
pub(super) struct Given {
    pub(super) canvas: Option<Arc<Canvas>>,
    pub(super) reference: Option<Arc<RgbImage>>,
    pub(super) notes: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Given {
    /// Reads it: for most models what the run begins with, for FLUX.1 Kontext what it sees.
    ///
    /// # Errors
    /// As [`Canvas::prepare`] and [`Reference::prepare`].
    pub(super) fn read(request: &mut Request, defaults: &Defaults, family: &Family) -> Result<Self> {
        if family.appends_picture {
            let given = Reference::prepare(request, defaults.size, family)?.map(|reference| Given {
                canvas: None,
                reference: Some(Arc::new(reference.picture)),
                notes: reference.notes,
                warnings: reference.warnings,
            });
            return Ok(given.unwrap_or_default());
        }
        let prepared = Canvas::prepare(request, defaults.size, family.side_step())?;
        let given = prepared.map(|Prepared { canvas, notes }| Given {
            canvas: Some(Arc::new(canvas)),
            notes,
            ..Given::default()
        });
        Ok(given.unwrap_or_default())
    }
}
