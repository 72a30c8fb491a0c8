//! Progress bars on a terminal: one at a time, gone when its phase is over.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressState, ProgressStyle};

use super::message::clean;
use super::plain::phase_name;
use crate::pipeline::{Event, Phase};

const COUNTED: &str = "{prefix:<8} {bar:30} {pos}/{len}";
const TIMED: &str = "{prefix:<8} {bar:30} {pos}/{len} {left}";

const BYTES: &str = "{prefix} {bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} left";
const BYTES_OF_UNKNOWN: &str = "{prefix} {decimal_bytes} {decimal_bytes_per_sec}";

/// How often the time left is drawn anew while a step runs.
const TICK: Duration = Duration::from_millis(250);

/// The bar of the current phase.
pub(super) struct Bars {
    handle: BarHandle,
    target: fn() -> ProgressDrawTarget,
}

/// Takes the current bar off the terminal, from any thread.
#[derive(Debug, Clone, Default)]
pub struct BarHandle(Arc<Mutex<Option<ProgressBar>>>);

impl BarHandle {
    /// Takes it off, if there is one.
    pub fn clear(&self) {
        // Who holds the lock is drawing; an interrupt must not wait for a terminal that stands still.
        if let Ok(Some(bar)) = self.0.try_lock().map(|mut slot| slot.take()) {
            bar.finish_and_clear();
        }
    }

    fn bar(&self) -> Option<ProgressBar> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, bar: Option<ProgressBar>) {
        let old = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), bar);
        if let Some(old) = old {
            old.finish_and_clear();
        }
    }
}

impl Bars {
    pub(super) fn new(target: fn() -> ProgressDrawTarget) -> Self {
        Bars { handle: BarHandle::default(), target }
    }

    pub(super) fn handle(&self) -> BarHandle {
        self.handle.clone()
    }

    /// Draws what an event changes.
    pub(super) fn on(&self, event: &Event<'_>) {
        match event {
            Event::Begin { phase, total } => self.handle.replace(Some(self.bar(*phase, *total))),
            Event::Progress { done, .. } => {
                if let Some(bar) = self.handle.bar() {
                    bar.set_position(*done as u64);
                }
            }
            Event::End { .. } => self.handle.replace(None),
            Event::Note(_)
            | Event::Warning(_)
            | Event::Intermediate { .. }
            | Event::Preview { .. }
            | Event::Picture { .. } => {}
        }
    }

    /// A bar of bytes, of which some are here. A total of 0 is an unknown one.
    pub(super) fn begin_bytes(&self, name: &str, total: u64, here: u64) {
        let (template, length) = if total > 0 { (BYTES, Some(total)) } else { (BYTES_OF_UNKNOWN, None) };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(length, (self.target)())
            .with_style(style.progress_chars("━╸ "))
            .with_prefix(clean(name))
            .with_position(here)
            .with_finish(ProgressFinish::AndClear);
        // The rate is that of the network, not of what was here.
        bar.reset_eta();
        bar.enable_steady_tick(TICK);
        self.handle.replace(Some(bar));
    }

    /// How far the current bar is.
    pub(super) fn position(&self, done: u64) {
        if let Some(bar) = self.handle.bar() {
            bar.set_position(done);
        }
    }

    /// Runs something that prints while the bar is off the terminal.
    pub(super) fn suspend(&self, print: impl FnOnce()) {
        match self.handle.bar() {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn bar(&self, phase: Phase, total: usize) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(total as u64), (self.target)())
            .with_style(style(phase))
            .with_prefix(phase_name(phase))
            .with_finish(ProgressFinish::AndClear);
        bar.enable_steady_tick(TICK);
        bar
    }
}

fn style(phase: Phase) -> ProgressStyle {
    let template = if phase == Phase::Sample { TIMED } else { COUNTED };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸ ").with_key("left", |state: &ProgressState, to: &mut dyn Write| {
        let _ = to.write_str(&time_left(state.pos(), state.elapsed(), state.eta()));
    })
}

/// `1.25 s/step, 18 seconds left`; nothing before the first step is done.
fn time_left(steps: u64, elapsed: Duration, left: Duration) -> String {
    if steps == 0 {
        return String::new();
    }
    let per_step = elapsed.as_secs_f64() / steps as f64;
    format!("{per_step:.2} s/step, {} left", HumanDuration(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_styles_are_valid() {
        for template in [COUNTED, TIMED, BYTES, BYTES_OF_UNKNOWN] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }

    #[test]
    fn a_bar_lives_for_its_phase() {
        let bars = Bars::new(ProgressDrawTarget::hidden);
        bars.on(&Event::Progress { phase: Phase::Load, done: 1 });
        assert!(bars.handle().bar().is_none());
        bars.on(&Event::Begin { phase: Phase::Sample, total: 20 });
        bars.on(&Event::Progress { phase: Phase::Sample, done: 5 });
        let bar = bars.handle().bar().unwrap();
        assert_eq!((bar.position(), bar.length(), bar.prefix().as_str()), (5, Some(20), "sampling"));
        bars.on(&Event::End { phase: Phase::Sample, seconds: 1.0 });
        assert!(bar.is_finished());
        assert!(bars.handle().bar().is_none());
    }

    #[test]
    fn another_thread_can_clear_it() {
        let bars = Bars::new(ProgressDrawTarget::hidden);
        bars.on(&Event::Begin { phase: Phase::Decode, total: 1 });
        let bar = bars.handle().bar().unwrap();
        let handle = bars.handle();
        std::thread::spawn(move || handle.clear()).join().unwrap();
        assert!(bar.is_finished());
    }

    #[test]
    fn clearing_never_waits() {
        let bars = Bars::new(ProgressDrawTarget::hidden);
        bars.on(&Event::Begin { phase: Phase::Decode, total: 1 });
        let slot = bars.handle.0.lock().unwrap();
        bars.handle().clear();
        assert!(slot.is_some(), "left to who holds it");
    }

    #[test]
    fn the_time_left_is_said_from_the_first_step_on() {
        assert_eq!(time_left(0, Duration::from_secs(9), Duration::ZERO), "");
        assert_eq!(time_left(4, Duration::from_secs(5), Duration::from_secs(18)), "1.25 s/step, 18 seconds left");
    }
}
