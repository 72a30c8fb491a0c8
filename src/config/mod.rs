//! Where settings come from besides the command line, and which of them wins.
//!
//! [`table`] is the one list of settings (each a [`Setting`]): presets, `sdgen.toml` and `SDGEN_*` variables are all read by it
//! ([`file`](mod@file), [`variables`]). Each source is a [`Layer`] of texts that its options take; [`merge`] picks the winners, each with
//! its [`Origin`], and [`words`] makes them part of the command line, so that they meet the checks of flags. [`places`] is where files
//! are looked for. `cli`, `commands` and `recipe` call this module; it knows no clap and prints nothing.

mod file;
mod given;
mod merge;
mod places;
pub mod preset;
pub mod setting;
mod sources;
pub mod table;
mod value;
mod variables;
mod words;
mod write;

pub use file::{read_file, FileKind, SettingsFile};
pub use given::{Given, Layer, Origin};
pub use merge::{merge, Merged};
pub use places::{Surroundings, FILE_NAME};
pub use setting::Setting;
pub use sources::{gather, Sources};
pub use table::SETTINGS;
pub use value::Base;
pub use variables::{is_on, read_variables};
pub use words::{shown, words};
pub use write::{to_toml, value};
