//! Linear layers.

use candle_core::{Result, Tensor};

use super::{Params, Precision};

/// `y = x W^T + b` over the last dimension.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
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
        let precision = params.precision();
        let weight = precision.operand(&params.get((outputs, inputs), "weight")?)?;
        Ok(Linear { weight, bias: None, precision })
    }

    /// A convolution with a 1x1 kernel, `weight` [out, in, 1, 1] and `bias` [out], for inputs that have their channels last.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn from_pointwise_conv(inputs: usize, outputs: usize, params: &Params) -> Result<Self> {
        let precision = params.precision();
        let weight = params.get((outputs, inputs, 1, 1), "weight")?.reshape((outputs, inputs))?;
        let bias = params.get(outputs, "bias")?;
        Ok(Linear { weight: precision.operand(&weight)?, bias: Some(bias), precision })
    }

    /// `x` [..., in] to [..., out].
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (outputs, inputs) = self.weight.dims2()?;
        let mut dims = x.dims().to_vec();
        match dims.last_mut() {
            Some(last) if *last == inputs => *last = outputs,
            _ => candle_core::bail!("a linear layer for {inputs} inputs was given {dims:?}"),
        }
        let rows = x.elem_count() / inputs;
        let y = self.precision.operand(&x.reshape((rows, inputs))?)?.matmul(&self.weight.t()?)?;
        let y = match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        };
        y.reshape(dims)
    }
}
