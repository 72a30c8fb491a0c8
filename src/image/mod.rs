//! Pictures: those that come in ([`input`]), and the finished ones, from the decoder's tensor to a file. Pixels and their checks, PNG
//! bytes, the metadata written into them and read back, model hashes, output names and the writing itself. The pipeline and the commands
//! call it; it knows no models and prints nothing.

mod atomic;
mod check;
mod chunk;
mod exif;
mod hash;
mod infotext;
mod infotext_parse;
pub mod input;
mod made;
mod metadata;
mod naming;
mod pixels;
mod placeholder;
mod png;
mod sheet;
mod template;
mod unfinished;
mod write;

pub use atomic::{check_replaceable, check_writable, folder_of, write_atomic, write_guard, Collision};
pub use check::{check_decoded, check_picture};
pub use chunk::{stored, FileHash, MadeWith, ModelFacts, SdgenChunk};
pub use exif::read_all_texts;
pub use hash::{lora_hash, sha256, sha256_file, short_hash};
pub use infotext::{Infotext, SamplerLabels};
pub use made::is_picture_of;
pub use metadata::{metadata, model_label, LoraFacts, MetadataMode, Provenance};
pub use pixels::{to_pictures, to_tensor};
pub use png::{encode, read_texts, TextChunk};
pub use sheet::{undrawn, Sheet};
pub use template::{Number, Siblings, Stamp, Template};
pub use unfinished::{discard_unfinished, Unfinished};
pub use write::{is_stdout, Output, OutputOptions, Work, Written};
