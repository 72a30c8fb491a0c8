//! What each subcommand does: thin layers that turn arguments into a [`Request`](crate::Request), hand it to the pipeline and
//! write what comes back. Only `main` calls this module.

mod generate;
mod studio;

pub use generate::generate;
