//! Other programs' names for the tensors of a component -> the names of diffusers and transformers, which the models use.
//!
//! The tables are in [`unet`], [`controlnet`], [`vae`] and [`clip`]: a stored name gives one tensor or several (fused projections are cut).
//! [`Renamed`] shows a file's tensors under their new names; nothing is read before it is asked for, and nothing is kept. [`Restored`]
//! is the way back for tensors that were changed on the way.

pub mod clip;
pub mod controlnet;
pub mod depth_anything;
mod original;
mod renamed;
mod restored;
#[cfg(test)]
mod tests;
pub mod unet;
pub mod vae;

pub use original::{open_clip_originals, unet_originals, Original};
pub use renamed::Renamed;
pub use restored::Restored;

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
    /// The first, second or last third of its rows: queries, keys and values that are stored as one.
    Third(usize),
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

/// Replaces the front of a name by the first entry of the table that it begins with.
fn replace_front(name: &str, table: &[(&str, &str)]) -> Option<String> {
    table.iter().find_map(|(from, to)| Some(format!("{to}{}", name.strip_prefix(from)?)))
}

/// The number at the front of a name and what follows the dot behind it: `4.1.norm.weight` is 4 and `1.norm.weight`.
fn number(name: &str) -> Option<(usize, &str)> {
    let (number, rest) = name.split_once('.')?;
    Some((number.parse().ok()?, rest))
}
