//! What can be wrong with an adapter, and with an adapter and a model together.

use super::Family;
use crate::weights::WeightsError;

/// What is wrong with the tensors that an adapter has for a module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// One of several tensors that belong together is not there.
    #[error("its {0} is missing")]
    Missing(&'static str),
    /// Factors that cannot be multiplied.
    #[error("its factors {first:?} and {second:?} are not of one rank")]
    Rank {
        /// The shape of one.
        first: Vec<usize>,
        /// The shape of the other.
        second: Vec<usize>,
    },
    /// What should be one number is something else.
    #[error("`{0}` is not one finite number")]
    Number(String),
    /// The change has another shape than the weight.
    #[error("it is for a weight of {adapter}, and the model's is {model:?}")]
    Shape {
        /// The shape that it is for.
        adapter: String,
        /// The shape of the weight.
        model: Vec<usize>,
    },
    /// A change that is told by the weight, whose rows stand in another order than in the model that it was made on.
    #[error("it builds on a weight whose halves stand the other way round here")]
    Order,
    /// A change of several modules that are stored as one, which cannot be told for each of them: lengths of DoRA for each input,
    /// rotations.
    #[error("it changes several modules at once, and cannot be divided among them")]
    Split,
    /// A kind of change that is known by name only.
    #[error("it is {0}, which this version does not read")]
    Unsupported(&'static str),
    /// The first layer of FLUX.1 Canny or Depth, for a model that is not made to take a map.
    #[error("it takes a control map as well, and the model does not")]
    ControlMap,
}

/// An adapter that cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum LoraError {
    /// A file of weights that is damaged, or none.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A file of tensors that is something else.
    #[error("`{file}` is no LoRA: it is {what}")]
    NotALora {
        /// The file.
        file: String,
        /// What it is, with its article.
        what: String,
    },
    /// A module whose tensors do not fit each other, or the model's.
    #[error("`{module}` of the LoRA `{file}` cannot be applied: {fault}")]
    Module {
        /// The file.
        file: String,
        /// The module as the file names it.
        module: String,
        /// What is wrong.
        fault: Fault,
    },
    /// A LoRA for another family of models.
    #[error("the LoRA `{file}` is for {}, and the model is {}", lora.label(), model.map_or("of a family of its own", Family::label))]
    OtherFamily {
        /// The file.
        file: String,
        /// What it is for.
        lora: Family,
        /// What the model is, if it is of a published family.
        model: Option<Family>,
    },
    /// Nothing of the LoRA has a place in the model.
    #[error("the LoRA `{file}` fits nothing of the model: 0 of {modules} modules match; it names {examples}")]
    NothingFits {
        /// The file.
        file: String,
        /// Its modules.
        modules: usize,
        /// Some of them.
        examples: String,
    },
    /// Something of the LoRA has no place in the model, and that is not to be.
    #[error("the LoRA `{file}` fits only in part: {unmatched}")]
    Partly {
        /// The file.
        file: String,
        /// What has no place.
        unmatched: String,
    },
    /// A kind that is no product of thin matrices, where one is asked for.
    #[error("`{module}` is changed by {kind}, which cannot be joined with others without loss")]
    NeedsRank {
        /// What it is called.
        kind: &'static str,
        /// What it changes.
        module: String,
    },
    /// A kind whose change depends on the weights of the model.
    #[error("`{module}` is changed by {kind}, which builds on the weights of the model")]
    NeedsBase {
        /// What it is called.
        kind: &'static str,
        /// What it changes.
        module: String,
    },
    /// Weights of blocks that are not understood, or not for this model.
    #[error("`{text}` is no list of block weights: {reason}")]
    Blocks {
        /// What was given.
        text: String,
        /// What is wrong.
        reason: String,
    },
}

impl LoraError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            LoraError::Weights(e) => return e.hint(),
            LoraError::NotALora { .. } => {
                "give the file of a LoRA with `--lora`; a model is given with `--model`".into()
            }
            LoraError::Module { fault: Fault::Order | Fault::Split, .. } => {
                "take a LoRA that is none of DoRA, GLoRA, IA3 and OFT".into()
            }
            LoraError::Module { fault: Fault::Unsupported(_), .. } => {
                "take one of another kind: LoRA, LoCon, LoHa, LoKr, DoRA, IA3, GLoRA, OFT (`oft_blocks`) or whole differences"
                    .into()
            }
            LoraError::Module { fault: Fault::ControlMap, .. } => {
                "paint with FLUX.1 dev and it: `sdgen controlnet -m flux-dev --lora FILE --control canny=photo.png`; it cannot be merged".into()
            }
            LoraError::Module { fault: Fault::Shape { .. }, .. } => {
                "it was trained on a model of other sizes: use it with that one, or one derived from it".into()
            }
            LoraError::Module { .. } => "the file is damaged or incomplete: fetch it again".into(),
            LoraError::OtherFamily { lora, .. } => {
                format!("use it with a model of {}, or take a LoRA for this one", lora.label())
            }
            LoraError::NothingFits { .. } => {
                "`sdgen info FILE` tells what is known of it; use it with the kind of model that it was trained on"
                    .into()
            }
            LoraError::NeedsRank { .. } => "give the rank of the best approximation: `--rank 32`".into(),
            LoraError::NeedsBase { .. } => "give the model with `--model`".into(),
            LoraError::Partly { .. } => "leave out `--strict` to apply what fits".into(),
            LoraError::Blocks { .. } => super::blocks::FORM.into(),
        })
    }
}
