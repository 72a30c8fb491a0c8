//! The weights of linear layers and convolutions.

use std::sync::Arc;

use candle_core::{Result, Shape, Tensor};

use super::aside::Aside;
use super::{cpu, ParamSource, Params, Quantized, Values};
use crate::kernels::gemm::{Kernel, Packed, Side};

/// Weights in the form that their device multiplies with.
#[derive(Clone)]
pub(super) enum Weight<P> {
    /// On the CPU: packed once, for all products.
    Packed(Arc<P>),
    /// On the CPU, where memory matters more than time: left where it lies, packed for each product.
    Lent(Arc<Lent<P>>),
    /// On another device: the tensor as it was stored, in the type of activations.
    Tensor(Tensor),
}

impl<P> std::fmt::Debug for Weight<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Weight::Packed(_) => f.write_str("Packed"),
            Weight::Lent(lent) => write!(f, "Lent({})", lent.name),
            Weight::Tensor(tensor) => tensor.fmt(f),
        }
    }
}

/// How values are packed.
type Pack<P> = dyn Fn(Kernel, Values) -> P + Send + Sync;

/// A tensor that its source lends for each product.
pub(super) struct Lent<P> {
    source: Arc<dyn ParamSource>,
    name: String,
    kernel: Kernel,
    pack: Arc<Pack<P>>,
}

impl<P> Lent<P> {
    fn packed(&self) -> Result<P> {
        let mut packed = None;
        self.source.lend(&self.name, &mut |values| packed = Some((self.pack)(self.kernel, values)));
        packed.ok_or_else(|| candle_core::Error::Msg(format!("`{}` is no longer where it was", self.name)))
    }
}

/// Weights for a product.
pub(super) enum Ready<'a, P> {
    Packed(Arc<P>),
    Tensor(&'a Tensor),
}

impl Weight<Packed> {
    /// The tensor `weight` of `shape`, a matrix of its first side by all others, as columns of products. On the CPU it stays quantised if
    /// it is stored so.
    /// What changes such a weight stands beside it.
    pub(super) fn of_columns(shape: impl Into<Shape>, params: &Params) -> Result<(Self, Option<Aside>)> {
        let shape = shape.into();
        if let Some((matrix, change)) = params.matrix(&shape, "weight")? {
            if !params.device().is_cpu() {
                return Ok((Weight::Tensor(widened(&matrix, change, &shape, params)?), None));
            }
            let kernel = params.precision().kernel()?;
            let aside = change.map(|change| Aside::new(kernel, &change)).transpose()?;
            return Ok((Weight::Packed(Arc::new(Packed::quantized(kernel, matrix))), aside));
        }
        let outputs = shape.dims().first().copied().unwrap_or(1);
        let inputs = shape.elem_count() / outputs.max(1);
        let weight = Weight::new(shape, params, move |kernel, values| {
            Packed::weights(kernel, Side::Columns, values, [outputs, inputs, 1])
        })?;
        Ok((weight, None))
    }
}

/// For devices that do not compute with quantised numbers: the numbers that they stand for, with what is added to them.
fn widened(matrix: &Quantized, change: Option<[Tensor; 2]>, shape: &Shape, params: &Params) -> Result<Tensor> {
    let ([rows, columns], isa) = (matrix.dims(), cpu::isa()?);
    let wide = cpu::filled((rows, columns), |values| {
        values.chunks_exact_mut(columns.max(1)).enumerate().for_each(|(i, row)| matrix.row(isa, i, row));
        Ok(())
    })?;
    let wide = match change {
        Some([up, down]) => (wide + up.matmul(&down)?)?,
        None => wide,
    };
    let dtype = params.precision().activation_dtype(params.device());
    wide.reshape(shape)?.to_dtype(dtype)?.to_device(params.device())
}

impl<P> Weight<P> {
    /// The tensor `weight` of `shape`, on the CPU as `pack` makes it.
    pub(super) fn new(
        shape: impl Into<Shape>,
        params: &Params,
        pack: impl Fn(Kernel, Values) -> P + Send + Sync + 'static,
    ) -> Result<Self> {
        let shape = shape.into();
        if !params.device().is_cpu() || params.is_survey() {
            return Ok(Weight::Tensor(params.get(shape, "weight")?));
        }
        let kernel = params.precision().kernel()?;
        if let Some((source, name)) = params.lender(&shape, "weight") {
            return Ok(Weight::Lent(Arc::new(Lent { source, name, kernel, pack: Arc::new(pack) })));
        }
        Ok(Weight::Packed(Arc::new(params.with_stored(shape, "weight", |values| pack(kernel, values))?)))
    }

    /// The weights for a product, packed now if they are lent.
    pub(super) fn ready(&self) -> Result<Ready<'_, P>> {
        Ok(match self {
            Weight::Packed(packed) => Ready::Packed(packed.clone()),
            Weight::Lent(lent) => Ready::Packed(Arc::new(lent.packed()?)),
            Weight::Tensor(tensor) => Ready::Tensor(tensor),
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::nn::tests::wave;
    use crate::nn::{Conv2d, Conv2dConfig, Handling, Linear, Precision};
    use crate::weights::testing::{of_tensors, Stored};

    /// A tensor of such numbers as a file has it.
    fn stored(name: &str, shape: &[usize], dtype: DType) -> Stored {
        let values = wave(shape, 0.37).flatten_all().unwrap().to_dtype(dtype).unwrap();
        let bytes = match dtype {
            DType::F16 => values.to_vec1::<half::f16>().unwrap().into_iter().flat_map(half::f16::to_le_bytes).collect(),
            DType::BF16 => {
                values.to_vec1::<half::bf16>().unwrap().into_iter().flat_map(half::bf16::to_le_bytes).collect()
            }
            _ => values.to_vec1::<f32>().unwrap().into_iter().flat_map(f32::to_le_bytes).collect(),
        };
        let dtype = match dtype {
            DType::F16 => "F16",
            DType::BF16 => "BF16",
            _ => "F32",
        };
        Stored { name: name.into(), dtype: dtype.into(), shape: shape.into(), bytes }
    }

    #[test]
    fn lent_weights_multiply_as_packed_ones() {
        for (dtype, precision) in [DType::F32, DType::F16, DType::BF16]
            .into_iter()
            .flat_map(|dtype| [Precision::F32, Precision::Bf16].map(|precision| (dtype, precision)))
        {
            let tensors = [
                stored("a.weight", &[20, 24], dtype),
                stored("a.bias", &[20], dtype),
                stored("b.weight", &[6, 5, 3, 3], dtype),
                stored("b.bias", &[6], dtype),
            ];
            let source = of_tensors(&tensors, &[]).source;
            let results = [false, true].map(|low_memory| {
                let handling = Handling { low_memory, ..Handling::default() };
                let params = Params::handled(source.clone(), precision, &Device::Cpu, handling);
                let linear = Linear::new(24, 20, &params.pp("a")).unwrap();
                let conv = Conv2d::new(5, 6, Conv2dConfig::SAME_3X3, &params.pp("b")).unwrap();
                assert_eq!(format!("{linear:?}").contains("Lent(a.weight)"), low_memory);
                assert_eq!(format!("{conv:?}").contains("Lent(b.weight)"), low_memory);
                assert!(params.finish().unwrap().is_empty());
                let y = [linear.forward(&wave(&[7, 24], 0.11)), conv.forward(&wave(&[1, 5, 9, 8], 0.11))];
                y.map(|y| y.unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap())
            });
            assert!(results[0] == results[1], "{dtype:?} {precision:?}");
        }
    }
}
