//! Linear layers.

use candle_core::{Result, Tensor};

use super::aside::Aside;
use super::cpu::{self, floats};
use super::profile::{timed, LayerKind};
use super::weight::{Ready, Weight};
use super::{Params, Precision};
use crate::kernels::gemm::{linear, Bias, Epilogue, Packed, Target};

/// `y = x W^T + b` over the last dimension.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight<Packed>,
    aside: Option<Aside>,
    bias: Option<Tensor>,
    inputs: usize,
    outputs: usize,
    precision: Precision,
}

impl Linear {
    /// `weight` [out, in] and `bias` [out].
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(inputs: usize, outputs: usize, params: &Params) -> Result<Self> {
        let bias = params.get(outputs, "bias")?;
        Ok(Linear { bias: Some(bias), ..Self::without_bias(inputs, outputs, params)? })
    }

    /// `weight` [out, in] alone.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn without_bias(inputs: usize, outputs: usize, params: &Params) -> Result<Self> {
        let (weight, aside) = Weight::of_columns((outputs, inputs), params)?;
        Ok(Linear { weight, aside, bias: None, inputs, outputs, precision: params.precision() })
    }

    /// A convolution with a 1x1 kernel, `weight` [out, in, 1, 1] and `bias` [out], for inputs that have their channels last.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn from_pointwise_conv(inputs: usize, outputs: usize, params: &Params) -> Result<Self> {
        Self::from_patch_conv(inputs, outputs, 1, params)
    }

    /// A convolution whose stride is its kernel, `weight` [out, in, side, side] and `bias` [out], for patches that lie as rows: of `in`
    /// times `side` times `side` values.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn from_patch_conv(inputs: usize, outputs: usize, side: usize, params: &Params) -> Result<Self> {
        let values = inputs * side * side;
        let (weight, aside) = Weight::of_columns((outputs, inputs, side, side), params)?;
        let weight = match weight {
            Weight::Tensor(tensor) => Weight::Tensor(tensor.reshape((outputs, values))?),
            other @ (Weight::Packed(_) | Weight::Lent(_)) => other,
        };
        let bias = Some(params.get(outputs, "bias")?);
        Ok(Linear { weight, aside, bias, inputs: values, outputs, precision: params.precision() })
    }

    /// The precision of its product.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// `x` [..., in] to [..., out].
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        timed(LayerKind::Linear, self.flops(x), || self.product(x, None))
    }

    /// `x` [..., in] to [..., out], plus `residual` [..., out].
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward_add(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        timed(LayerKind::Linear, self.flops(x), || self.product(x, Some(residual)))
    }

    fn flops(&self, x: &Tensor) -> usize {
        2 * x.elem_count() * self.outputs
    }

    fn product(&self, x: &Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        let mut dims = x.dims().to_vec();
        match dims.last_mut() {
            Some(last) if *last == self.inputs => *last = self.outputs,
            _ => candle_core::bail!("a linear layer for {} inputs was given {dims:?}", self.inputs),
        }
        if let Some(residual) = residual.filter(|residual| residual.dims() != dims) {
            candle_core::bail!("a linear layer gives {dims:?}, which {:?} cannot be added to", residual.dims());
        }
        let weight = match self.weight.ready()? {
            Ready::Packed(packed) => return self.on_cpu(x, &packed, residual, dims),
            Ready::Tensor(weight) => weight,
        };
        let rows = x.elem_count() / self.inputs;
        let y = x.reshape((rows, self.inputs))?.matmul(&weight.t()?)?;
        let y = match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        };
        let y = y.reshape(dims)?;
        match residual {
            Some(residual) => y + residual,
            None => Ok(y),
        }
    }

    fn on_cpu(&self, x: &Tensor, weight: &Packed, residual: Option<&Tensor>, dims: Vec<usize>) -> Result<Tensor> {
        let (x, residual) = (x.contiguous()?, residual.map(Tensor::contiguous).transpose()?);
        let (x, bias) = (floats(&x)?, self.bias.as_ref().map(floats).transpose()?);
        let residual = residual.as_ref().map(floats).transpose()?;
        let rows = x.len() / self.inputs;
        let beside = self.aside.as_ref().map(|aside| aside.forward(&x, rows, residual.as_deref())).transpose()?;
        let beside = beside.as_ref().map(floats).transpose()?;
        let epilogue = Epilogue {
            bias: bias.as_deref().map_or(Bias::None, Bias::Columns),
            function: None,
            residual: beside.as_deref().or(residual.as_deref()),
            target: Target::matrix(self.outputs),
        };
        cpu::filled(dims, |y| {
            linear(&x, rows, weight, &epilogue, y);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{DType, Device, Shape};

    use super::*;
    use crate::nn::tests::{max_difference, params, Fake};
    use crate::nn::{Handling, ParamSource};
    use crate::weights::WeightsError;

    #[test]
    fn equals_the_tensor_library() {
        let params = params(&[("weight", &[37, 19]), ("bias", &[37])]);
        let layer = Linear::new(19, 37, &params).unwrap();
        let x = Tensor::arange(0f32, 2.0 * 5.0 * 19.0, &Device::Cpu).unwrap().reshape((2, 19, 5)).unwrap();
        let x = (x * 0.01).unwrap().sin().unwrap().transpose(1, 2).unwrap();
        let weight = params.get((37, 19), "weight").unwrap();
        let expected = x.contiguous().unwrap().reshape((10, 19)).unwrap().matmul(&weight.t().unwrap()).unwrap();
        let expected = expected.broadcast_add(&params.get(37, "bias").unwrap()).unwrap().reshape((2, 5, 37)).unwrap();
        assert!(max_difference(&layer.forward(&x).unwrap(), &expected) < 2e-6);
        let twice = (&expected * 2.0).unwrap();
        assert!(max_difference(&layer.forward_add(&x, &expected).unwrap(), &twice) < 4e-6);
        assert!(layer.forward_add(&x, &weight).is_err());
        assert!(layer.forward(&weight.t().unwrap()).is_err());
        assert!(layer.forward(&x.to_dtype(DType::F64).unwrap()).is_err());
    }

    /// A weight with a change that is the product of thin matrices.
    struct Changed {
        base: Arc<Fake>,
        change: [Tensor; 2],
    }

    impl ParamSource for Changed {
        fn label(&self) -> String {
            "changed".into()
        }

        fn names(&self) -> Vec<String> {
            self.base.names()
        }

        fn info(&self, name: &str) -> Option<(Shape, DType)> {
            self.base.info(name)
        }

        fn unchanged(&self, name: &str) -> Option<Arc<dyn ParamSource>> {
            (name == "weight").then(|| self.base.clone() as Arc<dyn ParamSource>)
        }

        fn change(&self, _: &str) -> std::result::Result<Option<[Tensor; 2]>, WeightsError> {
            Ok(Some(self.change.clone()))
        }

        fn read(&self, name: &str) -> std::result::Result<Tensor, WeightsError> {
            self.base.read(name)
        }
    }

    /// Measured: 5e-7.
    #[test]
    fn a_change_beside_quantised_weights_is_one_of_the_widened_weights() {
        let wave = |dims: &[usize], speed: f64| {
            let count = dims.iter().product::<usize>() as f32;
            let values = Tensor::arange(0f32, count, &Device::Cpu).unwrap().affine(speed, 0.3).unwrap().sin().unwrap();
            values.affine(0.1, 0.0).unwrap().reshape(dims).unwrap()
        };
        let (weight, bias) = (wave(&[37, 64], 0.37), wave(&[37], 0.7));
        let change = [wave(&[37, 3], 0.9), wave(&[3, 64], 1.3)];
        let tensors = [("weight".to_string(), weight.clone()), ("bias".to_string(), bias.clone())];
        let source = Arc::new(Changed { base: Arc::new(Fake(tensors.into())), change: change.clone() });
        let kind = GgmlDType::Q4_0;
        let handling = Handling { quantize: Some(kind), ..Handling::default() };
        let params = Params::handled(source, Precision::F32, &Device::Cpu, handling);
        let layer = Linear::new(64, 37, &params).unwrap();
        let wide = QTensor::quantize(&weight, kind).unwrap().dequantize(&Device::Cpu).unwrap();
        let changed = (&wide + change[0].matmul(&change[1]).unwrap()).unwrap();
        let (x, residual) = (wave(&[5, 64], 0.11), wave(&[5, 37], 0.23));
        let expected = x.matmul(&changed.t().unwrap()).unwrap().broadcast_add(&bias).unwrap();
        let difference = max_difference(&layer.forward(&x).unwrap(), &expected);
        assert!(difference < 1e-6, "{difference}");
        let expected = (expected + &residual).unwrap();
        assert!(max_difference(&layer.forward_add(&x, &residual).unwrap(), &expected) < 1e-6);
        let quantisation = params.quantisation();
        assert_eq!((quantisation.layers, quantisation.kept), (1, 0));
        assert_eq!((quantisation.bytes, quantisation.before), (37 * 36, 37 * 256));
    }
}
