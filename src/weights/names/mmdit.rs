//! The transformer of Stable Diffusion 3 and 3.5 as Stability AI publish it. Followed: Stability-AI/sd3.5's `mmditx.py`.

use super::original::Form;
use super::table::{one, rows, swapped, Blocks, Layer, Table};
use super::{number, Piece, Target};

const SINGLE: [Layer; 9] = [
    one("pos_embed", "pos_embed.pos_embed"),
    one("x_embedder.proj.", "pos_embed.proj."),
    one("t_embedder.mlp.0.", "time_text_embed.timestep_embedder.linear_1."),
    one("t_embedder.mlp.2.", "time_text_embed.timestep_embedder.linear_2."),
    one("y_embedder.mlp.0.", "time_text_embed.text_embedder.linear_1."),
    one("y_embedder.mlp.2.", "time_text_embed.text_embedder.linear_2."),
    one("context_embedder.", "context_embedder."),
    one("final_layer.linear.", "proj_out."),
    swapped("final_layer.adaLN_modulation.1.", "norm_out.linear."),
];

const JOINT: [Layer; 18] = [
    one("x_block.adaLN_modulation.1.", "norm1.linear."),
    one(TEXT_NORM, "norm1_context.linear."),
    rows("x_block.attn.qkv.", &[("attn.to_q.", 1), ("attn.to_k.", 1), ("attn.to_v.", 1)]),
    rows("context_block.attn.qkv.", &[("attn.add_q_proj.", 1), ("attn.add_k_proj.", 1), ("attn.add_v_proj.", 1)]),
    rows("x_block.attn2.qkv.", &[("attn2.to_q.", 1), ("attn2.to_k.", 1), ("attn2.to_v.", 1)]),
    one("x_block.attn.ln_q.", "attn.norm_q."),
    one("x_block.attn.ln_k.", "attn.norm_k."),
    one("context_block.attn.ln_q.", "attn.norm_added_q."),
    one("context_block.attn.ln_k.", "attn.norm_added_k."),
    one("x_block.attn2.ln_q.", "attn2.norm_q."),
    one("x_block.attn2.ln_k.", "attn2.norm_k."),
    one("x_block.attn.proj.", "attn.to_out.0."),
    one("context_block.attn.proj.", "attn.to_add_out."),
    one("x_block.attn2.proj.", "attn2.to_out.0."),
    one("x_block.mlp.fc1.", "ff.net.0.proj."),
    one("x_block.mlp.fc2.", "ff.net.2."),
    one("context_block.mlp.fc1.", "ff_context.net.0.proj."),
    one("context_block.mlp.fc2.", "ff_context.net.2."),
];

/// In the last block it has but a shift and a scale, which stand the other way round here as in the last layer.
const TEXT_NORM: &str = "context_block.adaLN_modulation.1.";

const ORIGINAL: &str = "joint_blocks.";
const OURS: &str = "transformer_blocks.";

const TABLE: Table = Table { single: &SINGLE, blocks: &[Blocks { original: ORIGINAL, ours: OURS, layers: &JOINT }] };

/// How many blocks there are. `names` are those behind the prefix, of the original code or of diffusers.
pub fn blocks<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    let index = |name: &'a str| number(name.strip_prefix(ORIGINAL).or_else(|| name.strip_prefix(OURS))?);
    names.filter_map(|name| Some(index(name)?.0 + 1)).max().unwrap_or(0)
}

/// The tensors of diffusers for a name of the original code in a transformer of so many blocks.
pub fn rename(name: &str, blocks: usize) -> Vec<Target> {
    let mut targets = TABLE.ours(name);
    if is_last_text_norm(name, blocks) {
        targets.iter_mut().for_each(|target| target.piece = Piece::Swapped);
    }
    targets
}

/// The way back.
pub(super) fn original(name: &str, blocks: usize) -> Option<(String, usize, Form)> {
    let (original, place, form) = TABLE.original(name)?;
    let form = if is_last_text_norm(&original, blocks) { Form::Swapped } else { form };
    Some((original, place, form))
}

fn is_last_text_norm(original: &str, blocks: usize) -> bool {
    let place = original.strip_prefix(ORIGINAL).and_then(number);
    place.is_some_and(|(index, rest)| index + 1 == blocks && rest.starts_with(TEXT_NORM))
}
