//! Large feature maps worked on some rows at a time, so that what lies between two of them never exists as a whole.
//!
//! The results are those of working on the whole: convolutions are given the rows around a strip, and norms the statistics of all
//! strips, for which a strip is computed once more.

use std::ops::Range;

use candle_core::{Result, Tensor};

use crate::nn::Upsample2d;

/// Rows of a strip at least, so that those around it do not become the greater part.
const LEAST_ROWS: usize = 16;

/// A feature map whose rows are to be had a few at a time.
#[derive(Clone, Copy)]
pub(crate) struct FeatureMap<'a> {
    /// [b, c, h, w].
    pub x: &'a Tensor,
    /// Doubles the size of `x`; what it makes is computed again whenever rows are asked for.
    pub upsampler: Option<&'a Upsample2d>,
    /// Values of a strip at most, unless its rows are few.
    pub values: usize,
}

impl FeatureMap<'_> {
    /// Rows.
    pub(crate) fn height(&self) -> Result<usize> {
        Ok(self.x.dim(2)? * if self.upsampler.is_some() { 2 } else { 1 })
    }

    /// The strips to work on, from top to bottom.
    pub(crate) fn strips(&self) -> Result<Vec<Range<usize>>> {
        let (batch, channels, _, width) = self.x.dims4()?;
        let row = batch * channels * width * if self.upsampler.is_some() { 2 } else { 1 };
        let (height, rows) = (self.height()?, (self.values / row.max(1)).max(LEAST_ROWS));
        Ok((0..height).step_by(rows).map(|start| start..(start + rows).min(height)).collect())
    }

    /// Some rows, [b, c, rows, w].
    pub(crate) fn rows(&self, range: Range<usize>) -> Result<Tensor> {
        let Some(upsampler) = self.upsampler else { return self.x.narrow(2, range.start, range.len()) };
        // With a row around those that are enlarged: the convolution's border of zeros is that of the picture alone.
        let small = (range.start / 2).saturating_sub(1)..(range.end.div_ceil(2) + 1).min(self.x.dim(2)?);
        let y = upsampler.forward(&self.x.narrow(2, small.start, small.len())?, None)?;
        y.narrow(2, range.start - 2 * small.start, range.len())
    }

    /// The rows of `strip` with up to `around` more on both sides, and where the strip lies in them.
    pub(crate) fn rows_around(&self, strip: &Range<usize>, around: usize) -> Result<(Tensor, Range<usize>)> {
        let start = strip.start.saturating_sub(around);
        let rows = self.rows(start..(strip.end + around).min(self.height()?))?;
        Ok((rows, strip.start - start..strip.end - start))
    }
}

/// A feature map that is put together strip by strip.
pub(crate) struct Assembly {
    height: usize,
    whole: Option<Tensor>,
}

impl Assembly {
    /// One of `height` rows.
    pub(crate) fn new(height: usize) -> Self {
        Assembly { height, whole: None }
    }

    /// Puts the rows `part` of `y` [b, c, rows, w] at row `start`.
    pub(crate) fn put(&mut self, start: usize, y: &Tensor, part: Range<usize>) -> Result<()> {
        let (batch, channels, _, width) = y.dims4()?;
        let whole = match self.whole.take() {
            Some(whole) => whole,
            None => Tensor::zeros((batch, channels, self.height, width), y.dtype(), y.device())?,
        };
        whole.slice_set(&y.narrow(2, part.start, part.len())?.contiguous()?, 2, start)?;
        self.whole = Some(whole);
        Ok(())
    }

    /// The whole.
    pub(crate) fn finish(self) -> Result<Tensor> {
        match self.whole {
            Some(whole) => Ok(whole),
            None => candle_core::bail!("a feature map without rows"),
        }
    }
}
