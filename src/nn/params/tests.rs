//! What is lent, read, surplus or wrong, of sources in memory.

use super::*;
use crate::nn::tests::Fake;

fn params(tensors: &[(&str, &[usize], DType)]) -> Params {
    let tensors = tensors
        .iter()
        .map(|(name, shape, dtype)| ((*name).to_string(), Tensor::ones(*shape, *dtype, &Device::Cpu).unwrap()))
        .collect();
    Params::new(Arc::new(Fake(tensors)), Precision::F32, &Device::Cpu)
}

#[test]
fn a_complete_source_has_no_notes() {
    let root = params(&[("a.b.weight", &[2, 3], DType::F16), ("a.position_ids", &[1, 77], DType::I64)]);
    let tensor = root.pp("a").pp("b").get((2, 3), "weight").unwrap();
    assert_eq!(tensor.dtype(), DType::F32);
    assert_eq!(tensor.sum_all().unwrap().to_scalar::<f32>().unwrap(), 6.0);
    assert_eq!(root.finish().unwrap(), Vec::<String>::new());
}

#[test]
fn a_survey_reads_nothing_and_tells_all() {
    let wave = |shape: &[usize]| Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
    let tensors = [("a", wave(&[2])), ("b", wave(&[3])), ("z", wave(&[1])), ("logit_scale", wave(&[]))];
    let tensors = tensors.into_iter().map(|(name, tensor)| (name.to_string(), tensor)).collect();
    let root = Params::for_survey(Arc::new(Fake(tensors)));
    // More than any memory holds.
    let huge = 1 << 50;
    assert_eq!(root.get(huge, "gone").unwrap().dims(), [huge]);
    for (shape, name) in [(2, "a"), (2, "a"), (4, "b")] {
        root.get(shape, name).unwrap();
    }
    let survey = root.surveyed();
    assert_eq!(survey.asked, [("gone".into(), vec![huge]), ("a".into(), vec![2]), ("b".into(), vec![4])]);
    assert_eq!((&survey.missing[..], &survey.surplus[..]), (&["gone".to_string()][..], &["z".to_string()][..]));
    assert_eq!(survey.misshapen, [ShapeMismatch { name: "b".into(), found: vec![3], wanted: vec![4] }]);
    assert!(!survey.fits());
}

#[test]
fn values_are_lent_or_read() {
    struct Lender(Fake);
    impl ParamSource for Lender {
        fn label(&self) -> String {
            self.0.label()
        }
        fn names(&self) -> Vec<String> {
            self.0.names()
        }
        fn info(&self, name: &str) -> Option<(Shape, DType)> {
            self.0.info(name)
        }
        fn lend(&self, name: &str, take: &mut dyn FnMut(Values<'_>)) -> bool {
            let lent = name == "lent";
            if lent {
                take(Values::F32(&[5.0, 6.0]));
            }
            lent
        }
        fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
            self.0.read(name)
        }
    }
    let ones = Tensor::ones(2, DType::F16, &Device::Cpu).unwrap();
    let tensors = ["lent", "read", "other"].map(|name| (name.to_string(), ones.clone()));
    let root = Params::new(Arc::new(Lender(Fake(tensors.into()))), Precision::F32, &Device::Cpu);
    let values = |shape: usize, name: &str| {
        let copy = |values: Values| match values {
            Values::F32(values) => values.to_vec(),
            Values::F16(values) => values.iter().map(|value| value.to_f32()).collect(),
            Values::Bf16(_) => Vec::new(),
        };
        root.with_stored(shape, name, copy).unwrap()
    };
    assert_eq!((values(2, "lent"), values(2, "read")), (vec![5.0, 6.0], vec![1.0, 1.0]));
    assert_eq!(root.finish().unwrap(), ["other"]);
    // Zeros stand in for what is not there or of another shape, and it is said.
    assert_eq!((values(3, "other"), values(1, "gone")), (vec![0.0; 3], vec![0.0]));
    let message = root.finish().unwrap_err().to_string();
    assert!(message.contains("other") && message.contains("gone"), "{message}");
}

#[test]
fn surplus_tensors_are_notes() {
    let root = params(&[("a", &[1], DType::F32), ("z", &[1], DType::F32), ("b", &[1], DType::F32)]);
    root.get(1, "b").unwrap();
    assert_eq!(root.finish().unwrap(), ["a", "z"]);
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let root = params(&[("x.weight", &[2, 3], DType::F32), ("extra", &[1], DType::F32)]);
    assert_eq!(root.pp("x").get((3, 2), "weight").unwrap().dims(), [3, 2]);
    assert_eq!(root.get(7, "gone").unwrap().dims(), [7]);
    assert_eq!(root.pp("deep").get(7, "gone").unwrap().dims(), [7]);
    let message = root.finish().unwrap_err().to_string();
    for part in ["fake.safetensors", "gone", "deep.gone", "x.weight", "[2, 3]", "[3, 2]", "extra"] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
}
