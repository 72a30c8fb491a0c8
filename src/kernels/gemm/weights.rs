//! Weights as files hold them to packed panels, once when a model is loaded.
//!
//! Values that are kept as they are stored only change places; others are rounded first, a panel at a time.

use std::ops::Range;

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use rayon::prelude::*;

use super::super::simd::floats_mut;
use super::arrange::{arrange, arrange_whole, Order, Place};
use super::encode::halve;
use super::kept::Kept;
use super::micro::Kernel;
use super::packed::{Packed, Panels, Side, Store};
use super::Rounding;

/// Values of weights as files hold them.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Half precision.
    F16(&'a [f16]),
    /// Half precision with the range of f32.
    Bf16(&'a [bf16]),
}

impl<'a> Values<'a> {
    /// The single-precision numbers that bytes are; `None` where they do not lie as this processor wants them.
    #[must_use]
    pub fn of_f32(bytes: &'a [u8]) -> Option<Self> {
        // SAFETY: all bits are an f32.
        #[expect(unsafe_code, reason = "numbers in a mapped file")]
        let parts = unsafe { bytes.align_to::<f32>() };
        Some(Values::F32(whole(parts)?))
    }

    /// As [`Values::of_f32`], of half precision.
    #[must_use]
    pub fn of_f16(bytes: &'a [u8]) -> Option<Self> {
        Some(Values::F16(halves(bytes)?.reinterpret_cast()))
    }

    /// As [`Values::of_f32`], of half precision with the range of f32.
    #[must_use]
    pub fn of_bf16(bytes: &'a [u8]) -> Option<Self> {
        Some(Values::Bf16(halves(bytes)?.reinterpret_cast()))
    }

    /// A part of the values; `None` when there are not that many.
    #[must_use]
    pub fn part(self, range: Range<usize>) -> Option<Self> {
        Some(match self {
            Values::F32(values) => Values::F32(values.get(range)?),
            Values::F16(values) => Values::F16(values.get(range)?),
            Values::Bf16(values) => Values::Bf16(values.get(range)?),
        })
    }
}

fn halves(bytes: &[u8]) -> Option<&[u16]> {
    // SAFETY: all bits are a u16.
    #[expect(unsafe_code, reason = "numbers in a mapped file")]
    let parts = unsafe { bytes.align_to::<u16>() };
    whole(parts)
}

/// All of some bytes as numbers, if nothing is left over and the bytes have this processor's order.
fn whole<'a, T>((before, values, after): (&[u8], &'a [T], &[u8])) -> Option<&'a [T]> {
    (before.is_empty() && after.is_empty() && cfg!(target_endian = "little")).then_some(values)
}

impl Values<'_> {
    /// Number of values.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "never asked")]
    pub fn len(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::F16(values) => values.len(),
            Values::Bf16(values) => values.len(),
        }
    }

    /// The values of `place`, widened.
    ///
    /// # Panics
    /// When there are not that many, or `to` has another length.
    pub fn read(&self, place: Range<usize>, to: &mut [f32]) {
        match self {
            Values::F32(values) => to.copy_from_slice(&values[place]),
            Values::F16(values) => values[place].convert_to_f32_slice(to),
            Values::Bf16(values) => values[place].convert_to_f32_slice(to),
        }
    }

    /// The smallest form that holds the values after `kernel` rounded them.
    fn kept(&self, kernel: &Kernel) -> Kept {
        match (kernel.pairs(), kernel.rounding(), self) {
            (true, ..) => Kept::Units,
            (_, Rounding::Bf16, _) | (_, Rounding::None, Values::Bf16(_)) => Kept::Bf16,
            (_, Rounding::F16, _) | (_, Rounding::None, Values::F16(_)) => Kept::F16,
            (_, Rounding::None, Values::F32(_)) => Kept::Units,
        }
    }
}

/// The lines of a matrix of weights along the depth as the product sees it: group by group of channels, in a group tap by tap, the
/// channels of a tap side by side.
struct Lines<'a> {
    kernel: Kernel,
    values: Values<'a>,
    channels: usize,
    taps: usize,
    group: usize,
}

impl Lines<'_> {
    /// Values of a line.
    fn len(&self) -> usize {
        self.channels * self.taps
    }

    /// How units become those of the blocks of `panels` where each is one value.
    fn order(&self, panels: &Panels) -> Order {
        let group = self.group.min(self.channels).max(1);
        let is_group = panels.block(0).len() == group * self.taps && panels.blocks() == self.channels.div_ceil(group);
        match self.taps {
            1 => Order::Same,
            9 if is_group => Order::Taps9,
            _ => Order::Places,
        }
    }

    /// Where each unit of a line comes from.
    fn places(&self) -> Vec<Place> {
        let step = if self.kernel.pairs() { 2 } else { 1 };
        let groups = (0..self.channels).step_by(self.group.max(1));
        let groups = groups.map(|start| start..(start + self.group).min(self.channels));
        let of_tap = |channels: Range<usize>, tap: usize| {
            let end = channels.end;
            channels.step_by(step).map(move |c| (c * self.taps + tap, c + 1 < end))
        };
        groups.flat_map(|channels| (0..self.taps).flat_map(move |tap| of_tap(channels.clone(), tap))).collect()
    }

    /// Lines as halves of the form `kept`, in `scratch` if they are not stored so.
    fn halves<'a>(&'a self, lines: Range<usize>, kept: Kept, scratch: &'a mut Halves) -> &'a [u16] {
        let place = lines.start * self.len()..lines.end * self.len();
        match (kept, self.values) {
            (Kept::F16, Values::F16(values)) => values[place].reinterpret_cast(),
            (Kept::Units | Kept::Bf16, Values::Bf16(values)) => values[place].reinterpret_cast(),
            _ => {
                scratch.wide.resize(place.len(), 0.0);
                scratch.halves.resize(place.len(), 0);
                self.values.read(place, &mut scratch.wide);
                halve(self.kernel.isa(), kept == Kept::F16, &scratch.wide, &mut scratch.halves);
                &scratch.halves
            }
        }
    }
}

/// Lines on their way to another type.
#[derive(Default)]
struct Halves {
    wide: Vec<f32>,
    halves: Vec<u16>,
}

impl Packed {
    /// Packs weights [lines, channels, taps] once, for many products. Values in half precision stay so.
    ///
    /// # Panics
    /// When there are not that many values.
    #[must_use]
    pub fn weights(kernel: Kernel, side: Side, values: Values, [lines, channels, taps]: [usize; 3]) -> Self {
        assert_eq!(values.len(), lines * channels * taps);
        let panels = Panels::new(&kernel, side, lines, taps * kernel.units(channels));
        Self::pack(&Lines { kernel, values, channels, taps, group: channels }, panels)
    }

    /// As [`Packed::weights`] for rows whose blocks are all taps of `group` channels: a row of a block is [taps, group].
    pub(crate) fn groups(kernel: Kernel, values: Values, [lines, channels, taps]: [usize; 3], group: usize) -> Self {
        assert!(values.len() == lines * channels * taps && !kernel.pairs());
        let panels = Panels::new(&kernel, Side::Rows, lines, taps * channels).in_blocks_of(group * taps);
        Self::pack(&Lines { kernel, values, channels, taps, group }, panels)
    }

    fn pack(source: &Lines, panels: Panels) -> Self {
        let (kernel, values, len) = (source.kernel, source.values, source.len());
        let (size, kept, places) = (panels.padded() * panels.units, values.kept(&kernel), source.places());
        let ways = (source.order(&panels), places.as_slice());
        let store = if let (Kept::Units, Values::F32(values), false) = (kept, values, kernel.pairs()) {
            let mut units = vec![0; size];
            panels.split(floats_mut(&mut units)).into_par_iter().enumerate().for_each(|(i, mut blocks)| {
                let lines = panels.lines_of(i);
                let lines = (&values[lines.start * len..lines.end * len], len);
                arrange_whole(kernel.isa(), &panels, i, lines, ways, &mut blocks);
            });
            Store::Units(units)
        } else if kept == Kept::Units {
            let pair = |line: &[u16], (place, two): Place| {
                let second = if two { line[place + source.taps] } else { 0 };
                u32::from(second) << 16 | u32::from(line[place])
            };
            let mut units = vec![0; size];
            let pieces = panels.split(&mut units).into_par_iter().enumerate();
            pieces.for_each_init(Halves::default, |scratch, (i, mut blocks)| {
                let lines = (source.halves(panels.lines_of(i), kept, scratch), len);
                arrange(&panels, i, lines, &places, pair, &mut blocks);
            });
            Store::Units(units)
        } else {
            let mut halves = vec![0; size];
            let pieces = panels.split(&mut halves).into_par_iter().enumerate();
            pieces.for_each_init(Halves::default, |scratch, (i, mut blocks)| {
                let lines = (source.halves(panels.lines_of(i), kept, scratch), len);
                arrange_whole(kernel.isa(), &panels, i, lines, ways, &mut blocks);
            });
            Store::Halves(kept, halves)
        };
        Packed { kernel, panels, store }
    }
}
