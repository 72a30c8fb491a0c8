//! Every kind against weights that were merged by published formulas.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::super::module::{Module, Stored};
use super::super::tests::difference;
use super::super::{roles, sum, Sums};
use super::{Base, Changes};
use crate::nn::ParamSource;
use crate::weights::testing::{self, fixtures};
use crate::weights::Safetensors;

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
        sum::add(&weight, &change, Sums::Stored).unwrap()
    }
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
fn thin_matrices_multiply_to_the_change() {
    let file = kinds();
    let names: BTreeSet<String> = file.names().iter().map(|name| name.split('/').next().unwrap().into()).collect();
    let mut products = Vec::new();
    for name in &names {
        let case = Case { file: &file, name };
        let Some(change) = Changes::of(&case.module(), None).unwrap().weight else { continue };
        let weight = case.get("model.weight").unwrap();
        let rows = 1..weight.dims()[0];
        let factors = change.factors(&rows).unwrap();
        assert_eq!(factors.is_some(), change.is_product(), "{name}");
        let Some(factors) = factors else { continue };
        let part = weight.narrow(0, rows.start, rows.len()).unwrap();
        let expected = change.rows(&Base::new(&part), &rows, 1.0).unwrap();
        let product = factors.up.matmul(&factors.down).unwrap();
        assert!(difference(&product, &expected) < 3e-7, "{name}: {}", difference(&product, &expected));
        assert_eq!(factors.down.dims()[0], change.rank().unwrap());
        products.push((name.as_str(), change.kind()));
    }
    assert!(products.iter().any(|(name, kind)| name.starts_with("locon") && *kind == "LoCon"), "{products:?}");
    assert!(products.iter().all(|(_, kind)| ["LoRA", "LoCon"].contains(kind)), "{products:?}");
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
    assert!(difference(&sum::add(&stored, &change, Sums::Stored).unwrap(), &expected) < 1e-7);
    let ia3 = Case { file: &file, name: "ia3_output" };
    assert!(Changes::of(&ia3.module(), None).unwrap().bias.is_none());
}

/// A module of these tensors: the ends of their names, their shapes and values.
fn module(tensors: &[(&str, &[usize], &[f32])]) -> Module {
    let stored = |(end, shape, values): &(&str, &[usize], &[f32])| testing::Stored {
        name: format!("module.{end}"),
        dtype: "F32".into(),
        shape: shape.to_vec(),
        bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    };
    let source = testing::of_tensors(&tensors.iter().map(stored).collect::<Vec<_>>(), &[]).source;
    let mut module = Module::new("module");
    for name in source.names() {
        module.insert(roles::split(&name).unwrap().1, Stored::of(&source, &name).unwrap());
    }
    module
}

/// A skew matrix of two rows turns by twice the angle whose tangent it has, and one of three equal numbers by a third of a circle.
#[test]
fn rotations_turn_the_outputs_of_a_weight() {
    let two: (&str, &[usize], &[f32]) = ("oft_blocks", &[2, 2, 2], &[0.0, 0.5, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    let three: (&str, &[usize], &[f32]) = ("oft_blocks", &[1, 3, 3], &[0.0, -0.5, 0.5, 0.5, 0.0, -0.5, -0.5, 0.5, 0.0]);
    let rescale: (&str, &[usize], &[f32]) = ("rescale", &[4, 1], &[1.0, 2.0, 3.0, 4.0]);
    // Half of what the skew matrices have together, 4 outputs being multiplied with it.
    let alpha: (&str, &[usize], &[f32]) = ("alpha", &[], &[0.197_642_35]);
    let loose: (&str, &[usize], &[f32]) = ("alpha", &[], &[0.5]);
    let turned: [f32; 8] = [-1.8, -2.0, 2.6, 4.0, -7.0, -8.0, 5.0, 6.0];
    let bound: [f32; 8] = [-9.0 / 17.0, -2.0 / 17.0, 53.0 / 17.0, 76.0 / 17.0, -2.6, -2.8, 8.2, 9.6];
    for (tensors, expected) in [
        (vec![two], &turned[..]),
        (vec![two, loose], &turned),
        (vec![two, alpha], &bound),
        (vec![two, rescale], &[-1.8, -2.0, 5.2, 8.0, -21.0, -24.0, 20.0, 24.0]),
        (vec![three], &[3.0, 4.0, 5.0, 6.0, 1.0, 2.0]),
    ] {
        let change = Changes::of(&module(&tensors), None).unwrap().weight.unwrap();
        let rows = expected.len() / 2;
        let weight: Vec<f32> = (1..=expected.len()).map(|value| value as f32).collect();
        let weight = Tensor::from_vec(weight, (rows, 2), &candle_core::Device::Cpu).unwrap();
        assert!(change.fits(rows, &[2]) && !change.splits() && change.builds_on_weight() && change.kind() == "OFT");
        let merged = (&weight + change.rows(&Base::new(&weight), &(0..rows), 1.0).unwrap()).unwrap();
        let expected = Tensor::from_slice(expected, (rows, 2), &candle_core::Device::Cpu).unwrap();
        assert!(difference(&merged, &expected) < 2e-6, "{merged} instead of {expected}");
    }
}

#[test]
fn relatives_of_oft_are_refused_by_name() {
    for (end, shape, name) in [
        ("oft_blocks", &[1, 2, 2, 2][..], "BOFT"),
        ("oft_diag", &[2, 2, 2], "LyCORIS 2.0"),
        ("oft_R.weight", &[2, 4], "OFT of PEFT"),
    ] {
        let refused = Changes::of(&module(&[(end, shape, &[0.0; 8])]), None).err().unwrap();
        assert!(refused.to_string().contains(name), "{refused}");
    }
}
