//! [`Merger`]: several adapters as one LoRA, with the names of kohya's scripts, or for transformers with those of PEFT in diffusers.
//!
//! The sum of products of thin matrices is the product of these matrices side by side: ranks add up, and nothing is lost. Other kinds
//! are summed as whole matrices, of which the best approximation of some rank is taken.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor};

use super::adapted::Patch;
use super::kinds::{Base, Factors};
use super::{LoraError, Stack};
use crate::weights::{low_rank, names};

/// Several adapters as one, module by module.
pub struct Merger<'a> {
    stack: &'a Stack,
    rank: Option<usize>,
    /// Component and tensor of the model, and the name of its module in the result.
    targets: Vec<(&'static str, &'a str, String)>,
    /// Whether they have PEFT's names.
    is_transformer: bool,
}

/// A module of the result, or a part of one.
#[derive(Debug)]
pub struct Merged {
    /// Its tensors, in f32.
    pub tensors: Vec<(String, Tensor)>,
    /// Its rank, if it is a product.
    pub rank: Option<usize>,
    /// The share of the squared change that is kept.
    pub kept: f64,
}

impl<'a> Merger<'a> {
    /// The adapters of a stack as one LoRA of `rank`, or of as much as it takes. `has_weights` tells whether the stack's components
    /// have more than names and shapes.
    ///
    /// # Errors
    /// [`LoraError::NeedsRank`] for kinds that are no product of thin matrices, [`LoraError::NeedsBase`] for those that cannot be told
    /// without the model's weights.
    pub fn new(stack: &'a Stack, rank: Option<usize>, has_weights: bool) -> std::result::Result<Self, LoraError> {
        let is_transformer = stack.components().iter().any(|(component, _)| *component == "transformer");
        let is_xl = stack.components().iter().any(|(component, _)| *component == "text_encoder_2");
        let mut targets = Vec::new();
        for (component, source) in stack.components() {
            let originals: HashMap<String, String> = match *component {
                "unet" if is_xl => {
                    names::unet_originals(&source.names()).map(|(name, original)| (name.into(), original)).collect()
                }
                _ => HashMap::new(),
            };
            for (tensor, patches) in stack.patches(component) {
                let name = originals.get(tensor).map_or(tensor, String::as_str);
                check(tensor, patches, rank, has_weights)?;
                let name = if is_transformer { peft(component, name) } else { kohya(component, name, is_xl) };
                targets.push((*component, tensor, name));
            }
        }
        targets.sort();
        Ok(Merger { stack, rank, targets, is_transformer })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.targets.len()
    }

    /// One of them.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn merged(&self, index: usize) -> Result<Merged> {
        let (component, tensor, name) = &self.targets[index];
        let source = self.stack.components().iter().find(|(known, _)| known == component).map(|(_, source)| source);
        let Some((source, (shape, _))) = source.and_then(|source| Some((source, source.info(tensor)?))) else {
            candle_core::bail!("`{tensor}` is not in the model")
        };
        let patches = self.stack.patches(component).find(|(known, _)| known == tensor).map(|(_, patches)| patches);
        let patches = patches.unwrap_or_default();
        let sides = shape.dims();
        let read = || source.read(tensor).map_err(candle_core::Error::wrap);
        if sides.len() < 2 || patches.iter().all(|patch| patch.change.is_whole()) {
            let role = if tensor.ends_with("bias") { "diff_b" } else { "diff" };
            let sum = sum(patches, &read)?.reshape(sides)?;
            return Ok(Merged { tensors: vec![(format!("{name}.{role}"), sum)], rank: None, kept: 1.0 });
        }
        let factors = patches.iter().map(factors).collect::<Result<Option<Vec<Factors>>>>()?;
        let (up, down, kept) = match (factors, self.rank) {
            (Some(factors), rank) => {
                let (up, down) = side_by_side(&factors)?;
                match rank.filter(|rank| *rank < up.dim(1).unwrap_or_default()) {
                    Some(rank) => smaller(low_rank::of_product(&up, &down, rank)?)?,
                    None => (up, down, 1.0),
                }
            }
            (None, Some(rank)) => smaller(low_rank::of_matrix(&sum(patches, &read)?, rank)?)?,
            (None, None) => candle_core::bail!("`{name}` is no product of thin matrices"),
        };
        let rank = down.dim(0)?;
        let (mut up_shape, down_shape) = (vec![1; sides.len()], [&[rank], &sides[1..]].concat());
        (up_shape[0], up_shape[1]) = (sides[0], rank);
        let [up_role, down_role] = if self.is_transformer { ["lora_B", "lora_A"] } else { ["lora_up", "lora_down"] };
        let mut tensors = vec![
            (format!("{name}.{up_role}.weight"), up.reshape(up_shape)?),
            (format!("{name}.{down_role}.weight"), down.reshape(down_shape)?),
        ];
        // PEFT's is the rank where nothing is said.
        if !self.is_transformer {
            tensors.push((format!("{name}.alpha"), Tensor::new(rank as f32, &Device::Cpu)?));
        }
        Ok(Merged { tensors, rank: Some(rank), kept })
    }
}

/// Refuses what cannot be merged.
fn check(
    tensor: &str,
    patches: &[Patch],
    rank: Option<usize>,
    has_weights: bool,
) -> std::result::Result<(), LoraError> {
    let changes = || patches.iter().map(|patch| &patch.change);
    if let Some(change) = changes().find(|change| change.builds_on_weight()).filter(|_| !has_weights) {
        return Err(LoraError::NeedsBase { kind: change.kind(), module: tensor.into() });
    }
    let all_whole = changes().all(|change| change.is_whole());
    let is_matrix = tensor.ends_with("weight");
    match changes().find(|change| !change.is_product()).filter(|_| is_matrix && !all_whole && rank.is_none()) {
        Some(change) => Err(LoraError::NeedsRank { kind: change.kind(), module: tensor.into() }),
        None => Ok(()),
    }
}

/// The thin matrices of a patch, times its multiplier; nothing when it is no product.
fn factors(patch: &Patch) -> Result<Option<Factors>> {
    let Some(factors) = patch.change.factors(&patch.rows)? else { return Ok(None) };
    Ok(Some(Factors { up: factors.up.affine(patch.multiplier, 0.0)?, ..factors }))
}

fn side_by_side(factors: &[Factors]) -> Result<(Tensor, Tensor)> {
    let (ups, downs): (Vec<&Tensor>, Vec<&Tensor>) = factors.iter().map(|factors| (&factors.up, &factors.down)).unzip();
    Ok((Tensor::cat(&ups, 1)?, Tensor::cat(&downs, 0)?))
}

fn smaller(factors: low_rank::Factors) -> Result<(Tensor, Tensor, f64)> {
    Ok((factors.up.to_dtype(DType::F32)?, factors.down.to_dtype(DType::F32)?, factors.kept))
}

/// The sum of all changes as a matrix, in f32.
fn sum(patches: &[Patch], read: &dyn Fn() -> Result<Tensor>) -> Result<Tensor> {
    let mut total: Option<Tensor> = None;
    for patch in patches {
        // Only some kinds look at the weight, and only they are given one.
        let stored =
            if patch.change.builds_on_weight() { read()? } else { Tensor::zeros(0, DType::F32, &Device::Cpu)? };
        let change = patch.change.rows(&Base::new(&stored), &patch.rows, patch.multiplier)?;
        total = Some(match total {
            Some(sum) => (sum + change)?,
            None => change,
        });
    }
    total.ok_or_else(|| candle_core::Error::Msg("nothing to add".into()))
}

/// PEFT's name in diffusers for the module of a tensor.
fn peft(component: &str, tensor: &str) -> String {
    format!("{component}.{}", module(tensor))
}

fn module(tensor: &str) -> &str {
    tensor.strip_suffix(".weight").or_else(|| tensor.strip_suffix(".bias")).unwrap_or(tensor)
}

/// kohya's name for the module of a tensor.
fn kohya(component: &str, tensor: &str, is_xl: bool) -> String {
    let module = module(tensor);
    let flat = module.replace('.', "_");
    // Files differ in whether the text encoder's names have it.
    let text = if module.starts_with("text_model.") { "" } else { "text_model_" };
    match component {
        "text_encoder_2" => format!("lora_te2_{text}{flat}"),
        "text_encoder" if is_xl => format!("lora_te1_{text}{flat}"),
        "text_encoder" => format!("lora_te_{text}{flat}"),
        _ => format!("lora_unet_{flat}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_called_as_kohyas_scripts_call_them() {
        let text = "text_model.encoder.layers.0.self_attn.q_proj.weight";
        for (component, tensor, is_xl, name) in [
            ("unet", "mid_block.attentions.0.proj_in.weight", false, "lora_unet_mid_block_attentions_0_proj_in"),
            ("unet", "input_blocks.4.1.proj_in.bias", true, "lora_unet_input_blocks_4_1_proj_in"),
            ("text_encoder", text, false, "lora_te_text_model_encoder_layers_0_self_attn_q_proj"),
            ("text_encoder", &text[11..], true, "lora_te1_text_model_encoder_layers_0_self_attn_q_proj"),
            ("text_encoder_2", text, true, "lora_te2_text_model_encoder_layers_0_self_attn_q_proj"),
        ] {
            assert_eq!(kohya(component, tensor, is_xl), name);
        }
    }
}
