//! Arithmetic on slices for the CPU: matrix products, convolution, attention, norms, activations.
//!
//! Nothing here knows tensors, models or files. [`isa`] says which instructions may be used; `gemm` is the product that linear
//! layers, [`conv`] and [`attention`] are made of, [`quant`] weights that stay quantised in it; [`norm`],
//! [`elementwise`], [`rotary`], [`transpose`] and [`join`] are the passes between them; [`memory`], `stream` and `ahead` see to it that
//! memory does not keep them waiting; [`peak`] measures what the machine can do at best. All of it runs on rayon's global pool and gives
//! the same bits whatever the number of threads: each output is summed in one fixed order.
//!
//! This is the one place with `unsafe` besides the mapping of files: instructions that a processor may lack, and outputs that
//! several threads write disjoint parts of. Each module that needs it allows it for itself and says why.

mod ahead;
pub mod attention;
pub mod conv;
pub mod elementwise;
pub mod filter;
pub mod gemm;
#[cfg(test)]
mod guarded;
pub mod isa;
pub mod join;
mod math;
pub mod memory;
pub mod norm;
mod output;
pub mod peak;
pub mod quant;
pub mod rotary;
mod simd;
mod stream;
pub mod transpose;

pub use isa::{InstructionSet, Isa, IsaError};
