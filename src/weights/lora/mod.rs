//! LoRAs and their kin: small files of changes to a model's weights.
//!
//! [`Adapter`] is such a file, its tensors grouped by module ([`roles`] knows what each is called). [`names`] finds the modules in
//! the model, whatever program wrote the file; [`kinds`] has the arithmetic. A [`Stack`] of adapters gives [`Adapted`] weights:
//! sources whose tensors are changed when they are read, so that all containers, and all that is built on them, work alike.

mod adapted;
mod adapter;
mod blocks;
mod error;
mod family;
mod kinds;
mod merge;
mod module;
mod names;
mod peft;
mod report;
pub mod roles;
mod stack;
mod sum;
#[cfg(test)]
mod tests;

pub use adapted::Adapted;
pub use adapter::Adapter;
pub use blocks::BlockWeights;
pub use error::{Fault, LoraError};
pub use family::{family, takes_map, Family, SD35_LARGE_WIDTH};
pub use merge::{Merged, Merger};
pub use module::Module;
pub use report::Report;
pub use stack::{Component, Stack, Strength};
pub use sum::Sums;
