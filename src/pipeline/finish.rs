//! The end of a network's building: what its weights lack and hold beyond it, and what became of those that were to be quantised.

use crate::hub::size;
use crate::nn::{Params, Quantisation};
use crate::pipeline::{Event, Events};
use crate::weights::shortened;
use crate::Result;

/// Surplus tensors named in a warning; the rest is counted.
const SURPLUS_NAMED: usize = 5;

/// A built model, with a report of what its weights lack (an error, which goes before one of the building: it is the cause)
/// and what they hold beyond the model (a warning).
///
/// # Errors
/// [`crate::Error::Weights`] for weights that lack tensors, or have them in another shape or damaged.
pub(super) fn finish<T>(built: Result<T>, params: &Params, events: &mut dyn Events) -> Result<T> {
    let surplus = params.finish()?;
    if let Some(became) = became(params.quantisation(), params.device().is_cpu()) {
        events.on(Event::Note(&format!("{}: {became}", params.label())))?;
    }
    if surplus.is_empty() {
        return built;
    }
    let named =
        surplus.iter().take(SURPLUS_NAMED).map(|name| format!("`{}`", shortened(name))).collect::<Vec<_>>().join(", ");
    let more = surplus.len().saturating_sub(SURPLUS_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    events
        .on(Event::Warning(&format!("{} holds tensors that the model does not use: {named}{more}", params.label())))?;
    built
}

/// What became of layers that were to be quantised, if there were any. Only the CPU computes with the quantised numbers.
fn became(Quantisation { layers, bytes, before, kept }: Quantisation, is_cpu: bool) -> Option<String> {
    let count = |layers| if layers == 1 { "1 linear layer".into() } else { format!("{layers} linear layers") };
    let memory = if is_cpu {
        format!("{} instead of {}", size(bytes as u64), size(before as u64))
    } else {
        "which rounds their numbers and saves no memory: a GPU computes with them widened".into()
    };
    match (layers, kept) {
        (0, 0) => None,
        (0, kept) => Some(format!("none of {} quantised: no rows are whole blocks", count(kept))),
        (layers, 0) => Some(format!("{} quantised, {memory}", count(layers))),
        (layers, kept) => Some(format!(
            "{} quantised, {memory}; {kept} more as stored: their rows are no whole blocks",
            count(layers)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_said_to_be_saved_where_it_is() {
        let some = Quantisation { layers: 3, bytes: 1_000_000, before: 4_000_000, kept: 1 };
        let (cpu, gpu) = (became(some, true).unwrap(), became(some, false).unwrap());
        assert!(cpu.contains("1 MB instead of 4 MB; 1 more as stored"), "{cpu}");
        assert!(gpu.contains("saves no memory") && !gpu.contains("MB") && gpu.contains("; 1 more as stored"), "{gpu}");
        assert_eq!(became(Quantisation::default(), false), None);
        let none = became(Quantisation { kept: 1, ..Quantisation::default() }, true).unwrap();
        assert!(none.contains("none of 1 linear layer quantised") && !none.contains('B'), "{none}");
    }
}
