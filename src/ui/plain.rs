//! Progress as lines, for `-v`: there is no bar in a log file.

use crate::pipeline::{Event, Phase};

/// What a phase is called.
pub(super) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Load => "loading",
        Phase::Encode => "encoding",
        Phase::EncodePicture => "encoding the picture",
        Phase::Sample => "sampling",
        Phase::Decode => "decoding",
        Phase::Merge => "merging",
        Phase::Write => "writing",
    }
}

/// The line that `-v` shows for an event.
pub(super) fn detail_of(event: &Event<'_>) -> Option<String> {
    match event {
        Event::End { phase, seconds } => Some(format!("{} took {seconds:.2} s", phase_name(*phase))),
        _ => None,
    }
}
