//! Convolution of pictures, channels first: with any square window, and faster with one of 3x3.
//!
//! `direct` computes it as one product for any window, `winograd`, its `grid` and its `transform` with a quarter of the multiplications
//! where the window is 3x3 and moves by one pixel; `source` reads the pictures for both. [`Filters`] are the weights in the form that
//! one of the two wants.

mod direct;
mod grid;
mod source;
#[cfg(test)]
mod tests;
mod transform;
mod winograd;

use super::elementwise::Function;
use super::gemm::{Kernel, Packed, Side, Values};

/// Pictures that a convolution is given, [batch, channels, height, width].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pictures {
    /// Number of pictures.
    pub batch: usize,
    /// Channels of each.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// The size to enlarge to first, each pixel the nearest: height and width.
    pub enlarged: Option<(usize, usize)>,
}

/// The square window of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Side.
    pub kernel: usize,
    /// Step between outputs.
    pub stride: usize,
    /// Zeros above and to the left.
    pub before: usize,
    /// Zeros below and to the right.
    pub after: usize,
}

/// What is done with the sums: `function(sum + bias + shift) + residual`.
#[derive(Debug, Clone, Copy)]
pub struct Finish<'a> {
    /// A value for each output channel.
    pub bias: &'a [f32],
    /// A value for each picture and output channel, [batch, outputs].
    pub shift: Option<&'a [f32]>,
    /// A function of the result.
    pub function: Option<Function>,
    /// Added at last, [batch, outputs, height, width].
    pub residual: Option<&'a [f32]>,
}

impl Pictures {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch * self.channels * self.height * self.width
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Height and width as the window sees them.
    fn size(&self) -> (usize, usize) {
        self.enlarged.unwrap_or((self.height, self.width))
    }
}

impl Window {
    /// Height and width of the output for `pictures`; none if they are smaller than the window.
    #[must_use]
    pub fn outputs(&self, pictures: &Pictures) -> Option<(usize, usize)> {
        let side = |side: usize| {
            Some((side + self.before + self.after).checked_sub(self.kernel)?.checked_div(self.stride)? + 1)
        };
        let (height, width) = pictures.size();
        Some((side(height)?, side(width)?))
    }
}

/// How a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// As one product.
    Direct,
    /// By Winograd's minimal filtering, 4x4 outputs at a time (Lavin and Gray 2016).
    Winograd,
}

/// The weights of a convolution, packed once.
#[derive(Debug, Clone)]
pub struct Filters {
    packed: Packed,
    method: Method,
    window: Window,
}

/// Channels and outputs from which on transforming pays, measured: with fewer the transforms take as long as what they save.
const LEAST_FOR_WINOGRAD: usize = 96;

impl Method {
    /// The faster one.
    #[must_use]
    pub fn fastest(kernel: &Kernel, [outputs, channels]: [usize; 2], window: &Window) -> Self {
        let wide = outputs.min(channels) >= LEAST_FOR_WINOGRAD;
        if wide && Self::Winograd.applies(kernel, window) {
            Method::Winograd
        } else {
            Method::Direct
        }
    }

    /// Whether it can compute such a convolution.
    fn applies(self, kernel: &Kernel, window: &Window) -> bool {
        self == Method::Direct || window.kernel == 3 && window.stride == 1 && !kernel.pairs()
    }
}

impl Filters {
    /// Packs weights [outputs, channels, kernel, kernel] for `method`.
    ///
    /// # Panics
    /// When there are not that many values, or the method cannot compute such a convolution.
    #[must_use]
    pub fn new(kernel: Kernel, method: Method, values: Values, shape: [usize; 2], window: Window) -> Self {
        assert!(method.applies(&kernel, &window));
        let [outputs, channels] = shape;
        let shape = [outputs, channels, window.kernel * window.kernel];
        let packed = match method {
            Method::Direct => Packed::weights(kernel, Side::Rows, values, shape),
            Method::Winograd => Packed::groups(kernel, values, shape, winograd::GROUP),
        };
        Filters { packed, method, window }
    }

    /// Number of outputs.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.packed.lines()
    }

    /// Bytes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.packed.bytes()
    }
}

/// The convolution of `x` (which lies as `pictures` says) with `filters`, to `out` [batch, outputs, height', width'].
///
/// # Panics
/// When the slices have other sizes, or the pictures are smaller than the window.
pub fn conv2d(x: &[f32], pictures: &Pictures, filters: &Filters, finish: &Finish, out: &mut [f32]) {
    let Filters { packed, method, window } = filters;
    let Some((height, width)) = window.outputs(pictures) else { return assert!(out.is_empty(), "no output") };
    assert!(x.len() == pictures.len() && out.len() == pictures.batch * packed.lines() * height * width);
    if pictures.is_empty() || out.is_empty() {
        return out.fill(0.0);
    }
    match method {
        Method::Direct => direct::conv2d(x, pictures, window, packed, finish, [height, width], out),
        Method::Winograd => winograd::conv2d(x, pictures, window, packed, finish, [height, width], out),
    }
}
