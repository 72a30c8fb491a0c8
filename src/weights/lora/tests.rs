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
use super::{roles, Adapter, LoraError, Stack, Strength};
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
        super::sum::add(&weight, &change).unwrap()
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
    assert!(difference(&super::sum::add(&stored, &change).unwrap(), &expected) < 1e-7);
    let ia3 = Case { file: &file, name: "ia3_output" };
    assert!(Changes::of(&ia3.module(), None).unwrap().bias.is_none());
}
