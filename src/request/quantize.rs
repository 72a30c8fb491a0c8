//! The types that weights can be quantised to.

use candle_core::quantized::GgmlDType;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What `--quantize` names: ggml's types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are names of others")]
pub enum QuantizedType {
    #[value(name = "q8_0")]
    Q8_0,
    #[value(name = "q5_1")]
    Q5_1,
    #[value(name = "q5_0")]
    Q5_0,
    #[value(name = "q4_1")]
    Q4_1,
    #[value(name = "q4_0")]
    Q4_0,
    #[value(name = "q6_k")]
    Q6K,
    #[value(name = "q5_k")]
    Q5K,
    #[value(name = "q4_k")]
    Q4K,
    #[value(name = "q3_k")]
    Q3K,
    #[value(name = "q2_k")]
    Q2K,
}

impl QuantizedType {
    /// The tensor library's name.
    #[must_use]
    pub fn dtype(self) -> GgmlDType {
        match self {
            QuantizedType::Q8_0 => GgmlDType::Q8_0,
            QuantizedType::Q5_1 => GgmlDType::Q5_1,
            QuantizedType::Q5_0 => GgmlDType::Q5_0,
            QuantizedType::Q4_1 => GgmlDType::Q4_1,
            QuantizedType::Q4_0 => GgmlDType::Q4_0,
            QuantizedType::Q6K => GgmlDType::Q6K,
            QuantizedType::Q5K => GgmlDType::Q5K,
            QuantizedType::Q4K => GgmlDType::Q4K,
            QuantizedType::Q3K => GgmlDType::Q3K,
            QuantizedType::Q2K => GgmlDType::Q2K,
        }
    }
}
