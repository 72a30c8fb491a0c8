//! Every dialect against tables of the names and shapes that trainers write; fused, wider and swapped layers; families that do not fit.

mod blocks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use candle_core::{DType, Tensor};
use serde::Deserialize;

use super::peft::PeftConfig;
use super::stack::Component;
use super::{roles, takes_map, Adapter, LoraError, Stack, Strength, Sums};
use crate::models::flux::{FluxConfig, FluxTransformer};
use crate::models::mmdit::{Mmdit, MmditConfig};
use crate::models::t5::{T5Config, T5Encoder};
use crate::nn::{ParamSource, Params};
use crate::weights::testing::fixtures;
use crate::weights::{Container, Padded, RandomWeights, WeightFile};

/// A trainer's file: key, shape, the modules that it belongs to.
#[derive(Deserialize)]
struct Dialect {
    family: String,
    keys: Vec<(String, Vec<usize>, Vec<String>)>,
}

/// A module of a model: kohya's name (`-` where kohya trains none), the component and diffusers' name, the shape of its weight.
type Row = (String, String, Vec<usize>);

fn modules(family: &str) -> Vec<Row> {
    let text = std::fs::read_to_string(fixtures().join("lora/modules.txt")).unwrap();
    let row = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let shape = words[3].split(',').map(|side| side.parse().unwrap()).collect();
        (words[0] == family).then(|| (words[1].into(), words[2].into(), shape))
    };
    text.lines().filter_map(row).collect()
}

fn dialects() -> BTreeMap<String, Dialect> {
    serde_json::from_slice(&std::fs::read(fixtures().join("lora/dialects.json")).unwrap()).unwrap()
}

/// Tensors of these names and shapes.
fn source(tensors: &[(String, Vec<usize>)]) -> Arc<dyn ParamSource> {
    let tensors: Vec<(&str, &[usize])> = tensors.iter().map(|(name, shape)| (&**name, &**shape)).collect();
    Arc::new(RandomWeights::new("test.safetensors", &tensors))
}

/// The tensors that a network of full size wants.
fn wanted(build: impl FnOnce(&Params)) -> Arc<dyn ParamSource> {
    let params = Params::for_survey(source(&[]));
    build(&params);
    source(&params.surveyed().asked)
}

/// A transformer of full size with its text encoders.
fn transformer(family: &str) -> Vec<Component> {
    const MEDIUM: &str =
        r#""num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536, "pos_embed_max_size": 192"#;
    let mmdit = |more: &str| {
        let config = MmditConfig::from_json(&format!("{{{MEDIUM}{more}}}")).unwrap();
        wanted(|params| drop(Mmdit::new(&config, params).unwrap()))
    };
    let denoiser = match family {
        "flux" => wanted(|params| drop(FluxTransformer::new(&FluxConfig::default(), params).unwrap())),
        "sd3" => mmdit(""),
        _ => mmdit(r#", "qk_norm": "rms_norm", "dual_attention_layers": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]"#),
    };
    let t5 =
        r#"{"d_model": 4096, "d_ff": 10240, "num_layers": 24, "num_heads": 64, "feed_forward_proj": "gated-gelu"}"#;
    let t5 = T5Config::from_json(t5).unwrap();
    let t5 = wanted(|params| drop(T5Encoder::new(&t5, params).unwrap()));
    let mut components = model("sdxl");
    components.retain(|(name, _)| *name == "text_encoder" || *name == "text_encoder_2" && family != "flux");
    components
        .extend([("transformer", denoiser), (if family == "flux" { "text_encoder_2" } else { "text_encoder_3" }, t5)]);
    components
}

/// A model with all modules of a family, in full size.
fn model(family: &str) -> Vec<Component> {
    if matches!(family, "flux" | "sd3" | "sd35") {
        return transformer(family);
    }
    let rows = modules(family);
    let component = |name: &'static str| {
        let mut tensors = Vec::new();
        for (_, module, shape) in &rows {
            let Some(("", module)) = module.strip_prefix(name).and_then(|rest| rest.split_once('.')) else { continue };
            tensors.push((format!("{module}.weight"), shape.clone()));
            tensors.push((format!("{module}.bias"), shape[..1].to_vec()));
        }
        (!tensors.is_empty()).then(|| (name, source(&tensors)))
    };
    ["unet", "text_encoder", "text_encoder_2"].into_iter().filter_map(component).collect()
}

fn adapter(tensors: &[(String, Vec<usize>)]) -> Result<Adapter, LoraError> {
    let file = WeightFile { source: source(tensors), container: Container::Safetensors, metadata: BTreeMap::new() };
    Adapter::new("test", file, PeftConfig::default())
}

fn whole() -> Strength {
    Strength { denoiser: 1.0, text: 1.0, blocks: None }
}

/// Where a module of an adapter lies in a model: component and module.
fn found(stack: &Stack, module: &str) -> Vec<String> {
    let place = stack.names().find(module);
    let full = |place: super::names::Place<'_>| {
        place.modules.iter().map(|module| format!("{}.{module}", place.component)).collect()
    };
    place.map(full).unwrap_or_default()
}

#[test]
fn all_modules_that_kohya_trains_are_found() {
    for (family, count) in [("sd15", 264 + 86), ("sdxl", 986 + 66), ("flux", 2 * 10 + 3 * 3), ("sd3", 10 + 7)] {
        let stack = Stack::new(model(family), None);
        let rows = modules(family);
        let named: Vec<&Row> = rows.iter().filter(|(name, ..)| name != "-").collect();
        assert_eq!(named.len(), count);
        for (name, module, _) in named {
            assert_eq!(found(&stack, name).join("+"), *module, "{family} {name}");
        }
    }
}

#[test]
fn all_keys_of_all_dialects_are_found() {
    let dialects = dialects();
    assert_eq!(dialects.len(), 43);
    for (name, dialect) in &dialects {
        let mut stack = Stack::new(model(&dialect.family), None);
        let keys: Vec<_> = dialect.keys.iter().map(|(key, shape, _)| (key.clone(), shape.clone())).collect();
        let adapter = adapter(&keys).unwrap();
        for (key, _, targets) in &dialect.keys {
            let (module, _) = roles::split(key).unwrap_or_else(|| panic!("{name}: {key} has no role"));
            assert_eq!(found(&stack, module), *targets, "{name} {key}");
        }
        let report = stack.add(&adapter, &whole()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let modules: BTreeSet<&str> = dialect.keys.iter().map(|(key, ..)| roles::split(key).unwrap().0).collect();
        assert!(report.is_complete() && report.count() == modules.len(), "{name}: {report}");
    }
}

pub(super) fn difference(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
}

fn strings(tensors: &[(&str, &[usize])]) -> Vec<(String, Vec<usize>)> {
    tensors.iter().map(|(name, shape)| ((*name).to_string(), shape.to_vec())).collect()
}

/// What a stack adds to a tensor of its only component.
fn added(base: &Arc<dyn ParamSource>, stack: Stack, tensor: &str) -> Tensor {
    let [(_, source)] = stack.into_components(Sums::F32).try_into().ok().unwrap();
    let read = |source: &Arc<dyn ParamSource>| source.read(tensor).unwrap().to_dtype(DType::F32).unwrap();
    (read(&source) - read(base)).unwrap()
}

#[test]
fn a_fused_layer_changes_the_rows_of_each_of_its_modules() {
    let layer = "text_model.encoder.layers.0.self_attn";
    let tensors: Vec<_> =
        ["q", "k", "v"].iter().map(|what| (format!("{layer}.{what}_proj.weight"), vec![4, 6])).collect();
    let base = source(&tensors);
    let module = "text_encoder.transformer.resblocks.0.attn.in_proj";
    let (down, up) = (format!("{module}.lora_A.weight"), format!("{module}.lora_B.weight"));
    let lora = strings(&[(&down, &[2, 6]), (&up, &[12, 2])]);
    let factors = source(&lora);
    let read = |name: &str| factors.read(name).unwrap().to_dtype(DType::F32).unwrap();
    for (index, what) in ["q", "k", "v"].iter().enumerate() {
        let mut stack = Stack::new(vec![("text_encoder", base.clone())], None);
        let report = stack.add(&adapter(&lora).unwrap(), &whole()).unwrap();
        assert_eq!(report.to_string(), "test: 1 of 1 modules, rank 2, text 1");
        let expected = read(&up).narrow(0, 4 * index, 4).unwrap().matmul(&read(&down)).unwrap();
        let change = added(&base, stack, &format!("{layer}.{what}_proj.weight"));
        assert!(difference(&change, &expected) < 1e-6, "{what}");
    }
}

/// A LoRA for FLUX.1 dev changes the columns of the latents in the first layer of Fill, Canny and Depth.
#[test]
fn the_first_layer_of_wider_relatives_is_changed_where_the_latents_are() {
    let base = source(&strings(&[("x_embedder.weight", &[6, 12]), ("proj_out.weight", &[4, 6])]));
    let lora = |inputs: usize| {
        let (down, up) = ("transformer.x_embedder.lora_A.weight", "transformer.x_embedder.lora_B.weight");
        strings(&[(down, &[2, inputs]), (up, &[6, 2])])
    };
    let stack = |inputs: usize| {
        let mut stack = Stack::new(vec![("transformer", base.clone())], None);
        stack.add(&adapter(&lora(inputs)).unwrap(), &whole()).map(|_| stack)
    };
    let factors = source(&lora(4));
    let [down, up] = ["A", "B"].map(|factor| {
        let name = format!("transformer.x_embedder.lora_{factor}.weight");
        factors.read(&name).unwrap().to_dtype(DType::F32).unwrap()
    });
    let expected = up.matmul(&down).unwrap().pad_with_zeros(1, 0, 8).unwrap();
    assert!(difference(&added(&base, stack(4).unwrap(), "x_embedder.weight"), &expected) < 1e-6);
    // Beside quantised weights it stays a product.
    let [(_, source)] = stack(4).unwrap().into_components(Sums::F32).try_into().ok().unwrap();
    let [up, down] = source.change("x_embedder.weight").unwrap().unwrap();
    assert!(difference(&up.matmul(&down).unwrap(), &expected) < 1e-6);
    assert!(stack(12).is_ok());
    assert!(stack(24).err().unwrap().hint().unwrap().contains("sdgen controlnet -m flux-dev --lora"));
    assert!(stack(5).err().unwrap().to_string().contains("[6, 5], and the model's is [6, 12]"));
}

/// LoRAs of FLUX.1 Canny and Depth bring norms, which take the place of the model's whatever the strength, and a wider first layer.
#[test]
fn norms_take_the_place_of_the_models() {
    let norm = "transformer_blocks.0.attn.norm_q.weight";
    let narrow: [(&str, &[usize]); 4] = [
        (norm, &[4]),
        ("x_embedder.weight", &[6, 64]),
        ("proj_out.weight", &[64, 6]),
        // What tells that it is FLUX.
        ("single_transformer_blocks.0.proj_mlp.weight", &[4, 4]),
    ];
    let narrow = source(&strings(&narrow));
    let base: Arc<dyn ParamSource> = Arc::new(Padded::new(narrow, "x_embedder.weight", 128));
    for name in
        ["double_blocks.0.img_attn.norm.query_norm.scale", "transformer.transformer_blocks.0.attn.norm_q.weight"]
    {
        let lora = strings(&[(name, &[4]), ("img_in.lora_A.weight", &[2, 128]), ("img_in.lora_B.weight", &[6, 2])]);
        let file = source(&lora);
        assert!(takes_map(file.as_ref()));
        let idle = Strength { denoiser: 0.0, ..whole() };
        let mut stack = Stack::new(vec![("transformer", base.clone())], None);
        let report = stack.add(&adapter(&lora).unwrap(), &idle).unwrap();
        assert_eq!(report.to_string(), "test: 2 of 2 modules, rank 2, transformer 2");
        assert_eq!(stack.changed("transformer").into_iter().collect::<Vec<_>>(), [norm]);
        let read = |source: &dyn ParamSource, name: &str| source.read(name).unwrap().to_dtype(DType::F32).unwrap();
        let expected = (read(file.as_ref(), name) - read(base.as_ref(), norm)).unwrap();
        assert!(difference(&added(&base, stack, norm), &expected) < 1e-6, "{name}");
        // A model has norms too.
        assert!(matches!(adapter(&lora[..1]), Err(LoraError::NotALora { .. })));
    }
    assert!(!takes_map(source(&strings(&[("img_in.lora_A.weight", &[2, 64])])).as_ref()));
}

/// Shift and scale of the last norm stand the other way round in the original code.
#[test]
fn a_layer_of_swapped_halves_is_changed_in_the_order_of_the_model() {
    let tensors = [("norm_out.linear.weight", vec![6, 4]), ("single_transformer_blocks.0.proj_mlp.weight", vec![4, 4])];
    let base = source(&tensors.map(|(name, shape)| (name.to_string(), shape)));
    let module = "diffusion_model.final_layer.adaLN_modulation.1";
    let (down, up) = (format!("{module}.lora_A.weight"), format!("{module}.lora_B.weight"));
    let lora = strings(&[(&down, &[2, 4]), (&up, &[6, 2])]);
    let factors = source(&lora);
    let read = |name: &str| factors.read(name).unwrap().to_dtype(DType::F32).unwrap();
    let mut stack = Stack::new(vec![("transformer", base.clone())], None);
    let report = stack.add(&adapter(&lora).unwrap(), &whole()).unwrap();
    assert_eq!(report.to_string(), "test: 1 of 1 modules, rank 2, transformer 1");
    let (_, patches) = stack.patches("transformer").next().unwrap();
    let thin = patches[0].change.factors(&patches[0].rows).unwrap().unwrap();
    let (first, second) = (read(&up).narrow(0, 0, 3).unwrap(), read(&up).narrow(0, 3, 3).unwrap());
    let expected = Tensor::cat(&[second, first], 0).unwrap().matmul(&read(&down)).unwrap();
    assert!(difference(&thin.up.matmul(&thin.down).unwrap(), &expected) < 1e-6);
    assert!(difference(&added(&base, stack, "norm_out.linear.weight"), &expected) < 1e-6);
    // DoRA goes by the rows of the weight, which stand in the model's order.
    let scale = format!("{module}.dora_scale");
    let dora = strings(&[(&down, &[2, 4]), (&up, &[6, 2]), (&scale, &[6, 1])]);
    let mut stack = Stack::new(vec![("transformer", base)], None);
    let refused = stack.add(&adapter(&dora).unwrap(), &whole()).unwrap_err();
    assert!(refused.to_string().contains("other way round") && refused.hint().unwrap().contains("DoRA"), "{refused}");
}

#[test]
fn adapters_of_transformers_are_for_their_family_alone() {
    let dialects = dialects();
    let of = |name: &str| {
        let keys: Vec<_> = dialects[name].keys.iter().map(|(key, shape, _)| (key.clone(), shape.clone())).collect();
        adapter(&keys).unwrap()
    };
    for (lora, model_family, words) in [
        ("kohya-flux", "sd15", "for FLUX.1, and the model is SD 1.x"),
        ("kohya-sd15", "flux", "for SD 1.x, and the model is FLUX.1"),
        ("peft-flux", "sd3", "for FLUX.1, and the model is SD 3"),
        ("peft-sd35m", "flux", "for SD 3.5, and the model is FLUX.1"),
        ("peft-sd3", "flux", "for SD 3, and the model is FLUX.1"),
    ] {
        let family = match model_family {
            "sd15" => super::Family::Sd1,
            "sd3" => super::Family::Sd3,
            _ => super::Family::Flux,
        };
        let mut stack = Stack::new(model(model_family), Some(family));
        let refused = stack.add(&of(lora), &whole()).unwrap_err().to_string();
        assert!(refused.contains(words), "{lora}: {refused}");
    }
    // Those for control maps have an input twice as wide.
    let control =
        adapter(&strings(&[("img_in.lora_A.weight", &[4, 128]), ("img_in.lora_B.weight", &[3072, 4])])).unwrap();
    let mut stack = Stack::new(model("flux"), Some(super::Family::Flux));
    assert!(stack.add(&control, &whole()).unwrap_err().to_string().contains("takes a control map"));
    let blocks = Strength { blocks: Some("MID=0.5".parse().unwrap()), ..whole() };
    assert!(stack.add(&of("kohya-flux"), &blocks).unwrap_err().to_string().contains("the model has none"));
}
