//! The transformer of FLUX.1 as Black Forest Labs publish it, which is also how ComfyUI and the usual GGUF files have it. Followed:
//! black-forest-labs/flux's `model.py`.

use super::original::Form;
use super::table::{one, rows, swapped, Blocks, Layer, Table};
use super::Target;

const SINGLE: [Layer; 10] = [
    one("img_in.", "x_embedder."),
    one("txt_in.", "context_embedder."),
    one("time_in.in_layer.", "time_text_embed.timestep_embedder.linear_1."),
    one("time_in.out_layer.", "time_text_embed.timestep_embedder.linear_2."),
    one("vector_in.in_layer.", "time_text_embed.text_embedder.linear_1."),
    one("vector_in.out_layer.", "time_text_embed.text_embedder.linear_2."),
    one("guidance_in.in_layer.", "time_text_embed.guidance_embedder.linear_1."),
    one("guidance_in.out_layer.", "time_text_embed.guidance_embedder.linear_2."),
    one("final_layer.linear.", "proj_out."),
    swapped("final_layer.adaLN_modulation.1.", "norm_out.linear."),
];

/// Blocks with a stream for the text and one for the picture.
const DOUBLE: [Layer; 14] = [
    one("img_mod.lin.", "norm1.linear."),
    one("txt_mod.lin.", "norm1_context.linear."),
    rows("img_attn.qkv.", &[("attn.to_q.", 1), ("attn.to_k.", 1), ("attn.to_v.", 1)]),
    rows("txt_attn.qkv.", &[("attn.add_q_proj.", 1), ("attn.add_k_proj.", 1), ("attn.add_v_proj.", 1)]),
    one("img_attn.norm.query_norm.scale", "attn.norm_q.weight"),
    one("img_attn.norm.key_norm.scale", "attn.norm_k.weight"),
    one("txt_attn.norm.query_norm.scale", "attn.norm_added_q.weight"),
    one("txt_attn.norm.key_norm.scale", "attn.norm_added_k.weight"),
    one("img_attn.proj.", "attn.to_out.0."),
    one("txt_attn.proj.", "attn.to_add_out."),
    one("img_mlp.0.", "ff.net.0.proj."),
    one("img_mlp.2.", "ff.net.2."),
    one("txt_mlp.0.", "ff_context.net.0.proj."),
    one("txt_mlp.2.", "ff_context.net.2."),
];

/// Blocks with one stream. What goes into the feed-forward part is four times as wide as the stream.
const ONE_STREAM: [Layer; 5] = [
    one("modulation.lin.", "norm.linear."),
    rows("linear1.", &[("attn.to_q.", 1), ("attn.to_k.", 1), ("attn.to_v.", 1), ("proj_mlp.", 4)]),
    one("linear2.", "proj_out."),
    one("norm.query_norm.scale", "attn.norm_q.weight"),
    one("norm.key_norm.scale", "attn.norm_k.weight"),
];

const TABLE: Table = Table {
    single: &SINGLE,
    blocks: &[
        Blocks { original: "double_blocks.", ours: "transformer_blocks.", layers: &DOUBLE },
        Blocks { original: "single_blocks.", ours: "single_transformer_blocks.", layers: &ONE_STREAM },
    ],
};

/// The tensors of diffusers for a name of the original code.
pub fn rename(name: &str) -> Vec<Target> {
    TABLE.ours(name)
}

/// The way back.
pub(super) fn original(name: &str) -> Option<(String, usize, Form)> {
    TABLE.original(name)
}
