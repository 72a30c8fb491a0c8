//! T5's encoder in llama.cpp's names (`enc.blk.0.attn_q`), which GGUF files of it have. Followed: ggml-org/llama.cpp's
//! `tensor_mapping.py`.

use super::table::{one, Blocks, Layer, Table};
use super::Target;

const SINGLE: [Layer; 3] = [
    one("token_embd.", "shared."),
    one("enc.output_norm.", "encoder.final_layer_norm."),
    // The same table again, in files of transformers.
    one("encoder.embed_tokens.", "shared."),
];

const LAYERS: [Layer; 10] = [
    one("attn_norm.", "layer.0.layer_norm."),
    one("attn_q.", "layer.0.SelfAttention.q."),
    one("attn_k.", "layer.0.SelfAttention.k."),
    one("attn_v.", "layer.0.SelfAttention.v."),
    one("attn_o.", "layer.0.SelfAttention.o."),
    one("attn_rel_b.", "layer.0.SelfAttention.relative_attention_bias."),
    one("ffn_norm.", "layer.1.layer_norm."),
    one("ffn_gate.", "layer.1.DenseReluDense.wi_0."),
    one("ffn_up.", "layer.1.DenseReluDense.wi_1."),
    one("ffn_down.", "layer.1.DenseReluDense.wo."),
];

const TABLE: Table =
    Table { single: &SINGLE, blocks: &[Blocks { original: "enc.blk.", ours: "encoder.block.", layers: &LAYERS }] };

/// The tensor of transformers for a stored name; one that is transformers' own stays as it is.
pub fn rename(name: &str) -> Vec<Target> {
    let targets = TABLE.ours(name);
    if targets.is_empty() {
        return vec![Target::whole(name)];
    }
    targets
}
