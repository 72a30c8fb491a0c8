//! The sizes of UNets, pruned ones (SSD-1B, Segmind Vega, Koala, small-sd) among them, and of ControlNets, which are half of one.

use serde_json::{json, Value};

use super::{Sizes, MOST};

/// Transformer blocks behind each residual block of one block of the network; none in blocks that do not attend.
type Depths = Vec<usize>;

/// The fields of a UNet's config.
pub(super) fn of(sizes: &Sizes<'_>) -> Value {
    let levels = sizes.count("down_blocks.{}.resnets.0.conv1.weight");
    let channels: Vec<usize> =
        (0..levels).filter_map(|i| sizes.dim(&format!("down_blocks.{i}.resnets.0.conv1.weight"), 0)).collect();
    let way =
        |way: &str| -> Vec<Depths> { (0..levels).map(|i| depths_of(sizes, &format!("{way}_blocks.{i}"))).collect() };
    let (down, up) = (way("down"), way("up"));
    let mirror: Vec<Depths> = down.iter().rev().cloned().collect();
    let has_up = sizes.dim("up_blocks.0.resnets.0.conv1.weight", 0).is_some();
    let first = down.iter().position(|depths| !depths.is_empty()).map(|i| format!("down_blocks.{i}.attentions.0"));
    let of_first = |name: &str| sizes.0.info(&format!("{}.{name}", first.as_ref()?)).map(|(shape, _)| shape);
    let (middle, mid_depth) = middle(sizes);
    let mut per_block: Vec<Value> = down.iter().map(|depths| depth(depths)).collect();
    // The middle has the depth of the last block, which may attend to nothing itself.
    if let (Some(last), Some(true), 1..) = (per_block.last_mut(), down.last().map(Depths::is_empty), mid_depth) {
        *last = mid_depth.into();
    }
    let text = of_first("transformer_blocks.0.attn2.to_k.weight");
    let reverse = || up.iter().map(|depths| depth(depths)).collect::<Vec<_>>();
    json!({
        "in_channels": sizes.dim("conv_in.weight", 1),
        "out_channels": sizes.dim("conv_out.weight", 0),
        "block_out_channels": channels,
        "layers_per_block": sizes.count("down_blocks.0.resnets.{}.conv1.weight"),
        "down_block_types": kinds(&down, "CrossAttnDownBlock2D", "DownBlock2D"),
        "mid_block_type": middle,
        "up_block_types": kinds(if has_up { &up } else { &mirror }, "CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": text.and_then(|shape| shape.dims().get(1).copied()),
        "transformer_layers_per_block": per_block,
        "reverse_transformer_layers_per_block": (has_up && !is_mirror(&up, &mirror)).then(reverse),
        "use_linear_projection": of_first("proj_in.weight").map(|shape| shape.rank() == 2),
        "projection_class_embeddings_input_dim": sizes.dim("add_embedding.linear_1.weight", 1),
        "time_cond_proj_dim": sizes.dim("time_embedding.cond_proj.weight", 1),
    })
}

fn depths_of(sizes: &Sizes<'_>, block: &str) -> Depths {
    let depth = |layer| sizes.count(&format!("{block}.attentions.{layer}.transformer_blocks.{{}}.norm1.weight"));
    (0..MOST).map(depth).take_while(|depth| *depth > 0).collect()
}

/// The depths of a block as configs have them: one number where all are the same.
fn depth(depths: &[usize]) -> Value {
    match depths {
        [] => 1.into(),
        [first, rest @ ..] if rest.iter().all(|depth| depth == first) => (*first).into(),
        several => json!(several),
    }
}

/// Whether the way up has the depths of the way down, each block one number.
fn is_mirror(up: &[Depths], mirror: &[Depths]) -> bool {
    up.iter().zip(mirror).all(|(up, down)| depth(up).is_number() && depth(up) == depth(down))
}

fn kinds(blocks: &[Depths], with: &'static str, without: &'static str) -> Vec<&'static str> {
    blocks.iter().map(|depths| if depths.is_empty() { without } else { with }).collect()
}

/// The kind of the block in the middle, nothing where there is none, and how many transformer blocks it has.
fn middle(sizes: &Sizes<'_>) -> (Option<&'static str>, usize) {
    match sizes.count("mid_block.attentions.0.transformer_blocks.{}.norm1.weight") {
        0 => (sizes.dim("mid_block.resnets.0.conv1.weight", 0).map(|_| "UNetMidBlock2D"), 0),
        depth => (Some("UNetMidBlock2DCrossAttn"), depth),
    }
}

/// The fields of a ControlNet's config: half of a UNet, whose way down may attend to nothing, and layers for the control picture.
pub(super) fn of_controlnet(sizes: &Sizes<'_>) -> Value {
    let mut fields = of(sizes);
    let convolution = |i: usize| format!("controlnet_cond_embedding.blocks.{}.weight", 2 * i + 1);
    let levels = (0..MOST).take_while(|i| sizes.0.info(&convolution(*i)).is_some());
    let first = "controlnet_cond_embedding.conv_in.weight".to_string();
    let channels: Vec<usize> =
        std::iter::once(first).chain(levels.map(convolution)).filter_map(|name| sizes.dim(&name, 0)).collect();
    fields["_class_name"] = "ControlNetModel".into();
    fields["conditioning_embedding_out_channels"] = channels.into();
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::detect::sizes;
    use crate::weights::detect::Component;
    use crate::weights::testing::{of_tensors, zeros, Stored};

    /// What tells the structure of a UNet with so many residual blocks in each block on the way down, transformers of these depths on
    /// both ways, and such a middle: nothing, no transformer (0), or one of so many blocks.
    fn unet(layers: usize, down: &[&[usize]], middle: Option<usize>, up: &[&[usize]]) -> Vec<Stored> {
        let mut tensors = Vec::new();
        let mut add = |block: &str, resnets: usize, depths: &[usize]| {
            tensors.extend((0..resnets).map(|i| zeros(&format!("{block}.resnets.{i}.conv1.weight"), &[4, 4, 3, 3])));
            for (i, depth) in depths.iter().enumerate() {
                let blocks = (0..*depth).map(|j| format!("{block}.attentions.{i}.transformer_blocks.{j}.norm1.weight"));
                tensors.extend(blocks.map(|name| zeros(&name, &[4])));
            }
        };
        down.iter().enumerate().for_each(|(i, depths)| add(&format!("down_blocks.{i}"), layers, depths));
        up.iter().enumerate().for_each(|(i, depths)| add(&format!("up_blocks.{i}"), layers + 1, depths));
        if let Some(depth) = middle {
            add("mid_block", 1 + usize::from(depth > 0), if depth > 0 { std::slice::from_ref(&depth) } else { &[] });
        }
        tensors
    }

    fn fields(tensors: &[Stored]) -> [Value; 6] {
        let fields = sizes::of(Component::Unet, of_tensors(tensors, &[]).source.as_ref());
        ["layers_per_block", "down_block_types", "mid_block_type", "up_block_types", "transformer_layers_per_block"]
            .into_iter()
            .chain(["reverse_transformer_layers_per_block"])
            .map(|field| fields[field].clone())
            .collect::<Vec<_>>()
            .try_into()
            .unwrap()
    }

    /// The depths are those of ComfyUI's `model_detection.py`, the fields those of the published configs.
    #[test]
    fn pruned_unets_are_told_by_their_blocks() {
        let (d, a) = ("DownBlock2D", "CrossAttnDownBlock2D");
        let (u, x) = ("UpBlock2D", "CrossAttnUpBlock2D");
        let (plain, attends) = (json!("UNetMidBlock2D"), json!("UNetMidBlock2DCrossAttn"));
        let none: &[usize] = &[];
        let ssd_1b = unet(2, &[none, &[2, 2], &[4, 4]], Some(0), &[&[4, 4, 10], &[2, 1, 1], none]);
        let reverse = json!([[4, 4, 10], [2, 1, 1], 1]);
        assert_eq!(
            fields(&ssd_1b),
            [json!(2), json!([d, a, a]), plain.clone(), json!([x, x, u]), json!([1, 2, 4]), reverse]
        );
        let vega = unet(2, &[none, &[1, 1], &[2, 2]], Some(0), &[&[2, 2, 2], &[1, 1, 1], none]);
        assert_eq!(fields(&vega), [json!(2), json!([d, a, a]), plain, json!([x, x, u]), json!([1, 1, 2]), Value::Null]);
        let koala_700m = unet(1, &[none, &[2], &[5]], None, &[&[5, 5], &[2, 2], none]);
        let types = [json!(1), json!([d, a, a]), Value::Null, json!([x, x, u]), json!([1, 2, 5]), Value::Null];
        assert_eq!(fields(&koala_700m), types);
        let koala_1b = unet(1, &[none, &[2], &[6]], Some(6), &[&[6, 6], &[2, 2], none]);
        let types = [json!(1), json!([d, a, a]), attends.clone(), json!([x, x, u]), json!([1, 2, 6]), Value::Null];
        assert_eq!(fields(&koala_1b), types);
        let small_sd = unet(1, &[&[1], &[1], &[1], none], Some(1), &[none, &[1, 1], &[1, 1], &[1, 1]]);
        let types = [json!(1), json!([a, a, a, d]), attends, json!([u, x, x, x]), json!([1, 1, 1, 1]), Value::Null];
        assert_eq!(fields(&small_sd), types);
    }
}
