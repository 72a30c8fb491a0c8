//! Tables of vectors, and the sinusoidal embedding of timesteps.

use candle_core::{DType, Device, Result, Tensor};

use super::{cpu, Params, Quantized};

/// A table of vectors. On the CPU it stays in half precision or quantised if it is stored so.
#[derive(Debug, Clone)]
pub struct Embedding {
    weight: Table,
    width: usize,
    /// The type of the vectors that are handed out.
    dtype: DType,
}

#[derive(Debug, Clone)]
enum Table {
    Tensor(Tensor),
    Quantized(Quantized),
}

impl Table {
    /// The vectors of `ids`, one after the other.
    fn rows(&self, ids: &Tensor) -> Result<Tensor> {
        let table = match self {
            Table::Tensor(table) => return table.index_select(ids, 0),
            Table::Quantized(table) => table,
        };
        let ([entries, width], ids, isa) = (table.dims(), ids.to_vec1::<u32>()?, cpu::isa()?);
        if let Some(id) = ids.iter().find(|id| **id as usize >= entries) {
            candle_core::bail!("{id} is not in a table of {entries}");
        }
        cpu::filled((ids.len(), width), |rows| {
            let rows = rows.chunks_exact_mut(width).zip(&ids);
            rows.for_each(|(row, id)| table.row(isa, *id as usize, row));
            Ok(())
        })
    }
}

impl Embedding {
    /// `weight` [entries, width].
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(entries: usize, width: usize, params: &Params) -> Result<Self> {
        let dtype = params.precision().activation_dtype(params.device());
        if let Some(table) = params.quantized((entries, width), "weight") {
            return Ok(Embedding { weight: Table::Quantized(table), width, dtype });
        }
        let weight = params.get_stored((entries, width), "weight")?;
        let keep = params.device().is_cpu() && matches!(weight.dtype(), DType::F16 | DType::BF16);
        let weight = if keep { weight } else { weight.to_dtype(dtype)?.to_device(params.device())? };
        Ok(Embedding { weight: Table::Tensor(weight), width, dtype })
    }

    /// The vectors of `ids` (u32, any shape): [..., width].
    ///
    /// # Errors
    /// When an id is not in the table.
    pub fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        let mut dims = ids.dims().to_vec();
        dims.push(self.width);
        self.weight.rows(&ids.flatten_all()?)?.to_dtype(self.dtype)?.reshape(dims)
    }

    /// The first `count` vectors: [count, width].
    ///
    /// # Errors
    /// When the table has fewer.
    pub fn first(&self, count: usize) -> Result<Tensor> {
        match &self.weight {
            Table::Tensor(table) => table.narrow(0, 0, count)?.to_dtype(self.dtype),
            Table::Quantized(_) => self.weight.rows(&Tensor::arange(0, count as u32, &Device::Cpu)?),
        }
    }
}

/// The sinusoidal embedding of Vaswani et al. 2017 with period 10000, as diffusers' `get_timestep_embedding`: [values, width] in
/// f32 on `device`, sines first, or cosines first with `flip_sin_to_cos`. An odd width ends with a zero.
///
/// Frequencies and angles are rounded to f32 where the reference rounds them: at timestep 999 an angle's last bit is 6e-5, so
/// exact angles would give other values than those the networks were trained on.
///
/// # Errors
/// When the tensor library fails.
pub fn timestep_embedding(
    values: &[f64],
    width: usize,
    flip_sin_to_cos: bool,
    freq_shift: f64,
    device: &Device,
) -> Result<Tensor> {
    let half = width / 2;
    let mut embedding = Vec::with_capacity(values.len() * width);
    for &value in values {
        let angles: Vec<f64> = (0..half).map(|i| angle(value as f32, i, half, freq_shift)).collect();
        let sines = angles.iter().map(|a| a.sin() as f32);
        let cosines = angles.iter().map(|a| a.cos() as f32);
        if flip_sin_to_cos {
            embedding.extend(cosines.chain(sines));
        } else {
            embedding.extend(sines.chain(cosines));
        }
        embedding.resize(embedding.len() + width % 2, 0.0);
    }
    Tensor::from_vec(embedding, (values.len(), width), device)
}

fn angle(value: f32, index: usize, half: usize, freq_shift: f64) -> f64 {
    let exponent = -(10000f64.ln() as f32) * index as f32 / (half as f64 - freq_shift) as f32;
    let frequency = f64::from(exponent).exp() as f32;
    f64::from(value * frequency)
}
