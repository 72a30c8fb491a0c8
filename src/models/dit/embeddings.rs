//! The vector that steers all blocks: diffusers' `CombinedTimestepTextProjEmbeddings` and its kin with guidance.

use candle_core::{DType, Result, Tensor};

use crate::nn::{timestep_embedding, Activation, Linear, Params};

/// Values of the sinusoids of a timestep.
const SINUSOIDS: usize = 256;

/// Two linear layers with SiLU between them.
#[derive(Debug, Clone)]
struct TwoLayers {
    linear_1: Linear,
    linear_2: Linear,
}

impl TwoLayers {
    fn new(inputs: usize, width: usize, params: &Params) -> Result<Self> {
        Ok(TwoLayers {
            linear_1: Linear::new(inputs, width, &params.pp("linear_1"))?,
            linear_2: Linear::new(width, width, &params.pp("linear_2"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.linear_2.forward(&Activation::Silu.forward(&self.linear_1.forward(x)?)?)
    }
}

/// What the vector is made of.
pub(in crate::models) struct Conditions<'a> {
    /// 0 to 1000.
    pub timestep: f64,
    /// The guidance scale times 1000, for models distilled to take it.
    pub guidance: Option<f64>,
    /// The pooled text, [b, pooled width].
    pub pooled: &'a Tensor,
}

/// Timestep, guidance and pooled text become one vector.
#[derive(Debug, Clone)]
pub(in crate::models) struct TimeTextEmbeddings {
    timestep: TwoLayers,
    guidance: Option<TwoLayers>,
    text: TwoLayers,
    dtype: DType,
}

impl TimeTextEmbeddings {
    /// For pooled texts of `pooled` values and vectors of `width`.
    pub(in crate::models) fn new(pooled: usize, width: usize, guidance: bool, params: &Params) -> Result<Self> {
        let of = |inputs, name: &str| TwoLayers::new(inputs, width, &params.pp(name));
        Ok(TimeTextEmbeddings {
            timestep: of(SINUSOIDS, "timestep_embedder")?,
            guidance: guidance.then(|| of(SINUSOIDS, "guidance_embedder")).transpose()?,
            text: of(pooled, "text_embedder")?,
            dtype: params.precision().activation_dtype(params.device()),
        })
    }

    /// [b, width], behind the SiLU that every use of it begins with.
    pub(in crate::models) fn forward(&self, conditions: &Conditions<'_>) -> Result<Tensor> {
        let device = conditions.pooled.device();
        let sinusoids = |value| timestep_embedding(&[value], SINUSOIDS, true, 0.0, device)?.to_dtype(self.dtype);
        let time = self.timestep.forward(&sinusoids(conditions.timestep)?)?;
        let time = match (&self.guidance, conditions.guidance) {
            (Some(embedder), Some(guidance)) => (time + embedder.forward(&sinusoids(guidance)?)?)?,
            (None, None) => time,
            (Some(_), None) => candle_core::bail!("this transformer needs the guidance scale"),
            (None, Some(_)) => candle_core::bail!("this transformer takes no guidance scale"),
        };
        let text = self.text.forward(&conditions.pooled.to_dtype(self.dtype)?)?;
        Activation::Silu.forward(&text.broadcast_add(&time)?)
    }
}
