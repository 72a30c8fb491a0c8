//! Names of an adapter's modules -> modules of the model, whatever program wrote them.
//!
//! All dialects come down to two things: what stands in front of the name tells the component ([`prefixes`]), and what follows is a
//! module in diffusers' names or in those of the original code, with dots or with underscores. So each module of a component gets
//! its names ([`aliases`]), all flattened to underscores, and a name is looked up rather than translated. A fused layer of the
//! original code stands for several modules: its rows are theirs, one below the other.

mod aliases;
mod prefixes;

use std::collections::HashMap;

use aliases::Alias;

/// The names of all modules of a model's components.
pub struct Names {
    components: Vec<(&'static str, HashMap<String, Alias>)>,
}

/// Modules that a name stands for.
#[derive(Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The component, as diffusers names it.
    pub component: &'static str,
    /// Its modules, whose rows lie one below the other; mostly one.
    pub modules: &'a [String],
    /// Whether the second half of the rows comes first in the model.
    pub swapped: bool,
}

impl Names {
    /// The names of the modules of these components, by the names of their tensors.
    pub fn new<'a>(components: impl Iterator<Item = (&'static str, &'a [String])>) -> Self {
        Names { components: components.map(|(name, tensors)| (name, aliases::of(name, tensors))).collect() }
    }

    /// What a module of an adapter is in the model.
    #[must_use]
    pub fn find(&self, module: &str) -> Option<Place<'_>> {
        let flat = module.replace(".processor.", ".").replace('.', "_");
        let mut candidates = prefixes::split(&flat);
        candidates.find_map(|(component, rest)| {
            let (name, aliases) = self.components.iter().find(|(name, _)| *name == component)?;
            let alias = aliases.get(rest)?;
            Some(Place { component: name, modules: &alias.modules, swapped: alias.swapped })
        })
    }
}
