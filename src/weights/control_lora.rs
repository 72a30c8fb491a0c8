//! [`ControlLora`]: Stability AI's Control-LoRAs, which are ControlNets whose matrices are stored as what they add to those of a UNet,
//! in thin factors: `layer.up` [outputs, rank, ...] and `layer.down` [rank, inputs, ...] in place of `layer.weight`. Norms, biases and
//! the layers of their own are whole. Followed: the node that writes them (Stability-AI/stability-ComfyUI-nodes), which marks them with
//! a tensor.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Shape, Tensor};

use super::shape::elements;
use super::WeightsError;
use crate::nn::{ParamSource, Quantized, Values};

/// The mark, a tensor without numbers.
const MARK: &str = "lora_controlnet";

/// Whether a tensor of this name marks a Control-LoRA.
#[must_use]
pub fn is_mark(name: &str) -> bool {
    name == MARK
}

/// The tensors of a Control-LoRA with the product of each two factors as the weight that they are a difference to.
pub struct ControlLora {
    source: Arc<dyn ParamSource>,
    /// The factors of each weight, and its shape.
    products: HashMap<String, ([String; 2], Vec<usize>)>,
}

/// The source itself, or as a [`ControlLora`] when it is marked as one.
#[must_use]
pub fn show_products(source: Arc<dyn ParamSource>) -> Arc<dyn ParamSource> {
    if source.info(MARK).is_none() {
        return source;
    }
    let product = |up: String| {
        let layer = up.strip_suffix(".up")?;
        let (down, weight) = (format!("{layer}.down"), format!("{layer}.weight"));
        let (rows, factor) = (source.info(&up)?.0, source.info(&down)?.0);
        let shape = [&[*rows.dims().first()?], factor.dims().get(1..)?].concat();
        elements(&shape)?;
        source.info(&weight).is_none().then_some((weight, ([up, down], shape)))
    };
    let products = source.names().into_iter().filter_map(product).collect();
    Arc::new(ControlLora { source, products })
}

impl ControlLora {
    fn is_factor(&self, name: &str) -> bool {
        let layer = name.strip_suffix(".up").or_else(|| name.strip_suffix(".down"));
        layer.is_some_and(|layer| self.products.contains_key(&format!("{layer}.weight")))
    }
}

impl ParamSource for ControlLora {
    fn label(&self) -> String {
        self.source.label()
    }

    fn names(&self) -> Vec<String> {
        let own = self.source.names().into_iter().filter(|name| !self.is_factor(name));
        own.chain(self.products.keys().cloned()).collect()
    }

    fn info(&self, name: &str) -> Option<(Shape, DType)> {
        match self.products.get(name) {
            Some((_, shape)) => Some((Shape::from_dims(shape), DType::F32)),
            None => self.source.info(name),
        }
    }

    fn stored_type(&self, name: &str) -> Option<String> {
        self.source.stored_type(self.products.get(name).map_or(name, |([up, _], _)| up))
    }

    fn lend(&self, name: &str, take: &mut dyn FnMut(Values<'_>)) -> bool {
        self.source.lend(name, take)
    }

    fn lends(&self, name: &str) -> bool {
        self.source.lends(name)
    }

    fn quantized(&self, name: &str) -> Option<Quantized> {
        self.source.quantized(name)
    }

    fn release(&self) {
        self.source.release();
    }

    fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
        let Some((factors, shape)) = self.products.get(name) else { return self.source.read(name) };
        let [up, down] = [self.source.read(&factors[0])?, self.source.read(&factors[1])?];
        let matrix = |factor: &Tensor| factor.to_dtype(DType::F32)?.reshape((factor.dim(0)?, ()));
        let product = || matrix(&up)?.matmul(&matrix(&down)?)?.reshape(shape.as_slice());
        product().map_err(|e| WeightsError::BadTensor {
            file: self.label(),
            tensor: factors[0].clone(),
            reason: format!("it cannot be multiplied with `{}`: {e}", factors[1]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::testing::{floats as tensor, of_tensors};
    use crate::weights::Difference;

    #[test]
    fn matrices_are_added_to_those_of_the_unet_and_all_else_is_whole() {
        let own = [
            tensor(MARK, &[0], &[]),
            tensor("conv.up", &[2, 1, 1, 1], &[1.0, 2.0]),
            tensor("conv.down", &[1, 2, 1, 2], &[1.0, 2.0, 3.0, 4.0]),
            tensor("conv.bias", &[2], &[5.0, 6.0]),
            tensor("zero.weight", &[1, 1], &[7.0]),
            tensor("lone.up", &[1, 1], &[8.0]),
        ];
        let base = [tensor("conv.weight", &[2, 2, 1, 2], &[0.5; 8]), tensor("conv.bias", &[2], &[9.0, 9.0])];
        let shown = show_products(of_tensors(&own, &[]).source);
        assert_eq!(shown.info("conv.weight").unwrap().0.dims(), [2, 2, 1, 2]);
        let sum = Difference::new(shown, of_tensors(&base, &[]).source);
        let read = |name: &str| sum.read(name).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(read("conv.weight"), [1.5, 2.5, 3.5, 4.5, 2.5, 4.5, 6.5, 8.5]);
        assert_eq!((read("conv.bias"), read("zero.weight")), (vec![5.0, 6.0], vec![7.0]));
        let mut names = sum.names();
        names.sort_unstable();
        assert_eq!(names, ["conv.bias", "conv.weight", "lone.up", "zero.weight"]);
    }

    #[test]
    fn files_without_the_mark_stay_as_they_are() {
        let tensors = [tensor("a.up", &[1, 1], &[1.0]), tensor("a.down", &[1, 1], &[1.0])];
        assert!(show_products(of_tensors(&tensors, &[]).source).info("a.weight").is_none());
        let unlike = [&tensors[..1], &[tensor("a.down", &[2, 1], &[1.0, 1.0]), tensor(MARK, &[0], &[])]].concat();
        let error = show_products(of_tensors(&unlike, &[]).source).read("a.weight").unwrap_err().to_string();
        assert!(error.contains("`a.up`") && error.contains("cannot be multiplied with `a.down`"), "{error}");
    }
}
