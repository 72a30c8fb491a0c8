//! Weights that stay quantised: the blocks of ggml's programs and floats of eight bits, widened where they are multiplied.
//!
//! [`Quantized`] is a matrix of them, which shares its bytes with the file that they are mapped from. [`blocks`] widens blocks of 32
//! numbers, [`superblocks`] those of 256 (ggml's K quants), [`float8`] floats of eight bits. Values are those of ggml
//! (`ggml-quants.c`), with its order of multiplications, bit for bit.

mod blocks;
mod float8;
mod superblocks;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::isa::per_isa;
use super::Isa;

/// How numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Four bits and a scale for 32.
    Q4_0,
    /// Four bits, a scale and a least value for 32.
    Q4_1,
    /// Five bits and a scale for 32.
    Q5_0,
    /// Five bits, a scale and a least value for 32.
    Q5_1,
    /// Eight bits and a scale for 32.
    Q8_0,
    /// Two bits; scales and least values of four bits for 16, and those of f16 for 256.
    Q2K,
    /// Three bits; scales of six bits for 16, and one of f16 for 256.
    Q3K,
    /// Four bits; scales and least values of six bits for 32, and those of f16 for 256.
    Q4K,
    /// Five bits; scales and least values of six bits for 32, and those of f16 for 256.
    Q5K,
    /// Six bits; scales of eight bits for 16, and one of f16 for 256.
    Q6K,
    /// Floats with 4 bits of exponent and 3 of mantissa, without infinity.
    F8E4M3,
    /// Floats with 5 bits of exponent and 2 of mantissa.
    F8E5M2,
}

impl Format {
    /// Numbers in a block, and its bytes.
    #[must_use]
    pub fn block(self) -> (usize, usize) {
        match self {
            Format::Q4_0 => (32, 18),
            Format::Q4_1 => (32, 20),
            Format::Q5_0 => (32, 22),
            Format::Q5_1 => (32, 24),
            Format::Q8_0 => (32, 34),
            Format::Q2K => (256, 84),
            Format::Q3K => (256, 110),
            Format::Q4K => (256, 144),
            Format::Q5K => (256, 176),
            Format::Q6K => (256, 210),
            Format::F8E4M3 | Format::F8E5M2 => (1, 1),
        }
    }

    /// Numbers that are widened together: a block, or half of a large one.
    fn grain(self) -> usize {
        self.block().0.min(128)
    }

    /// Bytes of so many numbers; nothing when they are no whole blocks.
    #[must_use]
    pub fn bytes(self, numbers: usize) -> Option<usize> {
        let (block, bytes) = self.block();
        numbers.is_multiple_of(block).then(|| numbers / block * bytes)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Q4_0 => "q4_0",
            Format::Q4_1 => "q4_1",
            Format::Q5_0 => "q5_0",
            Format::Q5_1 => "q5_1",
            Format::Q8_0 => "q8_0",
            Format::Q2K => "q2_k",
            Format::Q3K => "q3_k",
            Format::Q4K => "q4_k",
            Format::Q5K => "q5_k",
            Format::Q6K => "q6_k",
            Format::F8E4M3 => "f8e4m3",
            Format::F8E5M2 => "f8e5m2",
        })
    }
}

/// A part of some bytes that several share: a mapped file, or memory.
#[derive(Clone)]
pub struct SharedBytes {
    all: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

impl SharedBytes {
    /// These of the bytes; nothing when there are not that many.
    #[must_use]
    pub fn new(all: Arc<dyn AsRef<[u8]> + Send + Sync>, range: Range<usize>) -> Option<Self> {
        (*all).as_ref().get(range.clone())?;
        Some(SharedBytes { all, range })
    }

    fn bytes(&self) -> &[u8] {
        (*self.all).as_ref().get(self.range.clone()).unwrap_or_default()
    }
}

/// What the numbers of a matrix are multiplied with.
#[derive(Debug, Clone)]
enum Scales {
    None,
    One(f32),
    Rows(Arc<[f32]>, Range<usize>),
}

/// A matrix of quantised numbers, whose rows are whole blocks. Cheap to clone.
#[derive(Clone)]
pub struct Quantized {
    format: Format,
    bytes: SharedBytes,
    rows: usize,
    columns: usize,
    scales: Scales,
}

impl fmt::Debug for Quantized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quantized({}, {}x{}, {:?})", self.format, self.rows, self.columns, self.scales)
    }
}

impl Quantized {
    /// A matrix [rows, columns] that lies row after row in `bytes`; nothing when its rows are no whole blocks or there are not as
    /// many bytes.
    #[must_use]
    pub fn new(format: Format, bytes: SharedBytes, [rows, columns]: [usize; 2]) -> Option<Self> {
        let need = format.bytes(columns)?.checked_mul(rows)?;
        (bytes.range.len() == need).then_some(Quantized { format, bytes, rows, columns, scales: Scales::None })
    }

    /// The same matrix times `scales`: one for all, or one for each row. Nothing when there are others, or some already.
    #[must_use]
    pub fn scaled(self, scales: &[f32]) -> Option<Self> {
        let scales = match (&self.scales, scales) {
            (Scales::None, [one]) => Scales::One(*one),
            (Scales::None, rows) if rows.len() == self.rows => Scales::Rows(rows.into(), 0..rows.len()),
            _ => return None,
        };
        Some(Quantized { scales, ..self })
    }

    /// Some of its rows, which share its bytes; nothing when it has not that many.
    #[must_use]
    pub fn slice_rows(&self, rows: Range<usize>) -> Option<Self> {
        if rows.start > rows.end || rows.end > self.rows {
            return None;
        }
        let (line, start) = (self.line(), self.bytes.range.start);
        let range = start + rows.start * line..start + rows.end * line;
        let scales = match &self.scales {
            Scales::Rows(scales, all) => Scales::Rows(scales.clone(), all.start + rows.start..all.start + rows.end),
            other => other.clone(),
        };
        let bytes = SharedBytes { range, ..self.bytes.clone() };
        Some(Quantized { bytes, rows: rows.len(), scales, ..self.clone() })
    }

    /// How its numbers are stored.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Rows and columns.
    #[must_use]
    pub fn dims(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// The bytes of its numbers.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.range.len()
    }

    /// Bytes of a row.
    fn line(&self) -> usize {
        self.size() / self.rows.max(1)
    }

    /// Numbers that are widened together: [`Quantized::widen`] takes no parts of them.
    pub(super) fn grain(&self) -> usize {
        self.format.grain()
    }

    /// All numbers of a row.
    ///
    /// # Panics
    /// When there is no such row, or `to` has another length.
    pub fn row(&self, isa: Isa, row: usize, to: &mut [f32]) {
        assert_eq!(to.len(), self.columns);
        self.widen(isa, row, 0, to);
    }

    /// The numbers of a row from `first` on, as many as `to` takes.
    ///
    /// # Panics
    /// When there is no such row, or it has not that many.
    pub(super) fn widen(&self, isa: Isa, row: usize, first: usize, to: &mut [f32]) {
        let grain = self.grain();
        assert!(first.is_multiple_of(grain) && to.len().is_multiple_of(grain) && first + to.len() <= self.columns);
        let line = self.line();
        widen(isa, self.format, &self.bytes.bytes()[row * line..(row + 1) * line], first / grain, to);
        let scale = match &self.scales {
            Scales::None => return,
            Scales::One(scale) => *scale,
            Scales::Rows(scales, range) => scales[range.start + row],
        };
        multiply(isa, scale, to);
    }
}

per_isa! {
    fn multiply(scale: f32, to: &mut [f32]) {
        to.iter_mut().for_each(|x| *x *= scale);
    }
}

per_isa! {
    /// The numbers of a line of blocks from grain `first` on.
    fn widen(format: Format, line: &[u8], first: usize, to: &mut [f32]) {
        match format {
            Format::Q4_0 => blocks::each(line, first, to, blocks::q4_0),
            Format::Q4_1 => blocks::each(line, first, to, blocks::q4_1),
            Format::Q5_0 => blocks::each(line, first, to, blocks::q5_0),
            Format::Q5_1 => blocks::each(line, first, to, blocks::q5_1),
            Format::Q8_0 => blocks::each(line, first, to, blocks::q8_0),
            Format::Q2K => superblocks::each(line, first, to, superblocks::q2_k),
            Format::Q3K => superblocks::each(line, first, to, superblocks::q3_k),
            Format::Q4K => superblocks::each(line, first, to, superblocks::q4_k),
            Format::Q5K => superblocks::each(line, first, to, superblocks::q5_k),
            Format::Q6K => superblocks::each(line, first, to, superblocks::q6_k),
            Format::F8E4M3 => float8::e4m3(&line[first..], to),
            Format::F8E5M2 => float8::e5m2(&line[first..], to),
        }
    }
}
