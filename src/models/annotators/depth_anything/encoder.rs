//! DINOv2 (Oquab et al. 2023): a vision transformer whose layers scale what they add.

use candle_core::{Result, Tensor};

use super::{DepthAnythingConfig, Positions, PATCH};
use crate::nn::{
    scaled_dot_product_attention, Activation, AttentionMethod, Conv2d, Conv2dConfig, LayerNorm, Linear, Params,
    Precision,
};

const EPS: f64 = 1e-6;

#[derive(Debug, Clone)]
pub(super) struct Encoder {
    patches: Conv2d,
    class: Tensor,
    /// [1 + places places, width], the class first.
    places: Tensor,
    layers: Vec<Layer>,
    norm: LayerNorm,
    config: DepthAnythingConfig,
}

#[derive(Debug, Clone)]
struct Layer {
    norms: [LayerNorm; 2],
    /// Query, key, value.
    projections: [Linear; 3],
    output: Linear,
    mlp: [Linear; 2],
    scales: [Tensor; 2],
    heads: usize,
    precision: Precision,
    method: AttentionMethod,
}

impl Encoder {
    /// With the weights of transformers' `backbone`.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(config: &DepthAnythingConfig, params: &Params) -> Result<Self> {
        let (width, embeddings) = (config.width, params.pp("embeddings"));
        let cut = Conv2dConfig { kernel: PATCH, stride: PATCH, before: 0, after: 0 };
        let places = embeddings.get((1, config.places * config.places + 1, width), "position_embeddings")?;
        let layers = params.pp("encoder").pp("layer");
        Ok(Encoder {
            patches: Conv2d::new(3, width, cut, &embeddings.pp("patch_embeddings").pp("projection"))?,
            class: embeddings.get((1, 1, width), "cls_token")?,
            places: places.squeeze(0)?,
            layers: (0..config.depth).map(|i| Layer::new(config, &layers.pp(i))).collect::<Result<_>>()?,
            norm: LayerNorm::new(width, EPS, &params.pp("layernorm"))?,
            config: config.clone(),
        })
    }

    /// Tokens of the layers that are taken, [1, rows columns, width] each, without the class.
    pub fn forward(&self, picture: &Tensor, (rows, columns): (usize, usize)) -> Result<Vec<Tensor>> {
        let tokens = self.patches.forward(picture)?.flatten_from(2)?.transpose(1, 2)?;
        let tokens = Tensor::cat(&[&self.class, &tokens.contiguous()?], 1)?;
        let mut tokens = tokens.broadcast_add(&self.places_for(rows, columns)?)?;
        let mut taken = Vec::with_capacity(self.config.taken.len());
        for (number, layer) in self.layers.iter().enumerate() {
            tokens = layer.forward(&tokens)?;
            if self.config.taken.contains(&number) {
                taken.push(self.norm.forward(&tokens)?.narrow(1, 1, rows * columns)?.contiguous()?);
            }
        }
        Ok(taken)
    }

    /// The table of places for so many patches, [1 + rows columns, width]: cubic interpolation (a = -0.75).
    fn places_for(&self, rows: usize, columns: usize) -> Result<Tensor> {
        let side = self.config.places;
        if (rows, columns) == (side, side) {
            return Ok(self.places.clone());
        }
        let table = self.places.narrow(0, 1, side * side)?.reshape((side, side * self.config.width))?;
        let (down, across) = (self.stretch(rows)?, self.stretch(columns)?);
        let table = down.matmul(&table)?.reshape((rows, side, self.config.width))?.transpose(0, 1)?.contiguous()?;
        let table = across.matmul(&table.reshape((side, rows * self.config.width))?)?;
        let table = table.reshape((columns, rows, self.config.width))?.transpose(0, 1)?.contiguous()?;
        Tensor::cat(&[&self.places.narrow(0, 0, 1)?, &table.reshape((rows * columns, self.config.width))?], 0)
    }

    /// Weights of the table's places for each of so many, [count, places].
    fn stretch(&self, count: usize) -> Result<Tensor> {
        let side = self.config.places;
        let stretched = match self.config.positions {
            Positions::Exact => count as f64,
            Positions::TenthMore => count as f64 + 0.1,
        };
        let mut weights = vec![0f32; count * side];
        for (place, row) in weights.chunks_exact_mut(side).enumerate() {
            let middle = (place as f64 + 0.5) * side as f64 / stretched - 0.5;
            let rest = middle - middle.floor();
            for tap in 0..4 {
                let at = (middle.floor() as isize + tap - 1).clamp(0, side as isize - 1) as usize;
                row[at] += cubic((rest + 1.0 - tap as f64).abs()) as f32;
            }
        }
        Tensor::from_vec(weights, (count, side), self.places.device())?.to_dtype(self.places.dtype())
    }
}

/// Cubic convolution as torch has it.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.75;
    if x <= 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else {
        ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
    }
}

impl Layer {
    fn new(config: &DepthAnythingConfig, params: &Params) -> Result<Self> {
        let width = config.width;
        let (attention, mlp) = (params.pp("attention"), params.pp("mlp"));
        let projection = |name| Linear::new(width, width, &attention.pp("attention").pp(name));
        let inner = mlp.shape_of("fc1.weight").and_then(|shape| shape.first().copied()).unwrap_or(4 * width);
        Ok(Layer {
            norms: [LayerNorm::new(width, EPS, &params.pp("norm1"))?, LayerNorm::new(width, EPS, &params.pp("norm2"))?],
            projections: [projection("query")?, projection("key")?, projection("value")?],
            output: Linear::new(width, width, &attention.pp("output").pp("dense"))?,
            mlp: [Linear::new(width, inner, &mlp.pp("fc1"))?, Linear::new(inner, width, &mlp.pp("fc2"))?],
            scales: [params.get(width, "layer_scale1.lambda1")?, params.get(width, "layer_scale2.lambda1")?],
            heads: config.heads,
            precision: params.precision(),
            method: params.attention(),
        })
    }

    fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        let x = self.norms[0].forward(tokens)?;
        let [q, k, v] = &self.projections;
        let qkv = [&q.forward(&x)?, &k.forward(&x)?, &v.forward(&x)?];
        let x = scaled_dot_product_attention(qkv, self.heads, None, self.precision, false, self.method)?;
        let tokens = (tokens + self.output.forward(&x)?.broadcast_mul(&self.scales[0])?)?;
        let x = Activation::Gelu.forward(&self.mlp[0].forward(&self.norms[1].forward(&tokens)?)?)?;
        tokens + self.mlp[1].forward(&x)?.broadcast_mul(&self.scales[1])?
    }
}
