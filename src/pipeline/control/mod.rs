//! ControlNets and T2I-Adapters in a run: [`PlannedControl`] is one that was found and fits, with the picture that it is shown;
//! [`ControlNets`] are those that are loaded, [`Guides`] those at work. [`own_map`] is for models that are shown the picture themselves.

mod adapters;
mod config;
mod fit;
mod guide;
mod kinds;
mod map;
mod nets;
mod own_map;
mod plan;

pub(super) use guide::{Guides, Parts, Said};
pub(super) use nets::ControlNets;
pub(super) use own_map::defaults;
pub use plan::PlannedControl;
pub(super) use plan::{plan, read, size, without_effect};
