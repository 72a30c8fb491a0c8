//! ControlNets and T2I-Adapters in a run: [`PlannedControl`] is one that was found and fits, with the picture that it is shown;
//! [`ControlNets`] are those that are loaded, [`Guides`] those at work. [`own_map`] is for models that are shown the picture themselves,
//! [`MapLora`] for LoRAs that make a model one of these.

mod adapters;
mod config;
mod fit;
mod guide;
mod kinds;
mod map;
mod map_lora;
mod nets;
mod own_map;
mod plan;

pub(super) use guide::{Guides, Parts, Said};
pub use map_lora::MapLora;
pub(super) use nets::ControlNets;
pub(super) use own_map::defaults;
pub use plan::PlannedControl;
pub(super) use plan::{plan, read, size, without_effect};
