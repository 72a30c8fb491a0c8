//! The sizes of the transformers of FLUX.1 and Stable Diffusion 3.

use serde_json::{json, Value};

use super::Sizes;

/// Width of a head where no norm of queries shows it: that of all published models without one.
const HEAD: usize = 64;

/// The fields of a transformer's config; `None` when it is of neither family.
pub(super) fn of(sizes: &Sizes<'_>) -> Option<Value> {
    if sizes.dim("single_transformer_blocks.0.proj_mlp.weight", 0).is_some() {
        flux(sizes)
    } else {
        mmdit(sizes)
    }
}

fn flux(sizes: &Sizes<'_>) -> Option<Value> {
    let width = sizes.dim("x_embedder.weight", 0)?;
    let head = sizes.dim("transformer_blocks.0.attn.norm_q.weight", 0)?;
    Some(json!({
        "in_channels": sizes.dim("x_embedder.weight", 1),
        "out_channels": sizes.dim("proj_out.weight", 0),
        "num_layers": sizes.count("transformer_blocks.{}.attn.norm_q.weight"),
        "num_single_layers": sizes.count("single_transformer_blocks.{}.proj_mlp.weight"),
        "attention_head_dim": head,
        "num_attention_heads": width.checked_div(head),
        "joint_attention_dim": sizes.dim("context_embedder.weight", 1),
        "pooled_projection_dim": sizes.dim("time_text_embed.text_embedder.linear_1.weight", 1),
        "guidance_embeds": sizes.dim("time_text_embed.guidance_embedder.linear_1.weight", 0).is_some(),
    }))
}

fn mmdit(sizes: &Sizes<'_>) -> Option<Value> {
    let width = sizes.dim("pos_embed.proj.weight", 0)?;
    let normed = sizes.dim("transformer_blocks.0.attn.norm_q.weight", 0);
    let layers = sizes.count("transformer_blocks.{}.attn.to_q.weight");
    let dual = |i: &usize| sizes.dim(&format!("transformer_blocks.{i}.attn2.to_q.weight"), 0).is_some();
    let patch = sizes.dim("pos_embed.proj.weight", 2)?;
    let places = sizes.dim("pos_embed.pos_embed", 1)?.isqrt();
    let outputs = sizes.dim("proj_out.weight", 0)?.checked_div(patch * patch);
    Some(json!({
        "patch_size": patch,
        "in_channels": sizes.dim("pos_embed.proj.weight", 1),
        "out_channels": outputs,
        "num_layers": layers,
        "attention_head_dim": normed.unwrap_or(HEAD),
        "num_attention_heads": width.checked_div(normed.unwrap_or(HEAD)),
        "joint_attention_dim": sizes.dim("context_embedder.weight", 1),
        "caption_projection_dim": width,
        "pooled_projection_dim": sizes.dim("time_text_embed.text_embedder.linear_1.weight", 1),
        "pos_embed_max_size": places,
        "dual_attention_layers": (0..layers).filter(dual).collect::<Vec<_>>(),
        "qk_norm": normed.map(|_| "rms_norm"),
    }))
}
