//! Other programs' names for the tensors of a component -> the names of diffusers and transformers, which the models use.
//!
//! The tables are in [`unet`], [`controlnet`], [`t2i_adapter`], [`vae`], [`clip`], [`flux`], [`mmdit`], [`siglip`] and [`t5`]: a stored
//! name gives one tensor or several (fused projections are cut). [`Renamed`] shows a file's tensors under their new names; nothing is
//! read before it is asked for, and nothing is kept. [`Restored`] is the way back for tensors that were changed on the way.

pub mod clip;
pub mod controlnet;
pub mod depth_anything;
pub mod flux;
pub mod mmdit;
mod original;
mod renamed;
mod restored;
pub mod siglip;
pub mod t2i_adapter;
pub mod t5;
mod table;
#[cfg(test)]
mod tests;
pub mod unet;
pub mod vae;

pub use original::{open_clip_originals, transformer_originals, unet_originals, Original, TransformerOriginal};
pub use renamed::Renamed;
pub use restored::Restored;

use std::ops::Range;

use candle_core::Tensor;

/// What a stored tensor becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name that the models use.
    pub name: String,
    /// What of the stored tensor it is.
    pub piece: Piece,
}

/// What of a stored tensor is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// All of it.
    Whole,
    /// Some of its rows: the parts `first..end` of `of` equal ones. Queries, keys and values that are stored as one are a third each.
    Rows {
        /// The first part.
        first: usize,
        /// The part behind the last.
        end: usize,
        /// All parts.
        of: usize,
    },
    /// Its rows, the second half of them first.
    Swapped,
    /// Its transpose.
    Transposed,
    /// A convolution with a 1x1 kernel as the matrix that it is.
    Matrix,
}

impl Target {
    fn whole(name: impl Into<String>) -> Self {
        Target { name: name.into(), piece: Piece::Whole }
    }
}

impl Piece {
    /// One of three equal parts.
    fn third(index: usize) -> Self {
        Piece::Rows { first: index, end: index + 1, of: 3 }
    }

    /// The rows that a piece is, of a stored tensor with so many. Rows are never cut, so that those that are stored as blocks of
    /// numbers can be taken as they are. `None` for pieces that are no rows which lie together, and where the rows do not divide into
    /// the parts.
    #[must_use]
    pub fn rows(self, stored: usize) -> Option<Range<usize>> {
        match self {
            Piece::Whole => Some(0..stored),
            Piece::Rows { first, end, of } if stored.is_multiple_of(of) => {
                Some(first * (stored / of)..end * (stored / of))
            }
            Piece::Rows { .. } | Piece::Swapped | Piece::Transposed | Piece::Matrix => None,
        }
    }
}

/// A tensor with the second half of its rows first.
fn swapped(tensor: &Tensor) -> candle_core::Result<Tensor> {
    let rows = tensor.dim(0)?;
    if rows % 2 == 1 {
        candle_core::bail!("its {rows} rows have no halves")
    }
    Tensor::cat(&[tensor.narrow(0, rows / 2, rows / 2)?, tensor.narrow(0, 0, rows / 2)?], 0)
}

/// Replaces the front of a name by the first entry of the table that it begins with.
fn replace_front(name: &str, table: &[(&str, &str)]) -> Option<String> {
    table.iter().find_map(|(from, to)| Some(format!("{to}{}", name.strip_prefix(from)?)))
}

/// The number at the front of a name and what follows the dot behind it: `4.1.norm.weight` is 4 and `1.norm.weight`.
fn number(name: &str) -> Option<(usize, &str)> {
    let (number, rest) = name.split_once('.')?;
    Some((number.parse().ok()?, rest))
}
