//! ControlNets and T2I-Adapters in a run: [`PlannedControl`] is one that was found and fits, with the picture that it is shown;
//! [`ControlNets`] are those that are loaded, [`Guides`] those at work.

mod adapters;
mod config;
mod fit;
mod guide;
mod kinds;
mod nets;
mod plan;

pub(super) use guide::{Guides, Parts, Said};
pub(super) use nets::ControlNets;
pub use plan::PlannedControl;
pub(super) use plan::{plan, read, size, without_effect};
