//! [`ControlNets`]: those that are loaded, kept from one picture to the next.

use std::time::Instant;

use super::config::ControlConfig;
use crate::models::controlnet::ControlNetModel;
use crate::models::t2i_adapter::T2iAdapter;
use crate::nn::Params;
use crate::pipeline::control::plan::PlannedNet;
use crate::pipeline::finish::finish;
use crate::pipeline::{Event, Events, Machine, Phase, Plan};
use crate::{Error, Result};

/// ControlNets and T2I-Adapters by the name that the user gave them.
#[derive(Default)]
pub struct ControlNets(Vec<(String, Loaded)>);

/// One of them.
pub enum Loaded {
    Net(Box<ControlNetModel>),
    Adapter(T2iAdapter),
}

impl ControlNets {
    /// Loads what a plan needs and is not there, and drops what it does not need.
    ///
    /// # Errors
    /// [`Error::Weights`] or [`Error::Model`] when weights are missing, damaged, or do not fit their config.
    pub fn load(&mut self, plan: &Plan, machine: &Machine, events: &mut dyn Events) -> Result<()> {
        let controls = || plan.request.controls.iter().zip(&plan.controls);
        let wanted = || controls().filter_map(|(control, planned)| Some((control, planned.net.as_ref()?)));
        self.0.retain(|(name, _)| wanted().any(|(control, _)| control.model == *name));
        let mut missing: Vec<(&str, &PlannedNet)> = Vec::new();
        for (control, net) in wanted() {
            let name = control.model.as_str();
            if self.get(name).is_none() && !missing.iter().any(|(other, _)| *other == name) {
                missing.push((name, net));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let start = Instant::now();
        events.on(Event::Begin { phase: Phase::Load, total: missing.len() })?;
        for (done, (name, net)) in missing.into_iter().enumerate() {
            let source = net.files.weights_beside(|| plan.files.weights("unet"))?;
            let params = Params::handled(source, machine.precision, &machine.device, machine.handling(None));
            let loaded = match &net.config {
                ControlConfig::Net(config) => {
                    Loaded::Net(Box::new(finish(ControlNetModel::new(config, &params), &params, events)?))
                }
                ControlConfig::Adapter(config) => {
                    Loaded::Adapter(finish(T2iAdapter::new(config, &params).map_err(Into::into), &params, events)?)
                }
            };
            self.0.push((name.into(), loaded));
            events.on(Event::Progress { phase: Phase::Load, done: done + 1 })?;
        }
        events.on(Event::End { phase: Phase::Load, seconds: start.elapsed().as_secs_f64() })
    }

    fn get(&self, name: &str) -> Option<&Loaded> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, net)| net)
    }

    /// The one of this name.
    ///
    /// # Errors
    /// When it is not loaded.
    pub fn loaded(&self, name: &str) -> Result<&Loaded> {
        self.get(name).ok_or_else(|| Error::model(format!("the ControlNet `{name}` is not loaded"), "load it first"))
    }
}
