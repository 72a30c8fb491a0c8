//! [`Report`]: what of an adapter found a place in the model.

use std::collections::BTreeMap;
use std::fmt;

use super::names::Place;
use super::{Adapter, Module};

/// Names that a message gives of many.
const NAMED: usize = 3;

/// What of an adapter found a place in the model, for people: "style: 264 of 264 modules, rank 16, UNet 192, text 72".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    name: String,
    modules: usize,
    /// Modules that found a place, by the component's name.
    placed: BTreeMap<&'static str, usize>,
    /// Smallest and largest rank.
    ranks: Option<(usize, usize)>,
    /// Modules and tensors without a place, as the file names them.
    unmatched: Vec<String>,
}

impl Report {
    /// Nothing is placed yet.
    pub(super) fn new(adapter: &Adapter) -> Self {
        Report {
            name: adapter.name().into(),
            modules: adapter.modules().len(),
            placed: BTreeMap::new(),
            ranks: None,
            unmatched: adapter.strangers().to_vec(),
        }
    }

    pub(super) fn matched(&mut self, place: &Place<'_>) {
        *self.placed.entry(place.component).or_default() += 1;
    }

    pub(super) fn unmatched(&mut self, module: &Module) {
        self.unmatched.push(module.name.clone());
    }

    pub(super) fn rank(&mut self, rank: Option<usize>) {
        if let Some(rank) = rank {
            self.ranks = Some(self.ranks.map_or((rank, rank), |(low, high)| (low.min(rank), high.max(rank))));
        }
    }

    /// Modules that found a place.
    #[must_use]
    pub fn count(&self) -> usize {
        self.placed.values().sum()
    }

    /// Whether all did.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unmatched.is_empty()
    }

    /// What has no place, in a sentence; nothing when all has.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let count = self.unmatched.len();
        let noun = if count == 1 { "name" } else { "names" };
        (count > 0).then(|| format!("{count} {noun} without a place in the model: {}", self.examples()))
    }

    /// Some of what has no place.
    pub(super) fn examples(&self) -> String {
        let names: Vec<String> = self.unmatched.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
        let more = self.unmatched.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", names.join(", "))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} of {} modules", self.name, self.count(), self.modules)?;
        match self.ranks {
            Some((low, high)) if low == high => write!(f, ", rank {low}")?,
            Some((low, high)) => write!(f, ", ranks {low} to {high}")?,
            None => {}
        }
        let text: usize =
            self.placed.iter().filter(|(name, _)| name.starts_with("text_encoder")).map(|(_, count)| count).sum();
        let denoiser = self.count() - text;
        if denoiser > 0 {
            let name = if self.placed.contains_key("transformer") { "transformer" } else { "UNet" };
            write!(f, ", {name} {denoiser}")?;
        }
        if text > 0 {
            write!(f, ", text {text}")?;
        }
        Ok(())
    }
}
