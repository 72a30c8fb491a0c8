//! Finding a model: what the user named becomes a set of files in the layout of diffusers.
//!
//! [`resolve()`] is the way in, [`ModelFiles`] the result; a single file ([`bare`]) gets the configs of its family ([`configs`]).
//! Nothing is read here but small JSON files and the headers of weights.

mod bare;
mod built_in;
mod configs;
mod model_files;
mod resolve;

pub use bare::Bare;
pub use model_files::ModelFiles;
pub use resolve::resolve;
