//! Normalisation on the CPU: sums in f64, rows in parallel.

use candle_core::{bail, CpuStorage, CustomOp3, Layout, Result, Shape};
use rayon::prelude::*;

/// Normalises rows of a contiguous f32 tensor to mean 0 and variance 1, then scales and shifts them by channel.
///
/// Row `r` belongs to group `r % groups` and holds `channels / groups` channels of `span` values each: one group with a span of
/// 1 is layer normalisation, a span of height times width is group normalisation.
pub(super) struct NormaliseRows {
    /// Groups of channels.
    pub groups: usize,
    /// Values of one channel in a row.
    pub span: usize,
    /// Added to the variance.
    pub eps: f64,
}

impl CustomOp3 for NormaliseRows {
    fn name(&self) -> &'static str {
        "normalise-rows"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        scale: &CpuStorage,
        scale_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = values(x, x_layout)?;
        let (scale, shift) = (values(scale, scale_layout)?, values(shift, shift_layout)?);
        let channels = scale.len() / self.groups;
        let row = channels * self.span;
        if row == 0 || !x.len().is_multiple_of(row) || shift.len() != scale.len() {
            bail!("cannot normalise {:?} in rows of {row}", x_layout.shape());
        }
        let mut y = vec![0f32; x.len()];
        y.par_chunks_exact_mut(row).zip(x.par_chunks_exact(row)).enumerate().for_each(|(index, (y, x))| {
            let first = index % self.groups * channels;
            self.normalise(x, &scale[first..][..channels], &shift[first..][..channels], y);
        });
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }
}

impl NormaliseRows {
    fn normalise(&self, x: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32]) {
        let count = x.len() as f64;
        let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
        let variance = x.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
        let (mean, inverse) = (mean as f32, (variance + self.eps).sqrt().recip() as f32);
        let spans = y.chunks_exact_mut(self.span).zip(x.chunks_exact(self.span));
        for ((y, x), (scale, shift)) in spans.zip(scale.iter().zip(shift)) {
            y.iter_mut().zip(x).for_each(|(y, x)| *y = (x - mean) * inverse * scale + shift);
        }
    }
}

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("a norm needs contiguous f32 values"),
    }
}
