//! The vector that tells every block the timestep and, for some models, sizes and guidance.

use candle_core::{DType, Result, Tensor};

use super::config::UNetConfig;
use super::{AddedCond, UNetInput};
use crate::nn::{timestep_embedding, Activation, Linear, Params};

/// Two linear layers behind an embedding (diffusers' `TimestepEmbedding`).
#[derive(Debug, Clone)]
pub(crate) struct TimestepEmbedding {
    cond_proj: Option<Linear>,
    linear_1: Linear,
    linear_2: Linear,
}

impl TimestepEmbedding {
    pub(crate) fn new(inputs: usize, width: usize, cond_width: Option<usize>, params: &Params) -> Result<Self> {
        let cond_proj = cond_width.map(|cond| Linear::without_bias(cond, inputs, &params.pp("cond_proj")));
        Ok(TimestepEmbedding {
            cond_proj: cond_proj.transpose()?,
            linear_1: Linear::new(inputs, width, &params.pp("linear_1"))?,
            linear_2: Linear::new(width, width, &params.pp("linear_2"))?,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor, cond: Option<&Tensor>) -> Result<Tensor> {
        let x = match (&self.cond_proj, cond) {
            (Some(projection), Some(cond)) => projection.forward(&cond.to_dtype(x.dtype())?)?.broadcast_add(x)?,
            (None, None) => x.clone(),
            (Some(_), None) => {
                candle_core::bail!("this UNet needs the embedding of the guidance scale (`timestep_cond`)")
            }
            (None, Some(_)) => {
                candle_core::bail!("this UNet takes no embedding of the guidance scale (`timestep_cond`)")
            }
        };
        self.linear_2.forward(&Activation::Silu.forward(&self.linear_1.forward(&x)?)?)
    }
}

/// All that becomes the timestep's vector.
#[derive(Debug, Clone)]
pub(crate) struct TimeEmbeddings {
    time_embedding: TimestepEmbedding,
    /// SDXL's pooled text and sizes, with the width of each size's embedding.
    add_embedding: Option<(TimestepEmbedding, usize)>,
    time_channels: usize,
    flip_sin_to_cos: bool,
    freq_shift: f64,
    dtype: DType,
}

impl TimeEmbeddings {
    pub(crate) fn new(config: &UNetConfig, params: &Params) -> Result<Self> {
        let (time_channels, width) = (config.block_out_channels[0], config.time_width());
        let added_widths = config.projection_class_embeddings_input_dim.zip(config.addition_time_embed_dim);
        let add_embedding: Result<_> = added_widths
            .filter(|_| config.addition_embed_type.is_some())
            .map(|(inputs, each)| Ok((TimestepEmbedding::new(inputs, width, None, &params.pp("add_embedding"))?, each)))
            .transpose();
        let time = params.pp("time_embedding");
        Ok(TimeEmbeddings {
            time_embedding: TimestepEmbedding::new(time_channels, width, config.time_cond_proj_dim, &time)?,
            add_embedding: add_embedding?,
            time_channels,
            flip_sin_to_cos: config.flip_sin_to_cos,
            freq_shift: config.freq_shift,
            dtype: params.precision().activation_dtype(params.device()),
        })
    }

    /// [b, time_width], or [1, time_width] when nothing in `input` differs within the batch.
    pub(crate) fn forward(&self, input: &UNetInput) -> Result<Tensor> {
        let time = self.sinusoids(&[input.timestep], self.time_channels, input.sample)?.to_dtype(self.dtype)?;
        let time = self.time_embedding.forward(&time, input.timestep_cond)?;
        match (&self.add_embedding, &input.added) {
            (Some((embedding, each)), Some(added)) => time.broadcast_add(&self.added(embedding, *each, added)?),
            (None, None) => Ok(time),
            (Some(_), None) => candle_core::bail!("this UNet needs the pooled text and the sizes (`added`)"),
            (None, Some(_)) => candle_core::bail!("this UNet takes no pooled text and no sizes (`added`)"),
        }
    }

    fn added(&self, embedding: &TimestepEmbedding, each: usize, added: &AddedCond) -> Result<Tensor> {
        let (batch, ids) = added.time_ids.dims2()?;
        let values = added.time_ids.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        let sizes = self.sinusoids(&values, each, added.text_embeds)?.reshape((batch, ids * each))?;
        let added = Tensor::cat(&[&added.text_embeds.to_dtype(DType::F32)?, &sizes], 1)?;
        embedding.forward(&added.to_dtype(self.dtype)?, None)
    }

    fn sinusoids(&self, values: &[f64], width: usize, like: &Tensor) -> Result<Tensor> {
        timestep_embedding(values, width, self.flip_sin_to_cos, self.freq_shift, like.device())
    }
}
