//! Blocks of panels from lines of weights: where each unit of a block comes from, and the ways to bring many there at once.

use super::super::isa::Isa;
use super::super::transpose::{turn_floats, turn_halves};
use super::packed::{Panels, Side};

/// Lines that are read side by side where units are brought one by one, fewer than the ways of a first-level cache.
const LINES: usize = 8;

/// Where the values of a unit lie in a line: of the first, and whether the next channel's follows.
pub(super) type Place = (usize, bool);

/// How the units of lines become those of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As they lie in the line.
    Same,
    /// Each block is a group of channels: nine taps for each channel in the line, a channel for each tap in the block.
    Taps9,
    /// As the places say.
    Places,
}

/// A type of units that is brought to its places whole.
pub(super) trait Whole: Copy + Default {
    /// `count` lines from `lines`, each with `len` values, of which those from `first` on become `to` [units][height].
    fn turn(isa: Isa, lines: &[Self], len: usize, first: usize, height: usize, to: &mut [Self]);
}

impl Whole for u16 {
    fn turn(isa: Isa, lines: &[Self], len: usize, first: usize, height: usize, to: &mut [Self]) {
        turn_halves(isa, lines, len, first, height, to);
    }
}

impl Whole for f32 {
    fn turn(isa: Isa, lines: &[Self], len: usize, first: usize, height: usize, to: &mut [Self]) {
        turn_floats(isa, lines, len, first, height, to);
    }
}

/// The blocks of a panel from lines whose values are units already.
pub(super) fn arrange_whole<T: Whole>(
    isa: Isa,
    panels: &Panels,
    panel: usize,
    (lines, len): (&[T], usize),
    (order, places): (Order, &[Place]),
    blocks: &mut [&mut [T]],
) {
    match (order, panels.side) {
        (Order::Same, Side::Columns) => {
            for (block, out) in blocks.iter_mut().enumerate() {
                T::turn(isa, lines, len, panels.block(block).start, panels.height_of(panel), out);
            }
        }
        (Order::Same, Side::Rows) => {
            for (block, out) in blocks.iter_mut().enumerate() {
                let units = panels.block(block);
                let out = out.chunks_exact_mut(units.len()).zip(lines.chunks_exact(len));
                out.for_each(|(out, line)| out.copy_from_slice(&line[units.clone()]));
            }
        }
        (Order::Taps9, Side::Rows) => {
            for (block, out) in blocks.iter_mut().enumerate() {
                let units = panels.block(block);
                for (out, line) in out.chunks_exact_mut(units.len()).zip(lines.chunks_exact(len)) {
                    let (channels, _) = line[units.clone()].as_chunks::<9>();
                    for (tap, out) in out.chunks_exact_mut(channels.len().max(1)).enumerate().take(9) {
                        out.iter_mut().zip(channels).for_each(|(to, taps)| *to = taps[tap]);
                    }
                }
            }
        }
        (Order::Taps9 | Order::Places, _) => {
            arrange(panels, panel, (lines, len), places, |line, (place, _)| line[place], blocks);
        }
    }
}

/// The blocks of a panel from its lines, where `unit` makes one of a line and a place.
pub(super) fn arrange<S: Copy, U: Copy>(
    panels: &Panels,
    panel: usize,
    (lines, len): (&[S], usize),
    places: &[Place],
    unit: impl Fn(&[S], Place) -> U,
    blocks: &mut [&mut [U]],
) {
    let (height, count) = (panels.height_of(panel), panels.lines_of(panel).len());
    for (block, out) in blocks.iter_mut().enumerate() {
        let places = &places[panels.block(block)];
        match panels.side {
            Side::Rows => {
                for (out, line) in out.chunks_exact_mut(places.len()).zip(lines.chunks_exact(len)) {
                    out.iter_mut().zip(places).for_each(|(to, place)| *to = unit(line, *place));
                }
            }
            Side::Columns => {
                for first in (0..count).step_by(LINES) {
                    let some = &lines[first * len..(first + LINES).min(count) * len];
                    for (out, place) in out.chunks_exact_mut(height).zip(places) {
                        let out = out[first..].iter_mut().zip(some.chunks_exact(len));
                        out.for_each(|(to, line)| *to = unit(line, *place));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kernel, Rounding};
    use super::*;

    #[test]
    fn every_way_leads_to_the_same_places() {
        for isa in Isa::all() {
            let kernel = Kernel::new(isa, Rounding::None);
            for (side, lines, channels, taps, order) in [
                (Side::Columns, 70, 150, 1, Order::Same),
                (Side::Columns, 48, 16, 1, Order::Same),
                (Side::Rows, 37, 150, 1, Order::Same),
                (Side::Rows, 37, 150, 9, Order::Taps9),
                (Side::Rows, 5, 64, 9, Order::Taps9),
            ] {
                let (group, units) = (if taps == 9 { 64 } else { channels }, channels * taps);
                let panels = Panels::new(&kernel, side, lines, units);
                let panels = if taps == 9 { panels.in_blocks_of(group * taps) } else { panels };
                let starts = (0..channels).step_by(group);
                let places: Vec<Place> = starts
                    .flat_map(|start| (0..taps).map(move |tap| (start..(start + group).min(channels), tap)))
                    .flat_map(|(channels, tap)| channels.map(move |channel| (channel * taps + tap, false)))
                    .collect();
                let halves: Vec<u16> = (0..lines * units).map(|i| i as u16).collect();
                let floats: Vec<f32> = (0..lines * units).map(|i| i as f32).collect();
                let all = |order| {
                    let mut out = (vec![9u16; panels.padded() * units], vec![9f32; panels.padded() * units]);
                    for (i, mut blocks) in panels.split(&mut out.0).into_iter().enumerate() {
                        let lines = panels.lines_of(i);
                        let lines = (&halves[lines.start * units..lines.end * units], units);
                        arrange_whole(isa, &panels, i, lines, (order, &places), &mut blocks);
                    }
                    for (i, mut blocks) in panels.split(&mut out.1).into_iter().enumerate() {
                        let lines = panels.lines_of(i);
                        let lines = (&floats[lines.start * units..lines.end * units], units);
                        arrange_whole(isa, &panels, i, lines, (order, &places), &mut blocks);
                    }
                    out
                };
                assert_eq!(all(order), all(Order::Places), "{isa} {side:?} {lines} {channels} {taps}");
            }
        }
    }
}
