//! From a [`Request`](crate::Request) to pictures. Read `run` first.

mod events;

pub use events::{Event, Events, Phase};
