//! From a prompt to what a denoiser is conditioned on.
//!
//! ```text
//! wildcards -> prompt (editing, then weights) -> chunks (tokenizer, inversion) -> encode (CLIP, emphasis) -> Conditioning
//! ```
//!
//! - [`wildcards`]: `{a|b}` and `__name__`, drawn from the seed; gives the text that the metadata holds.
//! - [`prompt`]: A1111's prompt language: weights in brackets, `BREAK`, `[a:b:0.5]`, `[a|b]`.
//! - [`tokenizer`]: CLIP's tokenizer; [`vocabulary`]: its files; [`t5_tokenizer`]: T5's.
//! - [`inversion`]: textual-inversion embeddings, words that bring their own vectors.
//! - [`chunks`]: token tables of 77 places with a weight a token.
//! - [`emphasis`]: weights applied to hidden states.
//! - [`encoder`]: one text encoder with its tokenizer; [`encode`]: those of a model family, and a prompt's schedule of
//!   [`conditioning`]s. [`joint`]: those of FLUX and Stable Diffusion 3, with T5, which read a prompt as it is; [`stack`]: either.
//!
//! [`crate::pipeline`] goes this way; others take single pieces, such as wildcards. Nothing here knows command-line flags.

pub mod chunks;
pub mod conditioning;
pub mod emphasis;
pub mod encode;
pub mod encoder;
pub mod inversion;
pub mod joint;
pub mod prompt;
pub mod stack;
pub mod t5_tokenizer;
pub mod tokenizer;
pub mod vocabulary;
pub mod wildcards;

pub use conditioning::{Conditioning, Encoded};
pub use encode::{ClipStack, EncodeOptions};
pub use encoder::TextEncoder;
pub use inversion::Inversion;
pub use joint::{JointKind, JointText, T5TextEncoder};
pub use stack::TextStack;
pub use t5_tokenizer::{T5Tokenizer, T5Tokens};
pub use tokenizer::{ClipTokenizer, Padding};
pub use vocabulary::{clip_files, TokenizerFiles};
