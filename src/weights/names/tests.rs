//! The tables against the real files' names: a checkpoint shows the tensors of the folder that it was made from.

use std::collections::BTreeMap;

use candle_core::DType;

use super::*;
use crate::nn::{ParamSource, Values};
use crate::weights::detect::{Component, Detected};
use crate::weights::testing::{checkpoint, fixtures, of_tensors, zeros};
use crate::weights::{open, WeightFile};

fn contents(source: &dyn ParamSource) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let content = |name: String| {
        let tensor = source.read(&name).unwrap();
        assert_eq!((tensor.shape().clone(), tensor.dtype()), source.info(&name).unwrap(), "{name}");
        let values = tensor.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1().unwrap();
        let is_same = |lent: Values| match lent {
            Values::F32(lent) => lent == values,
            Values::F16(lent) => lent.iter().map(|value| value.to_f32()).eq(values.iter().copied()),
            Values::Bf16(lent) => lent.iter().map(|value| value.to_f32()).eq(values.iter().copied()),
        };
        source.lend(&name, &mut |lent| assert!(is_same(lent), "{name} is lent otherwise"));
        (name, (tensor.dims().to_vec(), values))
    };
    source.names().into_iter().map(content).collect()
}

fn file(model: &str) -> (WeightFile, Detected) {
    let file = of_tensors(&checkpoint(model), &[]);
    let detected = Detected::of(&file);
    (file, detected)
}

/// The component of the checkpoint and of the folder hold the same, but for names with one of these pieces.
fn same(model: &str, component: Component, folder: &str, but: &[&str]) {
    let (file, detected) = file(model);
    let mut view = contents(&detected.view(&file, component).unwrap());
    let weights = if folder.starts_with("text") { "model.safetensors" } else { "diffusion_pytorch_model.safetensors" };
    let weights = fixtures().join("models").join(model).join(folder).join(weights);
    let sharded = weights.with_extension("safetensors.index.json");
    let expected = open(if sharded.is_file() { &sharded } else { &weights }).unwrap();
    view.retain(|name, _| !but.iter().any(|piece| name.contains(piece)));
    let (view, expected) = (view, contents(expected.as_ref()));
    assert_eq!(view.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{model} {folder}");
    for (name, content) in &expected {
        assert!(view[name] == *content, "{model} {folder} {name}");
    }
}

#[test]
fn every_tensor_of_a_checkpoint_is_the_folders() {
    same("sd15", Component::Unet, "unet", &[]);
    same("sd15", Component::Vae, "vae", &[]);
    same("sd15", Component::ClipL, "text_encoder", &["position_ids"]);
    same("sd21", Component::Unet, "unet", &[]);
    same("sd21", Component::Vae, "vae", &[]);
    same("sd21", Component::ClipH, "text_encoder", &["layers.3.", "text_projection", "logit_scale"]);
    same("sdxl", Component::Unet, "unet", &[]);
    same("sdxl", Component::Vae, "vae", &[]);
    same("sdxl", Component::ClipL, "text_encoder", &["position_ids"]);
    same("sdxl", Component::ClipG, "text_encoder_2", &["logit_scale"]);
    same("flux-dev", Component::Transformer, "transformer", &[]);
    same("flux-dev", Component::Vae, "vae", &[]);
    same("flux-dev", Component::ClipL, "text_encoder", &[]);
    same("flux-dev", Component::T5, "text_encoder_2", &[]);
    same("sd35", Component::Transformer, "transformer", &[]);
    same("sd35", Component::Vae, "vae", &[]);
    same("sd35", Component::ClipG, "text_encoder_2", &[]);
    same("sd35", Component::T5, "text_encoder_3", &[]);
}

/// The names of llama.cpp's `tensor_mapping.py` for `T5ENCODER`.
#[test]
fn t5_has_names_of_its_own_in_gguf() {
    let ours = |name: &str| t5::rename(name).pop().unwrap().name;
    for (theirs, name) in [
        ("token_embd.weight", "shared.weight"),
        ("enc.output_norm.weight", "encoder.final_layer_norm.weight"),
        ("enc.blk.0.attn_rel_b.weight", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
        ("enc.blk.23.attn_o.weight", "encoder.block.23.layer.0.SelfAttention.o.weight"),
        ("enc.blk.7.attn_norm.weight", "encoder.block.7.layer.0.layer_norm.weight"),
        ("enc.blk.7.ffn_norm.weight", "encoder.block.7.layer.1.layer_norm.weight"),
        ("enc.blk.7.ffn_gate.weight", "encoder.block.7.layer.1.DenseReluDense.wi_0.weight"),
        ("enc.blk.7.ffn_up.weight", "encoder.block.7.layer.1.DenseReluDense.wi_1.weight"),
        ("enc.blk.7.ffn_down.weight", "encoder.block.7.layer.1.DenseReluDense.wo.weight"),
        ("encoder.block.7.layer.1.DenseReluDense.wo.weight", "encoder.block.7.layer.1.DenseReluDense.wo.weight"),
    ] {
        assert_eq!(ours(theirs), name);
    }
}

#[test]
fn pieces_are_whole_rows() {
    let mlp = flux::rename("single_blocks.0.linear1.weight").pop().unwrap();
    assert_eq!(mlp.name, "single_transformer_blocks.0.proj_mlp.weight");
    assert_eq!(mlp.piece.rows(21), Some(9..21));
    assert_eq!((mlp.piece.rows(22), Piece::Transposed.rows(4)), (None, None));
    assert_eq!(Piece::third(1).rows(6), Some(2..4));
    assert_eq!((Piece::Whole.rows(5), Piece::Swapped.rows(6)), (Some(0..5), None));
    let norm =
        |block, blocks| mmdit::rename(&format!("joint_blocks.{block}.context_block.adaLN_modulation.1.bias"), blocks);
    assert_eq!((norm(2, 3)[0].piece, norm(1, 3)[0].piece), (Piece::Swapped, Piece::Whole));
}

/// Only what is turned has to be copied.
#[test]
fn tensors_are_lent_where_they_lie() {
    let (file, detected) = file("sd21");
    let lent = |view: &Renamed, name: &str| {
        let mut len = 0;
        (view.lend(name, &mut |values| len = values.len()), len)
    };
    let unet = detected.view(&file, Component::Unet).unwrap();
    let text = detected.view(&file, Component::ClipH).unwrap();
    for (view, name) in [
        (&unet, "conv_in.weight"),
        (&text, "text_model.encoder.layers.0.self_attn.k_proj.weight"),
        (&detected.view(&file, Component::Vae).unwrap(), "decoder.mid_block.attentions.0.to_k.weight"),
    ] {
        let elements = view.info(name).unwrap().0.elem_count();
        assert_eq!(lent(view, name), (true, elements), "{name}");
    }
    assert_eq!(lent(&text, "text_projection.weight"), (false, 0));
    assert_eq!(lent(&unet, "none"), (false, 0));
}

#[test]
fn names_of_full_models() {
    let unet = |name| unet::rename(name, 2).pop().map(|target| target.name).unwrap_or_default();
    for (theirs, ours) in [
        ("time_embed.2.bias", "time_embedding.linear_2.bias"),
        ("input_blocks.4.1.norm.weight", "down_blocks.1.attentions.0.norm.weight"),
        ("input_blocks.8.0.skip_connection.bias", "down_blocks.2.resnets.1.conv_shortcut.bias"),
        ("input_blocks.9.0.op.weight", "down_blocks.2.downsamplers.0.conv.weight"),
        ("input_blocks.11.0.emb_layers.1.bias", "down_blocks.3.resnets.1.time_emb_proj.bias"),
        ("middle_block.1.proj_in.weight", "mid_block.attentions.0.proj_in.weight"),
        ("middle_block.2.out_layers.3.weight", "mid_block.resnets.1.conv2.weight"),
        ("output_blocks.2.1.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"),
        ("output_blocks.5.2.conv.bias", "up_blocks.1.upsamplers.0.conv.bias"),
        ("output_blocks.11.0.in_layers.2.weight", "up_blocks.3.resnets.2.conv1.weight"),
        (
            "output_blocks.11.1.transformer_blocks.0.attn2.to_k.weight",
            "up_blocks.3.attentions.2.transformer_blocks.0.attn2.to_k.weight",
        ),
        ("out.0.weight", "conv_norm_out.weight"),
        ("label_emb.0.2.weight", "add_embedding.linear_2.weight"),
        ("input_blocks.x.0.weight", ""),
        ("output_blocks", ""),
        ("input_blocks.1.0.nothing", ""),
    ] {
        assert_eq!(unet(theirs), ours);
    }
    let vae = |name| vae::rename(name, 4).pop();
    assert_eq!(
        vae("decoder.up.3.block.2.nin_shortcut.bias").unwrap().name,
        "decoder.up_blocks.0.resnets.2.conv_shortcut.bias"
    );
    assert_eq!(vae("decoder.up.1.upsample.conv.bias").unwrap().name, "decoder.up_blocks.2.upsamplers.0.conv.bias");
    assert_eq!(vae("encoder.mid.attn_1.q.weight").unwrap().piece, Piece::Matrix);
    assert_eq!(vae("encoder.mid.attn_1.norm.weight").unwrap().piece, Piece::Whole);
    assert_eq!((vae("decoder.up.4.block.0.norm1.bias"), vae("loss.logvar")), (None, None));
}

#[test]
fn text_encoders_of_stable_diffusion_cpp_are_half_way() {
    let names =
        |name: &str| clip::rename(name).into_iter().map(|target| (target.name, target.piece)).collect::<Vec<_>>();
    let layer = "text_model.encoder.layers.7.";
    let projections = names(&format!("{layer}self_attn.in_proj.weight"));
    assert_eq!(projections[2], (format!("{layer}self_attn.v_proj.weight"), Piece::third(2)));
    assert_eq!(names("text_model.text_projection"), [("text_projection.weight".into(), Piece::Transposed)]);
    assert_eq!(names("text_projection.weight"), [("text_projection.weight".into(), Piece::Whole)]);
    assert_eq!(names("encoder.layers.7.layer_norm1.bias"), [(format!("{layer}layer_norm1.bias"), Piece::Whole)]);
}

#[test]
fn what_cannot_be_cut_shows_its_own_shape() {
    let file = of_tensors(&[zeros("attn", &[7, 2]), zeros("conv", &[2, 2, 3, 3])], &[]);
    let view = Renamed::new(file.source, "", |name| {
        vec![Target { name: name.into(), piece: if name == "attn" { Piece::third(1) } else { Piece::Matrix } }]
    });
    assert_eq!(view.info("attn").unwrap().0.dims(), [7, 2]);
    assert_eq!(view.info("conv").unwrap().0.dims(), [2, 2, 3, 3]);
    assert!(view.read("attn").is_err() && view.read("conv").is_err() && view.read("gone").is_err());
}
