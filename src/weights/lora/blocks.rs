//! Weights by blocks of the UNet, as sd-webui-lora-block-weight and ComfyUI's Inspire pack have them.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::LoraError;
use crate::weights::names;

/// What block weights may look like, for hints.
pub(super) const FORM: &str = "give NAME=WEIGHT pairs, as in `MID=0.5,OUT=0`, or a number for each block: 17 for SD 1.x and 2.x (BASE, IN01, \
     IN02, IN04, IN05, IN07, IN08, MID, OUT03 to OUT11), 12 for SDXL (BASE, IN04, IN05, IN07, IN08, MID, OUT00 to OUT05), or all of \
     them (26 and 20)";

/// A block, in the count of the original code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Block {
    /// The text encoders, and layers of the UNet outside of the others.
    Base,
    /// On the way down.
    In(usize),
    /// In the middle.
    Mid,
    /// On the way up.
    Out(usize),
}

use Block::{Base, In, Mid, Out};

/// What a weight is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    AllIn,
    AllOut,
    One(Block),
}

/// What an adapter is multiplied with in each block: a list with a number for each, in which blocks that are not in the list get 0, or
/// pairs of a name and a number, where blocks that are not named keep 1. `IN` and `OUT` are all blocks of that way, `ALL` is all; of
/// two that name a block, the later one holds.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockWeights {
    text: String,
    weights: Vec<(Which, f64)>,
    rest: f64,
    /// Blocks on each way of the models that a list is for.
    ways: Option<usize>,
}

impl BlockWeights {
    /// The weight of a block.
    #[must_use]
    pub fn of(&self, block: Block) -> f64 {
        let holds = |(which, _): &&(Which, f64)| match which {
            Which::All => true,
            Which::AllIn => matches!(block, In(_)),
            Which::AllOut => matches!(block, Out(_)),
            Which::One(one) => *one == block,
        };
        self.weights.iter().rev().find(holds).map_or(self.rest, |(_, weight)| *weight)
    }

    /// Whether they are for a UNet of such blocks.
    ///
    /// # Errors
    /// [`LoraError::Blocks`] when a list has another length than the UNet's has, or a block is named that the UNet does not have.
    pub(super) fn check(&self, names: &BlockNames) -> Result<(), LoraError> {
        if names.0.is_empty() {
            let reason = "they are for the blocks of a UNet, and the model has none".into();
            return Err(LoraError::Blocks { text: self.text.clone(), reason });
        }
        let own = names.ways();
        let unknown = self.weights.iter().find_map(|(which, _)| match which {
            Which::One(block) if !names.has(*block) => Some(*block),
            _ => None,
        });
        let reason = match (self.ways, unknown) {
            (Some(ways), _) if ways != own => {
                let count = self.weights.len();
                format!("{count} numbers are for a UNet with {ways} blocks each way, and the model's has {own}")
            }
            (None, Some(block)) => format!("the model's UNet has no block {block}"),
            _ => return Ok(()),
        };
        Err(LoraError::Blocks { text: self.text.clone(), reason })
    }

    fn from_list(text: &str, numbers: &[f64]) -> Result<Self, String> {
        let blocks = |down: &[usize], up: Range<usize>| -> Vec<Block> {
            let down = down.iter().map(|index| In(*index));
            std::iter::once(Base).chain(down).chain([Mid]).chain(up.map(Out)).collect()
        };
        let (blocks, ways) = match numbers.len() {
            17 => (blocks(&[1, 2, 4, 5, 7, 8], 3..12), 12),
            12 => (blocks(&[4, 5, 7, 8], 0..6), 9),
            26 => (blocks(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 0..12), 12),
            20 => (blocks(&[0, 1, 2, 3, 4, 5, 6, 7, 8], 0..9), 9),
            1 => return Err("it is one number".into()),
            count => return Err(format!("it has {count} numbers")),
        };
        let weights = blocks.into_iter().map(Which::One).zip(numbers.iter().copied()).collect();
        Ok(BlockWeights { text: text.into(), weights, rest: 0.0, ways: Some(ways) })
    }

    fn from_pairs(text: &str) -> Result<Self, String> {
        let pair = |pair: &str| {
            let (name, number) = pair.split_once('=').ok_or_else(|| format!("`{}` is no pair", pair.trim()))?;
            let which = match name.trim().to_uppercase().as_str() {
                "ALL" => Which::All,
                "IN" => Which::AllIn,
                "OUT" => Which::AllOut,
                upper => Which::One(Block::named(upper).ok_or_else(|| format!("there is no block `{}`", name.trim()))?),
            };
            Ok::<_, String>((which, weight(number)?))
        };
        let weights = text.split(',').map(pair).collect::<Result<_, _>>()?;
        Ok(BlockWeights { text: text.into(), weights, rest: 1.0, ways: None })
    }
}

impl FromStr for BlockWeights {
    type Err = LoraError;

    fn from_str(text: &str) -> Result<Self, LoraError> {
        let parsed = if text.contains('=') {
            Self::from_pairs(text)
        } else {
            let numbers: Result<Vec<f64>, String> = text.split(',').map(weight).collect();
            numbers.and_then(|numbers| Self::from_list(text, &numbers))
        };
        parsed.map_err(|reason| LoraError::Blocks { text: text.into(), reason })
    }
}

fn weight(text: &str) -> Result<f64, String> {
    let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| format!("`{}` is no number", text.trim()))
}

impl Block {
    /// By its name in capitals: `BASE`, `IN04`, `MID` or `M00`, `OUT11`.
    fn named(name: &str) -> Option<Self> {
        let index = |digits: &str| digits.parse::<usize>().ok();
        match name {
            "BASE" => Some(Base),
            "MID" | "M00" => Some(Mid),
            _ => match name.strip_prefix("IN") {
                Some(digits) => index(digits).map(In),
                None => index(name.strip_prefix("OUT")?).map(Out),
            },
        }
    }

    /// That of a tensor, by its name in the original code.
    fn of_original(name: &str) -> Self {
        let index = |rest: &str| rest.split('.').next().and_then(|digits| digits.parse::<usize>().ok());
        match name.split_once('.') {
            Some(("input_blocks", rest)) => index(rest).map_or(Base, In),
            Some(("middle_block", _)) => Mid,
            Some(("output_blocks", rest)) => index(rest).map_or(Base, Out),
            _ => Base,
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Base => f.write_str("BASE"),
            In(index) => write!(f, "IN{index:02}"),
            Mid => f.write_str("MID"),
            Out(index) => write!(f, "OUT{index:02}"),
        }
    }
}

/// The blocks of a UNet, by its modules as diffusers names them.
pub(super) struct BlockNames(HashMap<String, Block>);

impl BlockNames {
    /// Of a UNet with these tensors.
    pub(super) fn of_unet(tensors: &[String]) -> Self {
        let block = |(name, original): (&str, String)| {
            let (module, _) = name.rsplit_once('.')?;
            Some((module.to_string(), Block::of_original(&original)))
        };
        BlockNames(names::unet_originals(tensors).filter_map(block).collect())
    }

    /// The block of a module of the model.
    pub(super) fn of(&self, component: &str, module: &str) -> Block {
        match component {
            "unet" => self.0.get(module).copied().unwrap_or(Base),
            _ => Base,
        }
    }

    fn has(&self, block: Block) -> bool {
        block == Base || self.0.values().any(|known| *known == block)
    }

    /// Blocks on the way down; there are as many on the way up.
    fn ways(&self) -> usize {
        let index = |block: &Block| if let In(index) = block { index + 1 } else { 0 };
        self.0.values().map(index).max().unwrap_or(0)
    }
}
