//! How the numbers of a GGUF tensor are stored.

use std::fmt;

use candle_core::quantized::GgmlDType;
use candle_core::DType;

use crate::nn::{ggml_format, Format};

/// How numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As numbers.
    Plain(DType),
    /// In blocks that share a scale.
    Quantized(GgmlDType),
}

/// ggml's numbers for its types.
const KINDS: [(u32, Kind, &str); 19] = [
    (0, Kind::Plain(DType::F32), "f32"),
    (1, Kind::Plain(DType::F16), "f16"),
    (30, Kind::Plain(DType::BF16), "bf16"),
    (28, Kind::Plain(DType::F64), "f64"),
    (25, Kind::Plain(DType::I16), "i16"),
    (26, Kind::Plain(DType::I32), "i32"),
    (27, Kind::Plain(DType::I64), "i64"),
    (2, Kind::Quantized(GgmlDType::Q4_0), "q4_0"),
    (3, Kind::Quantized(GgmlDType::Q4_1), "q4_1"),
    (6, Kind::Quantized(GgmlDType::Q5_0), "q5_0"),
    (7, Kind::Quantized(GgmlDType::Q5_1), "q5_1"),
    (8, Kind::Quantized(GgmlDType::Q8_0), "q8_0"),
    (9, Kind::Quantized(GgmlDType::Q8_1), "q8_1"),
    (10, Kind::Quantized(GgmlDType::Q2K), "q2_k"),
    (11, Kind::Quantized(GgmlDType::Q3K), "q3_k"),
    (12, Kind::Quantized(GgmlDType::Q4K), "q4_k"),
    (13, Kind::Quantized(GgmlDType::Q5K), "q5_k"),
    (14, Kind::Quantized(GgmlDType::Q6K), "q6_k"),
    (15, Kind::Quantized(GgmlDType::Q8K), "q8_k"),
];

/// Types that are known by name only, for the message that refuses them.
const UNKNOWN: [(u32, &str); 13] = [
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
];

impl Kind {
    /// The type with ggml's number, or the name of one that is not read.
    pub(super) fn of(number: u32) -> Result<Self, String> {
        match KINDS.iter().find(|(known, ..)| *known == number) {
            Some((_, kind, _)) => Ok(*kind),
            None => Err(UNKNOWN
                .iter()
                .find(|(known, _)| *known == number)
                .map_or_else(|| format!("type {number}"), |(_, name)| (*name).into())),
        }
    }

    /// Whether a type, by its name, is one of blocks that share a scale.
    #[must_use]
    pub fn is_quantised(name: &str) -> bool {
        KINDS.iter().any(|(_, kind, known)| *known == name && matches!(kind, Kind::Quantized(_)))
    }

    /// ggml's number for the type; nothing for one that GGUF does not have.
    #[must_use]
    pub fn number(self) -> Option<u32> {
        KINDS.iter().find(|(_, kind, _)| *kind == self).map(|(number, ..)| *number)
    }

    /// The format that layers compute with as it is stored.
    pub(super) fn format(self) -> Option<Format> {
        match self {
            Kind::Plain(_) => None,
            Kind::Quantized(kind) => ggml_format(kind),
        }
    }

    /// Numbers in a block, and the bytes of one.
    #[must_use]
    pub fn block(self) -> (usize, usize) {
        match self {
            Kind::Plain(dtype) => (1, dtype.size_in_bytes()),
            Kind::Quantized(kind) => (kind.block_size(), kind.type_size()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match KINDS.iter().find(|(_, kind, _)| kind == self) {
            Some((.., name)) => f.write_str(name),
            // Numbers that GGUF files do not have.
            None => match self {
                Kind::Plain(dtype) => f.write_str(dtype.as_str()),
                Kind::Quantized(dtype) => write!(f, "{dtype:?}"),
            },
        }
    }
}
