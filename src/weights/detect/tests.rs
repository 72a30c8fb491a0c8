//! Files of the sizes that are published, of zeros: what each is taken for.

use super::*;
use crate::weights::testing::{checkpoint, ckpt, fixtures, of_tensors, zeros, Stored};

fn detected(tensors: &[Stored], metadata: &[(&str, &str)]) -> Detected {
    Detected::of(&of_tensors(tensors, metadata))
}

fn with(mut tensors: Vec<Stored>, change: impl Fn(&mut Stored)) -> Vec<Stored> {
    tensors.iter_mut().for_each(change);
    tensors
}

/// The tensors below a prefix, without it.
fn below(tensors: &[Stored], prefix: &str) -> Vec<Stored> {
    let strip = |tensor: &Stored| Some(Stored { name: tensor.name.strip_prefix(prefix)?.into(), ..tensor.clone() });
    tensors.iter().filter_map(strip).collect()
}

#[test]
fn checkpoints_are_told_apart() {
    for (model, line) in [
        ("sd15", "SD 1.x, f16, with VAE and text encoder"),
        ("sd21", "SD 2.x, f16, with VAE and text encoder"),
        ("sdxl", "SDXL, f16, with VAE and text encoders"),
    ] {
        let found = detected(&checkpoint(model), &[]);
        assert_eq!(found.to_string(), line);
        assert!(found.tensors > 500 && !found.averaged && found.other.is_none());
        assert_eq!(found.prediction, Told::default());
        let leftovers = found.without_part(&of_tensors(&checkpoint(model), &[]));
        assert_eq!(leftovers, ["alphas_cumprod", "betas"], "{model}");
    }
}

#[test]
fn parts_alone_are_told_apart() {
    let (sd15, sd21, sdxl) = (checkpoint("sd15"), checkpoint("sd21"), checkpoint("sdxl"));
    for (tensors, prefix, line) in [
        (&sd15, "model.diffusion_model.", "SD 1.x, f16, without VAE and text encoder"),
        (&sd15, "model.", "SD 1.x, f16, without VAE and text encoder"),
        (&sd21, "model.diffusion_model.", "SD 2.x, f16, without VAE and text encoder"),
        (&sdxl, "model.diffusion_model.", "SDXL, f16, without VAE and text encoder"),
        (&sd15, "first_stage_model.", "a VAE, f16"),
        (&sd15, "cond_stage_model.transformer.", "a text encoder (CLIP-L), f16"),
        (&sdxl, "conditioner.embedders.1.model.", "a text encoder (OpenCLIP-G), f16"),
    ] {
        assert_eq!(detected(&below(tensors, prefix), &[]).to_string(), line, "{prefix}");
    }
    for (model, part, line) in [
        ("sd15", "unet/diffusion_pytorch_model", "SD 1.x, f16, without VAE and text encoder"),
        ("sd15-inpaint", "unet/diffusion_pytorch_model", "SD 1.x inpainting, f16, without VAE and text encoder"),
        ("sd21", "unet/diffusion_pytorch_model", "SD 2.x, f16, without VAE and text encoder"),
        ("sdxl", "unet/diffusion_pytorch_model", "SDXL, f16, without VAE and text encoder"),
        ("sd21", "vae/diffusion_pytorch_model", "a VAE, f16"),
        ("sd15", "text_encoder/model", "a text encoder (CLIP-L), f16"),
    ] {
        let path = fixtures().join("models").join(model).join(format!("{part}.safetensors"));
        assert_eq!(detect(&path).unwrap().1.to_string(), line, "{model}/{part}");
    }
}

#[test]
fn text_encoders_alone_are_told_by_their_width() {
    for (width, component) in [(768, Component::ClipL), (1024, Component::ClipH), (1280, Component::ClipG)] {
        for name in ["text_model.final_layer_norm.weight", "ln_final.weight"] {
            assert_eq!(detected(&[zeros(name, &[width])], &[]).parts[0].component, component, "{name} {width}");
        }
    }
}

#[test]
fn files_of_stable_diffusion_cpp_are_understood() {
    let unet = ["input_blocks.0.0.weight", "label_emb.0.0.weight"]
        .map(|name| zeros(&format!("model.diffusion_model.{name}"), &[4, 4]));
    let first = zeros("cond_stage_model.transformer.text_model.final_layer_norm.weight", &[768]);
    let second = zeros("cond_stage_model.1.transformer.text_model.final_layer_norm.weight", &[1280]);
    let projection = zeros("cond_stage_model.1.transformer.text_model.text_projection", &[1280, 640]);
    let file = of_tensors(&[&unet[..], &[first.clone(), second, projection]].concat(), &[]);
    let found = Detected::of(&file);
    assert_eq!(found.title(), "SDXL");
    let view = found.view(&file, Component::ClipG).unwrap();
    assert_eq!(crate::nn::ParamSource::info(&view, "text_projection.weight").unwrap().0.dims(), [640, 1280]);
    // SD 2.x: the one encoder is the wider one.
    let wide = Stored { shape: vec![1024], bytes: vec![0; 2048], ..first };
    let found = detected(&[&unet[..1], &[wide]].concat(), &[]);
    assert_eq!((found.title(), found.parts[1].component), ("SD 2.x".into(), Component::ClipH));
}

#[test]
fn input_channels_tell_the_variant() {
    const CONV_IN: &str = "model.diffusion_model.input_blocks.0.0.weight";
    for (channels, title) in
        [(9, "SD 1.x inpainting"), (8, "SD 1.x picture editing"), (5, "SD 1.x with 5 input channels")]
    {
        let tensors = with(checkpoint("sd15"), |tensor| {
            if tensor.name == CONV_IN {
                *tensor = zeros(CONV_IN, &[tensor.shape[0], channels, 3, 3]);
            }
        });
        assert_eq!(detected(&tensors, &[]).title(), title);
    }
}

#[test]
fn files_that_say_what_they_predict_are_believed() {
    let velocity = |tensors: &[Stored], metadata: &[(&str, &str)]| detected(tensors, metadata).prediction.velocity;
    let sd21 = checkpoint("sd21");
    assert_eq!(velocity(&sd21, &[]), None);
    for (key, word, expected) in [
        ("modelspec.prediction_type", "v", Some(true)),
        ("modelspec.prediction_type", "epsilon", Some(false)),
        ("modelspec.architecture", "stable-diffusion-v2-768-v", Some(true)),
        ("modelspec.architecture", "stable-diffusion-v2-512/lora", Some(false)),
        ("modelspec.architecture", "stable-diffusion-v1", None),
        ("global_step", "875000", Some(false)),
        ("global_step", "110000", Some(true)),
        ("global_step", "7", None),
    ] {
        assert_eq!(velocity(&sd21, &[(key, word)]), expected, "{key} {word}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v2-1.ckpt");
    std::fs::write(&path, ckpt(&sd21, 110_000)).unwrap();
    let (file, found) = detect(&path).unwrap();
    assert_eq!((file.container, found.prediction.velocity), (Container::Torch, Some(true)));
    let mut sdxl = checkpoint("sdxl");
    sdxl.extend([zeros("v_pred", &[0]), zeros("ztsnr", &[0])]);
    let found = detected(&sdxl, &[]);
    assert_eq!(found.prediction, Told { velocity: Some(true), zero_terminal_snr: true });
    assert_eq!(found.to_string(), "SDXL, v-prediction, f16, with VAE and text encoders");
}

#[test]
fn other_families_are_named() {
    let refiner = with(checkpoint("sdxl"), |tensor| {
        tensor.name = tensor.name.replace("conditioner.embedders.1.", "conditioner.embedders.0.");
    });
    assert_eq!(detected(&refiner, &[]).family, Some(Family::SdxlRefiner));
    let mut playground = checkpoint("sdxl");
    playground.push(zeros("edm_mean", &[1, 4, 1, 1]));
    assert_eq!(detected(&playground, &[]).family, Some(Family::SdxlEdm));
}

/// What people call the tensors of a tiny transformer after a change, below ComfyUI's prefix and without it.
fn edition(model: &str, change: impl Fn(&mut Stored)) -> String {
    let tensors = with(below(&checkpoint(model), "model.diffusion_model."), change);
    let title = detected(&tensors, &[]).title();
    let whole = with(tensors, |tensor| tensor.name = format!("model.diffusion_model.{}", tensor.name));
    assert_eq!(detected(&whole, &[]).title(), title);
    title
}

#[test]
fn transformers_are_told_apart_by_what_they_take() {
    let renamed = |from: &'static str| {
        move |tensor: &mut Stored| {
            if tensor.name.contains(from) {
                tensor.name = tensor.name.replace(from, "elsewhere");
            }
        }
    };
    let taking = |values: usize| {
        move |tensor: &mut Stored| {
            if tensor.name == "img_in.weight" {
                *tensor = zeros(&tensor.name, &[48, values]);
            }
        }
    };
    for (model, change, title) in [
        ("flux-dev", Box::new(|_: &mut Stored| {}) as Box<dyn Fn(&mut Stored)>, "FLUX.1 dev"),
        ("flux-dev", Box::new(renamed("guidance_in")), "FLUX.1 schnell"),
        ("flux-dev", Box::new(taking(384)), "FLUX.1 Fill"),
        ("flux-dev", Box::new(taking(128)), "FLUX.1 Canny or Depth"),
        ("flux-dev", Box::new(taking(96)), "a diffusion transformer"),
        // Chroma takes no pooled text.
        ("flux-dev", Box::new(renamed("vector_in")), "a diffusion transformer"),
        ("sd35", Box::new(|_: &mut Stored| {}), "SD 3.5 medium"),
        ("sd35", Box::new(renamed("attn2")), "SD 3.5 large"),
        ("sd35", Box::new(renamed("ln_q")), "SD 3 medium"),
        ("sd35", Box::new(renamed("x_embedder")), "a diffusion transformer"),
    ] {
        assert_eq!(edition(model, change), title);
    }
    for (model, line) in [
        ("flux-dev", "FLUX.1 dev, bf16, with VAE and text encoders"),
        ("sd35", "SD 3.5 medium, f16, with VAE and text encoders"),
    ] {
        assert_eq!(detected(&checkpoint(model), &[]).to_string(), line);
    }
    let folder = fixtures().join("models/sd35/transformer/diffusion_pytorch_model.safetensors");
    assert_eq!(detect(&folder).unwrap().1.title(), "SD 3.5 medium");
    assert_eq!(detected(&[zeros("enc.blk.0.attn_q.weight", &[4, 4])], &[]).title(), "a text encoder (T5)");
}

/// What tensors tell is what the configs of the tiny models say.
#[test]
fn sizes_of_transformers_are_those_of_their_configs() {
    for (model, component, part) in [
        ("flux-dev", Component::Transformer, "transformer"),
        ("flux-dev", Component::T5, "text_encoder_2"),
        ("sd35", Component::Transformer, "transformer"),
        ("sd35", Component::T5, "text_encoder_3"),
    ] {
        let file = of_tensors(&checkpoint(model), &[]);
        let fields = sizes::of(component, &Detected::of(&file).view(&file, component).unwrap());
        let config = fixtures().join("models").join(model).join(part).join("config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
        // As many as it takes.
        if config["out_channels"].is_null() && model == "flux-dev" {
            config["out_channels"] = config["in_channels"].clone();
        }
        assert!(fields.len() > 6, "{model} {part}");
        for (field, value) in fields {
            assert_eq!(value, config[&field], "{model} {part} {field}");
        }
    }
}

#[test]
fn what_is_no_model_is_named() {
    for (name, title) in [
        ("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", "a LoRA"),
        ("unet.down_blocks.0.attentions.0.proj_in.lora_A.weight", "a LoRA"),
        ("lora_unet_mid_block.hada_w1_a", "a LoRA"),
        ("control_model.input_blocks.0.0.weight", "a ControlNet"),
        ("emb_params", "an embedding (textual inversion)"),
        ("clip_g", "an embedding (textual inversion)"),
        ("body.0.rdb1.conv1.weight", "an upscaler (ESRGAN)"),
        ("something", "no model that is known"),
    ] {
        let found = detected(&[zeros(name, &[4, 4])], &[]);
        assert_eq!(found.title(), title);
        assert!(found.family.is_none() && found.parts.is_empty());
    }
}

#[test]
fn controlnets_are_told_by_their_own_layers_with_their_family() {
    let own = [
        "control_model.input_hint_block.0.weight",
        "input_hint_block.0.weight",
        "controlnet_cond_embedding.conv_in.weight",
    ];
    for name in own {
        let attention =
            name.replace("input_hint_block.0.weight", "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight");
        let attention = attention.replace(
            "controlnet_cond_embedding.conv_in.weight",
            "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight",
        );
        let found = detected(&[zeros(name, &[16, 3, 3, 3]), zeros(&attention, &[320, 1024])], &[]);
        assert_eq!((found.title().as_str(), found.family), ("a ControlNet", Some(Family::Sd2)), "{name}");
        assert!(found.part(Component::ControlNet).is_some() && found.part(Component::Unet).is_none());
    }
}

#[test]
fn averaged_weights_are_found_and_shown() {
    let mut tensors = checkpoint("sd15");
    let averaged: Vec<Stored> = below(&tensors, "model.")
        .into_iter()
        .map(|tensor| Stored {
            name: format!("model_ema.{}", tensor.name.replace('.', "")),
            bytes: tensor.bytes.iter().map(|_| 0).collect(),
            ..tensor
        })
        .collect();
    tensors.extend(averaged);
    tensors.push(zeros("model_ema.num_updates", &[]));
    let file = of_tensors(&tensors, &[]);
    let found = Detected::of(&file);
    assert!(found.averaged && found.without_part(&file).contains(&"model_ema.num_updates".to_string()));
    let (plain, averaged) = (found.view(&file, Component::Unet).unwrap(), found.averaged_view(&file).unwrap());
    let sum = |view: &Renamed| {
        let tensor = crate::nn::ParamSource::read(view, "conv_in.weight").unwrap();
        tensor.abs().unwrap().sum_all().unwrap().to_dtype(candle_core::DType::F32).unwrap().to_scalar::<f32>().unwrap()
    };
    assert!(sum(&plain) > 0.0 && sum(&averaged) == 0.0);
    assert_eq!(plain.stored().count(), averaged.stored().count());
    assert!(Detected::of(&of_tensors(&checkpoint("sd15"), &[])).averaged_view(&file).is_some());
    assert!(found.averaged_view(&of_tensors(&checkpoint("sd15"), &[])).is_none());
}

#[test]
fn sizes_are_those_of_the_config() {
    for (model, component, folder) in [
        ("sd15", Component::Unet, "unet"),
        ("sd21", Component::Unet, "unet"),
        ("sdxl", Component::Unet, "unet"),
        ("sd15", Component::Vae, "vae"),
        ("sdxl", Component::Vae, "vae"),
        ("sd15", Component::ClipL, "text_encoder"),
        ("sdxl", Component::ClipG, "text_encoder_2"),
    ] {
        let file = of_tensors(&checkpoint(model), &[]);
        let sizes = sizes::of(component, &Detected::of(&file).view(&file, component).unwrap());
        let config = fixtures().join("models").join(model).join(folder).join("config.json");
        let config: serde_json::Value = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
        assert!(sizes.len() >= 5, "{model} {folder}: {sizes:?}");
        for (field, value) in sizes {
            let expected = &config[&field];
            // One number stands for the same number for each block.
            let alike = value.as_array().is_some_and(|values| values.iter().all(|value| value == expected));
            assert!(value == *expected || alike, "{model} {folder} {field}: {value} instead of {expected}");
        }
    }
}
