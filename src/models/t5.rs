//! The encoder of T5 (Raffel et al. 2020) in version 1.1, with gated units (Shazeer 2020), as transformers' `T5EncoderModel`.

use candle_core::{DType, Device, Result, Tensor};
use serde::Deserialize;

use super::config::{contradictory, parse, unsupported};
use crate::nn::{product, Activation, Embedding, Linear, Params, RmsNorm, SelfAttention};

const WHAT: &str = "T5 encoder";

/// The fields of `config.json` that decide the result, with transformers' defaults.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct T5Config {
    /// Entries of the token table.
    pub vocab_size: usize,
    /// Width of a token's vector.
    pub d_model: usize,
    /// Width of a head's queries, keys and values; heads times this need not be `d_model`.
    pub d_kv: usize,
    /// Width between the layers of the feed-forward part.
    pub d_ff: usize,
    /// Layers.
    pub num_layers: usize,
    /// Heads of each layer's attention.
    pub num_heads: usize,
    /// Entries of the table of relative positions.
    pub relative_attention_num_buckets: usize,
    /// The distance from which on all are one.
    pub relative_attention_max_distance: usize,
    /// Added to the mean square in norms.
    pub layer_norm_epsilon: f64,
    /// The feed-forward part; `gated-gelu`, of T5 1.1, is the one that is known.
    pub feed_forward_proj: String,
}

impl Default for T5Config {
    fn default() -> Self {
        T5Config {
            vocab_size: 32128,
            d_model: 512,
            d_kv: 64,
            d_ff: 2048,
            num_layers: 6,
            num_heads: 8,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            layer_norm_epsilon: 1e-6,
            feed_forward_proj: "relu".into(),
        }
    }
}

impl T5Config {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// When it is damaged, or asks for something that the network does not know.
    pub fn from_json(json: &str) -> crate::Result<Self> {
        let config: Self = parse(WHAT, json)?;
        if config.feed_forward_proj != "gated-gelu" {
            return Err(unsupported(WHAT, "feed_forward_proj", &config.feed_forward_proj));
        }
        let (buckets, farthest) = (config.relative_attention_num_buckets, config.relative_attention_max_distance);
        if buckets < 4 || farthest <= buckets / 4 {
            return Err(contradictory(WHAT, format!("{buckets} buckets for distances up to {farthest}")));
        }
        Ok(config)
    }

    /// The entry of the table of relative positions for a token `key - query` places further on: half of the entries are for those
    /// behind, half of each for exact distances, the rest for ever wider ranges. In f32 as the reference, where the ranges' ends lie.
    fn bucket(&self, query: usize, key: usize) -> u32 {
        let half = self.relative_attention_num_buckets / 2;
        let exact = half / 2;
        let distance = query.abs_diff(key);
        let bucket = if distance < exact {
            distance
        } else {
            let far = (self.relative_attention_max_distance as f64 / exact as f64).ln() as f32;
            let steps = (distance as f32 / exact as f32).ln() / far * (half - exact) as f32;
            (exact + steps as usize).min(half - 1)
        };
        (bucket + if key > query { half } else { 0 }) as u32
    }
}

/// A T5 encoder.
#[derive(Debug, Clone)]
pub struct T5Encoder {
    shared: Embedding,
    relative_attention_bias: Embedding,
    blocks: Vec<Block>,
    final_layer_norm: RmsNorm,
    config: T5Config,
    device: Device,
}

impl T5Encoder {
    /// The encoder in `params`. Call [`Params::finish`] afterwards.
    ///
    /// Its values exceed what f16 holds, which is for the caller to know.
    ///
    /// # Errors
    /// When the tensor library fails.
    pub fn new(config: &T5Config, params: &Params) -> Result<Self> {
        let encoder = params.pp("encoder");
        let bias = encoder.pp("block.0.layer.0.SelfAttention.relative_attention_bias");
        let blocks = (0..config.num_layers).map(|i| Block::new(config, &encoder.pp("block").pp(i).pp("layer")));
        Ok(T5Encoder {
            shared: Embedding::new(config.vocab_size, config.d_model, &params.pp("shared"))?,
            relative_attention_bias: Embedding::new(config.relative_attention_num_buckets, config.num_heads, &bias)?,
            blocks: blocks.collect::<Result<_>>()?,
            final_layer_norm: RmsNorm::new(config.d_model, config.layer_norm_epsilon, &encoder.pp("final_layer_norm"))?,
            config: config.clone(),
            device: params.device().clone(),
        })
    }

    /// Width of a token's vector.
    #[must_use]
    pub fn width(&self) -> usize {
        self.config.d_model
    }

    /// Entries of the token table.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.config.vocab_size
    }

    /// The states of `ids` [b, n] u32: [b, n, `d_model`] f32, normed. Each token attends to all others, padding included, as in the
    /// pipelines of diffusers, which give no attention mask.
    ///
    /// # Errors
    /// When an id is not in the table.
    pub fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        let bias = self.position_bias(ids.dim(1)?)?;
        let mut x = self.shared.forward(ids)?;
        for block in &self.blocks {
            x = block.forward(&x, &bias)?;
        }
        self.final_layer_norm.forward(&x)?.to_dtype(DType::F32)
    }

    /// What is added to the scores of each head: [heads, n, n] f32.
    fn position_bias(&self, tokens: usize) -> Result<Tensor> {
        let buckets = (0..tokens * tokens).map(|i| self.config.bucket(i / tokens, i % tokens)).collect();
        let buckets: Tensor = Tensor::from_vec(buckets, (tokens, tokens), &self.device)?;
        self.relative_attention_bias.forward(&buckets)?.permute((2, 0, 1))?.contiguous()?.to_dtype(DType::F32)
    }
}

/// Attention and feed-forward part, each behind a norm and around a residual.
#[derive(Debug, Clone)]
struct Block {
    attention_norm: RmsNorm,
    /// Queries, keys, values and what comes out.
    projections: [Linear; 4],
    feed_forward_norm: RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
    attention: SelfAttention,
    /// The square root of a head's width, by which attention divides and T5 does not.
    scale: f64,
}

impl Block {
    fn new(config: &T5Config, params: &Params) -> Result<Self> {
        let (width, inner, eps) = (config.d_model, config.num_heads * config.d_kv, config.layer_norm_epsilon);
        let (attention, feed_forward) = (params.pp("0"), params.pp("1"));
        let projection = |from, to, name: &str| Linear::without_bias(from, to, &attention.pp("SelfAttention").pp(name));
        let dense = |from, to, name: &str| Linear::without_bias(from, to, &feed_forward.pp("DenseReluDense").pp(name));
        Ok(Block {
            attention_norm: RmsNorm::new(width, eps, &attention.pp("layer_norm"))?,
            projections: [
                projection(width, inner, "q")?,
                projection(width, inner, "k")?,
                projection(width, inner, "v")?,
                projection(inner, width, "o")?,
            ],
            feed_forward_norm: RmsNorm::new(width, eps, &feed_forward.pp("layer_norm"))?,
            gate: dense(width, config.d_ff, "wi_0")?,
            up: dense(width, config.d_ff, "wi_1")?,
            down: dense(config.d_ff, width, "wo")?,
            attention: SelfAttention::new(config.num_heads, params),
            scale: (config.d_kv as f64).sqrt(),
        })
    }

    fn forward(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let [query, key, value, out] = &self.projections;
        let normed = self.attention_norm.forward(x)?;
        let (q, k, v) = ((query.forward(&normed)? * self.scale)?, key.forward(&normed)?, value.forward(&normed)?);
        let x = out.forward_add(&self.attention.forward([&q, &k, &v], Some(bias))?, x)?;
        let normed = self.feed_forward_norm.forward(&x)?;
        let gate = Activation::GeluTanh.forward(&self.gate.forward(&normed)?)?;
        self.down.forward_add(&product(&gate, &self.up.forward(&normed)?)?, &x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::testing::{config, max_difference, params, Expected};
    use crate::nn::Precision;

    fn model(part: &str, file: &str, precision: Precision) -> T5Encoder {
        let params = params(part, file, precision);
        let model = T5Encoder::new(&T5Config::from_json(&config(part)).unwrap(), &params).unwrap();
        assert_eq!(params.finish().unwrap(), Vec::<String>::new());
        model
    }

    const FLUX: (&str, &str) = ("flux-dev/text_encoder_2", "model.safetensors.index.json");

    /// Measured: 1.7e-6 at most.
    #[test]
    fn states_equal_the_reference() {
        let expected = Expected::open("transformers.safetensors");
        for (part, file) in [FLUX, ("sd35/text_encoder_3", "model.safetensors")] {
            let expected = |what: &str| expected.get(&format!("{}.{what}", part.replace('/', ".")));
            let model = model(part, file, Precision::F32);
            let states = model.forward(&expected("ids")).unwrap();
            let difference = max_difference(&states, &expected("last"));
            assert!(difference < 4e-6, "{part}: {difference}");
        }
    }

    #[test]
    fn bf16_rounds_and_stays_close() {
        let ids = Expected::open("transformers.safetensors").get("flux-dev.text_encoder_2.ids");
        let states = [Precision::F32, Precision::Bf16].map(|p| model(FLUX.0, FLUX.1, p).forward(&ids).unwrap());
        let difference = max_difference(&states[0], &states[1]);
        assert!((1e-3..0.1).contains(&difference), "{difference}");
    }

    /// Values of transformers' `_relative_position_bucket`.
    #[test]
    fn distances_are_put_into_buckets() {
        let config = T5Config { feed_forward_proj: "gated-gelu".into(), ..T5Config::default() };
        let expected = [
            (0, 0),
            (1, 17),
            (7, 23),
            (8, 24),
            (11, 24),
            (12, 25),
            (15, 25),
            (16, 26),
            (22, 26),
            (23, 27),
            (31, 27),
            (32, 28),
            (45, 28),
            (46, 29),
            (63, 29),
            (64, 30),
            (90, 30),
            (91, 31),
            (500, 31),
        ];
        for (distance, bucket) in expected {
            assert_eq!(config.bucket(3, 3 + distance), bucket, "{distance}");
            assert_eq!(config.bucket(3 + distance, 3), bucket.saturating_sub(16), "-{distance}");
        }
    }

    #[test]
    fn what_the_network_does_not_compute_is_refused() {
        let refused = |json: &str| T5Config::from_json(json).unwrap_err().to_string();
        assert!(refused("{}").contains("`feed_forward_proj` = relu"));
        let few = r#"{"feed_forward_proj": "gated-gelu", "relative_attention_num_buckets": 2}"#;
        assert!(refused(few).contains("2 buckets"));
    }
}
