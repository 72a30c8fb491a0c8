//! Tables of layers, read in both directions: the original code's names of a transformer, and diffusers'.

use super::original::Form;
use super::{number, Piece, Target};

/// A layer in the original code, and what it is here. Names end where those of its tensors begin: `img_in.` of `img_in.weight`.
pub(super) struct Layer {
    pub(super) original: &'static str,
    pub(super) ours: Ours,
}

/// What a layer of the original code is here.
#[derive(Clone, Copy)]
pub(super) enum Ours {
    /// One layer.
    One(&'static str),
    /// Several layers whose rows lie one below the other: their names, and how many equal parts of the rows each has.
    Rows(&'static [(&'static str, usize)]),
    /// One layer, the halves of whose rows stand the other way round: shift before scale in the original code, behind it here.
    Swapped(&'static str),
}

/// Blocks that are counted, and the layers of one.
pub(super) struct Blocks {
    pub(super) original: &'static str,
    pub(super) ours: &'static str,
    pub(super) layers: &'static [Layer],
}

/// All names of a network.
pub(super) struct Table {
    /// Layers outside of the blocks.
    pub(super) single: &'static [Layer],
    pub(super) blocks: &'static [Blocks],
}

pub(super) const fn one(original: &'static str, ours: &'static str) -> Layer {
    Layer { original, ours: Ours::One(ours) }
}

pub(super) const fn rows(original: &'static str, ours: &'static [(&'static str, usize)]) -> Layer {
    Layer { original, ours: Ours::Rows(ours) }
}

pub(super) const fn swapped(original: &'static str, ours: &'static str) -> Layer {
    Layer { original, ours: Ours::Swapped(ours) }
}

impl Table {
    /// The tensors of diffusers for an original name; none when the table does not have it.
    pub(super) fn ours(&self, name: &str) -> Vec<Target> {
        let in_block = self.blocks.iter().find_map(|blocks| {
            let (index, rest) = number(name.strip_prefix(blocks.original)?)?;
            Some(targets(blocks.layers, rest, &format!("{}{index}.", blocks.ours)))
        });
        in_block.unwrap_or_else(|| targets(self.single, name, ""))
    }

    /// The original name for one of diffusers, its place among those that are joined there, and what is done to the tensor.
    pub(super) fn original(&self, name: &str) -> Option<(String, usize, Form)> {
        let in_block = self.blocks.iter().find_map(|blocks| {
            let (index, rest) = number(name.strip_prefix(blocks.ours)?)?;
            let (original, place, form) = original(blocks.layers, rest)?;
            Some((format!("{}{index}.{original}", blocks.original), place, form))
        });
        in_block.or_else(|| original(self.single, name))
    }
}

fn targets(layers: &[Layer], name: &str, front: &str) -> Vec<Target> {
    let found = layers.iter().find_map(|layer| Some((layer, name.strip_prefix(layer.original)?)));
    let Some((layer, tensor)) = found else { return Vec::new() };
    let target = |ours: &str, piece| Target { name: format!("{front}{ours}{tensor}"), piece };
    match layer.ours {
        Ours::One(ours) => vec![target(ours, Piece::Whole)],
        Ours::Swapped(ours) => vec![target(ours, Piece::Swapped)],
        Ours::Rows(all) => {
            let of = all.iter().map(|(_, share)| share).sum();
            let mut end = 0;
            let piece = |(ours, share): &(&str, usize)| {
                let first = end;
                end += share;
                target(ours, Piece::Rows { first, end, of })
            };
            all.iter().map(piece).collect()
        }
    }
}

fn original(layers: &[Layer], name: &str) -> Option<(String, usize, Form)> {
    layers.iter().find_map(|layer| {
        let (ours, place, form) = match layer.ours {
            Ours::One(ours) => (ours, 0, Form::Whole),
            Ours::Swapped(ours) => (ours, 0, Form::Swapped),
            Ours::Rows(all) => {
                let place = all.iter().position(|(ours, _)| name.starts_with(ours))?;
                (all[place].0, place, Form::Joined(all.len()))
            }
        };
        Some((format!("{}{}", layer.original, name.strip_prefix(ours)?), place, form))
    })
}
