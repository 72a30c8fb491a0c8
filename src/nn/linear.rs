//! Linear layers.

use candle_core::{Result, Tensor};

use super::cpu::{self, floats};
use super::profile::{timed, LayerKind};
use super::weight::Weight;
use super::{Params, Precision};
use crate::kernels::gemm::{linear, Bias, Epilogue, Packed, Target};

/// `y = x W^T + b` over the last dimension.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight<Packed>,
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
        let weight = Weight::of_columns((outputs, inputs), params)?;
        Ok(Linear { weight, bias: None, inputs, outputs, precision: params.precision() })
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
        let weight = match Weight::of_columns((outputs, inputs, side, side), params)? {
            Weight::Tensor(tensor) => Weight::Tensor(tensor.reshape((outputs, values))?),
            packed @ Weight::Packed(_) => packed,
        };
        let bias = Some(params.get(outputs, "bias")?);
        Ok(Linear { weight, bias, inputs: values, outputs, precision: params.precision() })
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
        let weight = match &self.weight {
            Weight::Packed(packed) => return self.on_cpu(x, packed, residual, dims),
            Weight::Tensor(weight) => weight,
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
        let epilogue = Epilogue {
            bias: bias.as_deref().map_or(Bias::None, Bias::Columns),
            function: None,
            residual: residual.as_deref(),
            target: Target::matrix(self.outputs),
        };
        cpu::filled(dims, |y| {
            linear(&x, x.len() / self.inputs, weight, &epilogue, y);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::nn::tests::{max_difference, params};

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
}
