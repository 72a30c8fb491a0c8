//! Every dialect and every kind against tables: names and shapes that trainers write, and weights merged by published formulas.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Tensor};
use serde::Deserialize;

use super::kinds::{Base, Changes};
use super::module::{Module, Stored};
use super::peft::PeftConfig;
use super::stack::Component;
use super::{roles, Adapter, BlockWeights, LoraError, Stack, Strength, Sums};
use crate::nn::ParamSource;
use crate::weights::testing::fixtures;
use crate::weights::{Container, RandomWeights, Safetensors, WeightFile};

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

/// A model with all modules of a family, in full size.
fn model(family: &str) -> Vec<Component> {
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
    for (family, count) in [("sd15", 264 + 86), ("sdxl", 986 + 66)] {
        let stack = Stack::new(model(family), None);
        let rows = modules(family);
        let named: Vec<&Row> = rows.iter().filter(|(name, ..)| name != "-").collect();
        assert_eq!(named.len(), count);
        for (name, module, _) in named {
            assert_eq!(found(&stack, name), std::slice::from_ref(module), "{family} {name}");
        }
    }
}

#[test]
fn all_keys_of_all_dialects_are_found() {
    let dialects = dialects();
    assert_eq!(dialects.len(), 27);
    for (name, dialect) in &dialects {
        let mut stack = Stack::new(model(&dialect.family), None);
        let keys: Vec<_> = dialect.keys.iter().map(|(key, shape, _)| (key.clone(), shape.clone())).collect();
        let adapter = adapter(&keys).unwrap();
        for (key, _, targets) in &dialect.keys {
            let (module, _) = roles::split(key).unwrap_or_else(|| panic!("{name}: {key} has no role"));
            assert_eq!(found(&stack, module), *targets, "{name} {key}");
        }
        let report = stack.add(&adapter, &whole()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let modules: BTreeSet<&String> = dialect.keys.iter().flat_map(|(_, _, targets)| targets).collect();
        assert!(report.is_complete() && report.count() == modules.len(), "{name}: {report}");
    }
}

/// The tensors of a case of `kinds.safetensors`.
struct Case<'a> {
    file: &'a Arc<dyn ParamSource>,
    name: &'a str,
}

impl Case<'_> {
    fn get(&self, what: &str) -> Option<Tensor> {
        let name = format!("{}/{what}", self.name);
        self.file.info(&name)?;
        Some(self.file.read(&name).unwrap().to_dtype(DType::F32).unwrap())
    }

    /// The module that the file tensors make.
    fn module(&self) -> Module {
        self.module_with("", "")
    }

    /// The same with `to` instead of `from` in their names.
    fn module_with(&self, from: &str, to: &str) -> Module {
        let mut module = Module::new("module");
        let front = format!("{}/file.", self.name);
        for name in self.file.names() {
            let Some(key) = name.strip_prefix(&front) else { continue };
            let key = format!("module.{}", if from.is_empty() { key.into() } else { key.replace(from, to) });
            let (_, role) = roles::split(&key).unwrap();
            module.insert(role, Stored::of(self.file, &name).unwrap());
        }
        module
    }

    /// The weight with the change at this multiplier, made of parts of its rows.
    fn merged(&self, module: &Module, multiplier: f64) -> Tensor {
        let changes = Changes::of(module, None).unwrap();
        let change = changes.weight.unwrap();
        let weight = self.get("model.weight").unwrap();
        let outputs = weight.dims()[0];
        assert!(change.fits(outputs, &weight.dims()[1..]), "{}: {}", self.name, change.shape());
        let part = |rows: Range<usize>| {
            let base = weight.narrow(0, rows.start, rows.len()).unwrap();
            change.rows(&Base::new(&base), &rows, multiplier).unwrap()
        };
        let cut = if change.splits() { outputs / 3 } else { 0 };
        let parts = [0..cut, cut..outputs].into_iter().filter(|rows| !rows.is_empty());
        let change = Tensor::cat(&parts.map(part).collect::<Vec<_>>(), 0).unwrap();
        super::sum::add(&weight, &change, Sums::Stored).unwrap()
    }
}

fn difference(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
}

fn kinds() -> Arc<dyn ParamSource> {
    Arc::new(Safetensors::open(&fixtures().join("lora/kinds.safetensors")).unwrap())
}

#[test]
fn kinds_are_merged_by_their_formulas() {
    let file = kinds();
    let names: BTreeSet<String> = file.names().iter().map(|name| name.split('/').next().unwrap().into()).collect();
    assert_eq!(names.len(), 23);
    for name in &names {
        let case = Case { file: &file, name };
        let module = case.module();
        for (multiplier, what) in [(1.0, "merged_1.0"), (-0.7, "merged_-0.7")] {
            // Of DoRA only multiplier 1 is agreed upon.
            let Some(expected) = case.get(what) else { continue };
            let merged = case.merged(&module, multiplier);
            assert!(difference(&merged, &expected) < 3e-7, "{name} {multiplier}: {}", difference(&merged, &expected));
        }
        assert!(case.get("merged_1.0").is_some());
    }
}

#[test]
fn dora_is_interpolated_except_for_peft() {
    let file = kinds();
    for name in ["dora_linear", "dora_conv3x3", "dora_linear_on_input"] {
        let case = Case { file: &file, name };
        let (weight, one) = (case.get("model.weight").unwrap(), case.get("merged_1.0").unwrap());
        let half = ((&weight + &one).unwrap() * 0.5).unwrap();
        assert!(difference(&case.merged(&case.module(), 0.5), &half) < 3e-7, "{name}");
        if name == "dora_linear_on_input" {
            continue;
        }
        let peft = case.module_with("dora_scale", "lora_magnitude_vector");
        let expected = case.get("peft_merged_-0.7").unwrap();
        assert!(difference(&case.merged(&peft, -0.7), &expected) < 3e-7, "{name}");
    }
}

#[test]
fn biases_are_changed_by_whole_differences_alone() {
    let file = kinds();
    let case = Case { file: &file, name: "norm" };
    let bias = Changes::of(&case.module(), None).unwrap().bias.unwrap();
    let stored = case.get("model.bias").unwrap();
    let change = bias.rows(&Base::new(&stored), &(0..16), -0.7).unwrap();
    let expected = case.get("merged_bias_-0.7").unwrap();
    assert!(difference(&super::sum::add(&stored, &change, Sums::Stored).unwrap(), &expected) < 1e-7);
    let ia3 = Case { file: &file, name: "ia3_output" };
    assert!(Changes::of(&ia3.module(), None).unwrap().bias.is_none());
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

#[test]
fn blocks_are_counted_as_in_the_original_code() {
    let weights: BlockWeights = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17".parse().unwrap();
    let of = |family: &str, module: &str| {
        let components = model(family);
        let names = super::blocks::BlockNames::of_unet(&components[0].1.names());
        names.of("unet", module).to_string()
    };
    for (family, module, block) in [
        ("sd15", "down_blocks.0.attentions.0.proj_in", "IN01"),
        ("sd15", "down_blocks.1.resnets.1.conv1", "IN05"),
        ("sd15", "down_blocks.2.downsamplers.0.conv", "IN09"),
        ("sd15", "mid_block.attentions.0.proj_out", "MID"),
        ("sd15", "up_blocks.0.upsamplers.0.conv", "OUT02"),
        ("sd15", "up_blocks.3.attentions.2.proj_in", "OUT11"),
        ("sd15", "time_embedding.linear_1", "BASE"),
        ("sd15", "conv_in", "IN00"),
        ("sdxl", "down_blocks.2.attentions.1.proj_in", "IN08"),
        ("sdxl", "up_blocks.0.attentions.2.proj_in", "OUT02"),
    ] {
        assert_eq!(of(family, module), block, "{family} {module}");
    }
    // A list names the blocks with attention; others get nothing.
    let components = model("sd15");
    let names = super::blocks::BlockNames::of_unet(&components[0].1.names());
    let weight = |module: &str| weights.of(names.of("unet", module));
    assert_eq!(weight("down_blocks.0.attentions.0.proj_in"), 2.0);
    assert_eq!(weight("mid_block.attentions.0.proj_in"), 8.0);
    assert_eq!(weight("up_blocks.3.attentions.2.proj_in"), 17.0);
    assert_eq!(weight("conv_in"), 0.0);
    assert_eq!(weights.of(names.of("text_encoder", "text_model.encoder.layers.0.mlp.fc1")), 1.0);
    let stack = |family: &str| Stack::new(model(family), None);
    let lora = |family: &str| {
        let name = modules(family).into_iter().find(|(name, ..)| name != "-").unwrap();
        adapter(&[(format!("{}.diff", name.0), name.2)]).unwrap()
    };
    let blocks = |text: &str| Strength { blocks: Some(text.parse().unwrap()), ..whole() };
    assert!(stack("sd15").add(&lora("sd15"), &Strength { blocks: Some(weights), ..whole() }).is_ok());
    let twelve = ["1"; 12].join(",");
    assert!(stack("sdxl").add(&lora("sdxl"), &blocks(&twelve)).is_ok());
    let refused = stack("sd15").add(&lora("sd15"), &blocks(&twelve)).unwrap_err().to_string();
    assert!(refused.contains("9 blocks each way, and the model's has 12"), "{refused}");
    assert!(stack("sdxl").add(&lora("sdxl"), &blocks("OUT09=1")).is_err());
    assert!(stack("sd15").add(&lora("sd15"), &blocks("OUT09=1")).is_ok());
}

#[test]
fn block_weights_are_read_later_ones_first() {
    use super::blocks::Block;
    let weights: BlockWeights = "all=0.5, in=2,IN04=3,m00=-1".parse().unwrap();
    let all = [Block::Base, Block::In(0), Block::In(4), Block::Mid, Block::Out(3)].map(|block| weights.of(block));
    assert_eq!(all, [0.5, 2.0, 3.0, -1.0, 0.5]);
    let other: BlockWeights = "OUT=0".parse().unwrap();
    assert_eq!([Block::Base, Block::Out(3)].map(|block| other.of(block)), [1.0, 0.0]);
    for text in ["", "1", "1,2", "MID=", "MID=nan", "IN=1,2", "INX=1", "OUT-1=1"] {
        assert!(text.parse::<BlockWeights>().is_err(), "{text}");
    }
}
