//! Activation functions by the names that configs give them.

use candle_core::{Result, Tensor, D};

use super::cpu::{self, floats};
use super::profile::{timed, LayerKind};
use crate::kernels::elementwise::{self, Function};

/// An activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x sigmoid(x)`.
    Silu,
    /// `x Phi(x)` with the error function.
    Gelu,
    /// The tanh approximation of GELU.
    GeluTanh,
    /// `x sigmoid(1.702 x)`, the approximation that OpenAI's CLIP was trained with.
    QuickGelu,
    /// The larger of `x` and 0.
    Relu,
}

impl Activation {
    /// The activation that a config of transformers or diffusers calls `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "silu" | "swish" => Some(Activation::Silu),
            "gelu" => Some(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Some(Activation::GeluTanh),
            "quick_gelu" => Some(Activation::QuickGelu),
            "relu" => Some(Activation::Relu),
            _ => None,
        }
    }

    /// The function of each value; `x` of any shape.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        timed(LayerKind::Activation, 0, || self.apply(x))
    }

    fn apply(self, x: &Tensor) -> Result<Tensor> {
        if x.device().is_cpu() {
            let x = x.contiguous()?;
            let (values, isa) = (floats(&x)?, cpu::isa()?);
            return cpu::filled(x.shape().clone(), |y| {
                elementwise::apply(isa, self.function(), &values, y);
                Ok(())
            });
        }
        match self {
            Activation::Silu => x.silu(),
            Activation::Gelu => x.gelu_erf(),
            Activation::GeluTanh => x.gelu(),
            Activation::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
            Activation::Relu => x.relu(),
        }
    }

    /// The kernel of it.
    pub(super) fn function(self) -> Function {
        match self {
            Activation::Silu => Function::Silu,
            Activation::Gelu => Function::Gelu,
            Activation::GeluTanh => Function::GeluTanh,
            Activation::QuickGelu => Function::QuickGelu,
            Activation::Relu => Function::Relu,
        }
    }
}

/// The gated unit `a gelu(b)` of Shazeer 2020, with the exact GELU: `x` [..., 2 n] holds a and b, the result is [..., n].
///
/// # Errors
/// When the last dimension is odd.
pub fn geglu(x: &Tensor) -> Result<Tensor> {
    let width = x.dim(D::Minus1)?;
    if !width.is_multiple_of(2) {
        candle_core::bail!("a gated unit needs an even width, not {width}");
    }
    timed(LayerKind::Activation, 0, || gated(x, width))
}

fn gated(x: &Tensor, width: usize) -> Result<Tensor> {
    if x.device().is_cpu() {
        let x = x.contiguous()?;
        let (values, isa) = (floats(&x)?, cpu::isa()?);
        let mut dims = x.dims().to_vec();
        dims.last_mut().into_iter().for_each(|last| *last /= 2);
        return cpu::filled(dims, |y| {
            elementwise::geglu(isa, &values, width / 2, y);
            Ok(())
        });
    }
    let value = x.narrow(D::Minus1, 0, width / 2)?;
    let gate = x.narrow(D::Minus1, width / 2, width / 2)?.contiguous()?;
    value.mul(&Activation::Gelu.forward(&gate)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// The formulas in double precision at -3, -0.5, 0, 0.7, 2.
    const EXPECTED: [(&str, [f32; 5]); 5] = [
        ("silu", [-0.142_277_62, -0.188_770_33, 0.0, 0.467_731_44, 1.761_594_2]),
        ("gelu", [-0.004_049_694, -0.154_268_77, 0.0, 0.530_625_44, 1.954_499_7]),
        ("gelu_new", [-0.003_637_392, -0.154_286, 0.0, 0.530_570_1, 1.954_597_7]),
        ("quick_gelu", [-0.018_071_31, -0.149_611_56, 0.0, 0.536_893_95, 1.935_658_6]),
        ("relu", [0.0, 0.0, 0.0, 0.7, 2.0]),
    ];

    #[test]
    fn each_name_is_its_function() {
        let x = Tensor::new(&[-3f32, -0.5, 0.0, 0.7, 2.0], &Device::Cpu).unwrap();
        for (name, expected) in EXPECTED {
            let y = Activation::from_name(name).unwrap().forward(&x).unwrap().to_vec1::<f32>().unwrap();
            for (got, want) in y.iter().zip(expected) {
                assert!((got - want).abs() < 3e-7, "{name}: {got} is not {want}");
            }
        }
        assert_eq!(Activation::from_name("swish"), Some(Activation::Silu));
        assert_eq!(Activation::from_name("relu6"), None);
    }

    #[test]
    fn the_second_half_is_the_gate() {
        let x = Tensor::new(&[[2f32, 3.0, -0.5, 0.7]], &Device::Cpu).unwrap();
        let y = geglu(&x).unwrap().to_vec2::<f32>().unwrap();
        assert!((y[0][0] - 2.0 * -0.154_268_77).abs() < 1e-6 && (y[0][1] - 3.0 * 0.530_625_34).abs() < 1e-6, "{y:?}");
    }
}
