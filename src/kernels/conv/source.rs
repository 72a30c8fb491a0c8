//! Lines of a padded, perhaps enlarged picture.

use std::ops::Range;

use super::super::gemm::Kernel;
use super::super::simd::prefetch;
use super::{Pictures, Window};

/// The pictures that a convolution sees.
pub(super) struct Source<'a> {
    x: &'a [f32],
    pictures: &'a Pictures,
    kernel: Kernel,
    /// Zeros above and to the left.
    before: usize,
    /// For an enlarged picture the pixel that each pixel of a row is.
    nearest: Option<Vec<usize>>,
}

/// Where pixels lie, counted with the border of zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub picture: usize,
    pub y: usize,
    pub x: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(x: &'a [f32], pictures: &'a Pictures, window: &Window, kernel: Kernel) -> Self {
        let nearest = pictures.enlarged.map(|(_, width)| (0..width).map(|x| x * pictures.width / width).collect());
        Source { x, pictures, kernel, before: window.before, nearest }
    }

    /// The pixels from `place` on of the channels in `unit`, rounded and paired as the kernel wants them; zeros outside the picture.
    pub(super) fn line(&self, unit: usize, place: Place, line: &mut [u32], scratch: &mut Vec<f32>) {
        let (height, width) = self.pictures.size();
        let inside = |x: usize| x.saturating_sub(place.x).min(line.len());
        let (start, end) = (inside(self.before), inside(self.before + width));
        let y = place.y.wrapping_sub(self.before);
        if y >= height || start == end {
            return line.fill(0);
        }
        line[..start].fill(0);
        line[end..].fill(0);
        let middle = &mut line[start..end];
        let first = place.x + start - self.before;
        let columns = first..first + middle.len();
        scratch.resize(2 * middle.len(), 0.0);
        let (even_scratch, odd_scratch) = scratch.split_at_mut(middle.len());
        if !self.kernel.pairs() {
            return self.kernel.encode(self.row(place.picture, unit, y, columns, even_scratch), middle);
        }
        let even = self.row(place.picture, 2 * unit, y, columns.clone(), even_scratch);
        if 2 * unit + 1 < self.pictures.channels {
            self.kernel.encode_pairs(even, self.row(place.picture, 2 * unit + 1, y, columns, odd_scratch), middle);
        } else {
            odd_scratch.fill(0.0);
            self.kernel.encode_pairs(even, odd_scratch, middle);
        }
    }

    /// Asks for the memory that [`Source::line`] will read for `count` pixels of the channel `unit`, where a unit is one channel.
    pub(super) fn prefetch(&self, unit: usize, place: Place, count: usize) {
        let Pictures { channels, height, width, enlarged, .. } = *self.pictures;
        let y = place.y.wrapping_sub(self.before);
        if enlarged.is_some() || self.kernel.pairs() || unit >= channels || y >= height {
            return;
        }
        let (start, end) = (place.x.saturating_sub(self.before), place.x + count);
        let row = &self.x[((place.picture * channels + unit) * height + y) * width..][..width];
        prefetch(&row[start.min(width)..end.min(width)]);
    }

    /// Some pixels of row `y`; `scratch` holds them if the picture is enlarged.
    fn row<'b>(
        &'b self,
        picture: usize,
        channel: usize,
        y: usize,
        columns: Range<usize>,
        scratch: &'b mut [f32],
    ) -> &'b [f32] {
        let Pictures { channels, height, width, enlarged, .. } = *self.pictures;
        let y = enlarged.map_or(y, |(tall, _)| y * height / tall);
        let row = &self.x[((picture * channels + channel) * height + y) * width..][..width];
        let Some(nearest) = &self.nearest else { return &row[columns] };
        scratch.iter_mut().zip(&nearest[columns]).for_each(|(to, x)| *to = row[*x]);
        scratch
    }
}
