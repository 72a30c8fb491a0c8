//! Finding a model: what the user named becomes a set of files in the layout of diffusers; and fetching one ([`download`]).
//!
//! [`resolve()`] is the way in, [`ModelFiles`] the result, [`ControlFiles`] that for a ControlNet; a single file ([`bare`]) gets the
//! configs of its family ([`configs`]), and so does a model with random weights ([`random()`]). Nothing is read here but small JSON files
//! and the headers of weights. [`registry`] knows short names, [`cache`] the layout that is shared with Python, [`settings`] the
//! environment. Only `download` uses the network.

mod annotators;
mod bare;
mod built_in;
pub mod cache;
mod configs;
mod control;
mod digest;
pub mod download;
mod hashes;
mod layout;
mod licence;
mod locate;
mod loras;
mod model_configs;
mod model_files;
mod model_weights;
mod origin;
mod parts;
mod random;
mod redux;
pub mod registry;
mod repo;
mod resolve;
pub mod settings;

pub use annotators::{AnnotatorFiles, Annotators};
pub use bare::{Bare, RUNS};
pub use control::ControlFiles;
pub use digest::Digest;
pub use hashes::HashStore;
pub use licence::licence_of_readme;
pub use locate::{cached, in_cache, known_defaults};
pub use loras::Shelves;
pub use model_files::ModelFiles;
pub use model_weights::Content;
pub use origin::Origin;
pub use random::{random, Published};
pub use redux::ReduxFiles;
pub use repo::RepoId;
pub use resolve::resolve;

/// A size for people, in decimal units as disks and downloads have them.
#[must_use]
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
