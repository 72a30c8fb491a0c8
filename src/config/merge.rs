//! Which value of a setting wins: that of the nearest layer.

use std::collections::BTreeSet;

use super::given::{Given, Layer};
use super::table;
use crate::sampling::parse_scheduler;

/// The outcome of [`merge`].
#[derive(Debug, Default)]
pub struct Merged<'a> {
    /// The value of each setting that a layer gives and the command line does not.
    pub winners: Vec<Given>,
    /// Values that lost against others of a list, with the layer that they are from: nothing of a list is joined.
    pub lost_lists: Vec<(&'a Layer, &'a Given)>,
}

/// Picks the winners. `typed` are the options of the command line, `layers` come nearest first.
#[must_use]
pub fn merge<'a>(typed: &BTreeSet<&str>, layers: &'a [Layer]) -> Merged<'a> {
    let mut taken = typed.clone();
    let mut merged = Merged::default();
    for layer in layers {
        let nearer = taken.clone();
        for given in &layer.given {
            let setting = given.setting;
            if nearer.contains(setting.option) {
                if setting.is_list() {
                    merged.lost_lists.push((layer, given));
                }
                continue;
            }
            let orphaned = setting.of.is_some_and(|of| nearer.contains(of) && layer.get(of).is_some());
            let contradicted = setting.rival.is_some_and(|rival| nearer.contains(rival));
            if orphaned || contradicted {
                continue;
            }
            taken.insert(setting.option);
            merged.winners.push(given.clone());
        }
    }
    merged
}

/// Takes the name of a spacing off the name of a sampler (`euler-karras`), so that each can be replaced by itself.
pub(super) fn split_schedulers(given: &mut Vec<Given>) {
    let (Some(scheduler), Some(sigmas)) = (table::by_option("scheduler"), table::by_option("sigmas")) else { return };
    let has_sigmas = given.iter().any(|given| given.setting == sigmas);
    let Some(at) = given.iter().position(|given| given.setting == scheduler).filter(|_| !has_sigmas) else { return };
    let named = parse_scheduler(&given[at].texts[0]);
    if let Ok((sampler, Some(spacing))) = named {
        given[at].texts = vec![sampler.name().into()];
        let suffix = Given::new(sigmas, spacing.name(), given[at].origin.clone());
        given.push(suffix);
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::config::Origin;

    fn layer(name: &str, values: &[(&str, &str)]) -> Layer {
        let origin = |line| Origin::File { name: name.into(), line };
        let given = values.iter().enumerate();
        let given = given.map(|(i, (option, text))| Given::new(table::by_option(option).unwrap(), *text, origin(i)));
        let mut layer = Layer { name: name.into(), given: given.collect(), called: false };
        split_schedulers(&mut layer.given);
        layer
    }

    fn winners(typed: &[&str], layers: &[Layer]) -> Vec<String> {
        let merged = merge(&typed.iter().copied().collect(), layers);
        let mut all: Vec<String> =
            merged.winners.iter().map(|g| format!("{}={}", g.setting.option, g.texts.join(";"))).collect();
        all.sort();
        all
    }

    #[test]
    fn the_nearest_wins_and_the_command_line_before_all() {
        let layers = [layer("near", &[("steps", "1")]), layer("far", &[("steps", "2"), ("guidance", "3")])];
        assert_eq!(winners(&[], &layers), ["guidance=3", "steps=1"]);
        assert_eq!(winners(&["steps"], &layers), ["guidance=3"]);
    }

    #[test]
    fn what_says_more_goes_with_what_it_is_about() {
        let far = layer("far", &[("model", "a"), ("vae", "b"), ("scheduler", "euler-karras"), ("prompt", "p")]);
        assert_eq!(winners(&[], from_ref(&far)), ["model=a", "prompt=p", "scheduler=euler", "sigmas=karras", "vae=b"]);
        assert_eq!(winners(&["model"], from_ref(&far)), ["prompt=p", "scheduler=euler", "sigmas=karras"]);
        assert_eq!(winners(&["sigmas"], from_ref(&far)), ["model=a", "prompt=p", "scheduler=euler", "vae=b"]);
        let near = layer("near", &[("scheduler", "ddim")]);
        assert_eq!(winners(&[], &[near, far]), ["model=a", "prompt=p", "scheduler=ddim", "vae=b"]);
        // Without a model of its own it is about any.
        assert_eq!(winners(&["model"], &[layer("far", &[("vae", "b")])]), ["vae=b"]);
    }

    #[test]
    fn rivals_end_each_other() {
        let far = layer("far", &[("guess-mode", "true"), ("quiet", "true")]);
        assert_eq!(winners(&["control-mode"], from_ref(&far)), ["quiet=true"]);
        assert_eq!(winners(&["verbose"], &[far]), ["guess-mode=true"]);
    }

    #[test]
    fn lists_are_replaced_and_that_is_known() {
        let layers = [layer("near", &[("lora", "a")]), layer("far", &[("lora", "b")])];
        let merged = merge(&BTreeSet::new(), &layers);
        assert_eq!(merged.winners.len(), 1);
        assert_eq!(merged.lost_lists[0].0.name, "far");
    }
}
