//! What the user sees: bars, notes, warnings, errors with hints on standard error; paths or JSON on standard output. The
//! only place besides `main` that prints or ends the process. [`Ui`] is an [`Events`], so that it
//! can watch the pipeline; commands wrap it to write pictures.

mod bars;
mod interrupt;
mod json;
mod message;
mod plain;
mod preview;
mod streams;
mod transfer;

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

pub use bars::BarHandle;
pub use interrupt::install as install_interrupt;
pub use message::{clean, ColorChoice};
pub use preview::PreviewChoice;
pub use streams::Streams;

use crate::pipeline::{Event, Events};
use crate::{Error, Result};
use bars::Bars;
use message::Level;
use plain::detail_of;
use preview::Screen;

/// Messages that are remembered, so as not to say them of each line: a file may have any number of lines.
const MOST_REMEMBERED: usize = 1000;

/// What the user said about output to the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UiOptions {
    /// Warnings and errors only. Data on standard output (paths, JSON) stays.
    pub quiet: bool,
    /// Details too: timings, the schedule.
    pub verbose: bool,
    /// One JSON object for each event on standard output instead of lines for people.
    pub json: bool,
    /// When messages are coloured.
    pub color: ColorChoice,
    /// Whether bars are wanted; they are drawn only on a terminal.
    pub progress: bool,
}

/// A picture that was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Announcement<'a> {
    /// Where it is; `None` for standard output.
    pub path: Option<&'a Path>,
    /// Which picture of the run, from 0.
    pub index: usize,
    /// Its seed.
    pub seed: u64,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// How long it took, with what came before it since the last one.
    pub seconds: f64,
}

/// The user interface of a command.
pub struct Ui {
    options: UiOptions,
    streams: Streams,
    color: bool,
    bars: Option<Bars>,
    /// Where pictures are shown, if they are.
    screen: Option<Screen>,
    /// When the last event of a download was.
    told: Option<Instant>,
    /// The line of a file of prompts that all is about, from 1.
    line: Option<usize>,
    /// What was said of earlier lines.
    said: HashSet<String>,
}

impl Ui {
    /// On the streams of this process.
    #[must_use]
    pub fn new(options: UiOptions) -> Self {
        Self::on_streams(options, Streams::of_process(), |name| std::env::var(name).ok())
    }

    /// On any streams, with any environment.
    pub fn on_streams(options: UiOptions, streams: Streams, environment: impl Fn(&str) -> Option<String>) -> Self {
        let color = options.color.allows(streams.err_is_terminal, &environment);
        let dumb = environment("TERM").as_deref() == Some("dumb");
        let bars = options.progress && !options.quiet && !options.json && streams.err_is_terminal && !dumb;
        let bars = bars.then(|| Bars::new(streams.bar_target));
        Ui { options, streams, color, bars, screen: None, told: None, line: None, said: HashSet::new() }
    }

    /// Takes the bar off the terminal, from any thread.
    #[must_use]
    pub fn bar_handle(&self) -> BarHandle {
        self.bars.as_ref().map(Bars::handle).unwrap_or_default()
    }

    /// From now on all is about this line of a file of prompts, counted from 1, or about none. People are not told again what is
    /// said of every line.
    pub fn at_line(&mut self, line: Option<usize>) {
        self.line = line;
    }

    /// A choice that was made for the user.
    pub fn note(&mut self, text: &str) {
        if self.options.quiet {
            return;
        }
        if self.options.json {
            self.emit(json::message("note", text));
        } else {
            self.message(Level::Note, text);
        }
    }

    /// Something that the user probably did not want.
    pub fn warning(&mut self, text: &str) {
        if self.options.json {
            self.emit(json::message("warning", text));
        } else {
            self.message(Level::Warning, text);
        }
    }

    /// A line that only `-v` shows.
    pub fn detail(&mut self, text: &str) {
        if self.options.verbose && !self.options.json {
            self.print_error_line(&clean(text));
        }
    }

    /// The end of a run that failed. With `--json` as an event, and for people on standard error too.
    pub fn error(&mut self, error: &Error) {
        self.say_error(error, true);
    }

    /// As [`Ui::error`], of a failure that does not end the run.
    pub fn failure(&mut self, error: &Error) {
        self.say_error(error, false);
    }

    fn say_error(&mut self, error: &Error, fatal: bool) {
        if self.options.json {
            self.emit(json::error(error, fatal));
        }
        if fatal {
            self.bar_handle().clear();
        }
        let mut text = message::labelled(Level::Error, &self.placed(&error.to_string()), self.color);
        if let Some(hint) = error.hint() {
            text += "\n\n";
            text += &message::labelled(Level::Hint, &hint, self.color);
        }
        self.print_error_line(&text);
    }

    /// Tells where a picture is: its path on standard output, or an event.
    pub fn written(&mut self, picture: &Announcement<'_>) {
        if self.options.json {
            self.emit(json::picture(picture));
        } else if let Some(path) = picture.path {
            self.data(&path.to_string_lossy());
        }
    }

    /// Tells what will be done: with `--json` only, the complete request and its schedule.
    pub fn plan(&mut self, plan: &serde_json::Value) {
        if !self.options.quiet {
            self.event("plan", plan);
        }
    }

    /// Tells that a picture (from 0) is there already, made by an earlier run.
    pub fn skipped(&mut self, path: &Path, index: usize) {
        if self.options.json {
            self.emit(json::skipped(path, index));
        } else {
            self.detail(&format!("there already: {}", path.display()));
        }
    }

    /// Tells where a picture of a step (from 1) that is not the last is. It is no result: without `--json` only `-v` shows it.
    pub fn intermediate(&mut self, path: &Path, index: usize, step: usize) {
        if self.options.json {
            self.emit(json::intermediate(path, index, step));
        } else {
            self.detail(&format!("step {step}: {}", path.display()));
        }
    }

    /// Tells where the map is that ControlNet `index` (from 0) is shown. It is no result.
    pub fn control_map(&mut self, path: &Path, index: usize) {
        if self.options.json {
            self.emit(json::control_map(path, index));
        } else {
            self.note(&format!("control map: {}", path.display()));
        }
    }

    /// The end of a run that went well.
    pub fn done(&mut self, pictures: usize, seconds: f64) {
        if self.options.json {
            self.emit(json::done(pictures, seconds));
        } else {
            let plural = if pictures == 1 { "" } else { "s" };
            self.detail(&format!("{pictures} picture{plural} in {seconds:.2} s"));
        }
    }

    /// The end of all that is said.
    ///
    /// # Errors
    /// When data was lost on its way to standard output. Whoever closed it did not want it: that is no error.
    pub fn close(&mut self) -> Result<()> {
        self.streams.lost.take().map_or(Ok(()), |e| Err(Error::io("write to", "standard output")(e)))
    }

    /// With `--json`, a result of a command as an event with the fields of an object.
    pub fn event(&mut self, name: &str, fields: impl serde::Serialize) {
        if let Some(event) = json::event(name, fields).filter(|_| self.options.json) {
            self.emit(event);
        }
    }

    /// A line of data on standard output. Control characters are taken out for a terminal only.
    pub fn data(&mut self, line: &str) {
        self.leave_preview();
        let line = if self.streams.out_is_terminal { clean(line).into() } else { std::borrow::Cow::from(line) };
        match &self.bars {
            Some(bars) => bars.suspend(|| self.streams.data(&line)),
            None => self.streams.data(&line),
        }
    }

    fn emit(&mut self, mut event: serde_json::Value) {
        self.leave_preview();
        if let Some(line) = self.line {
            event["line"] = line.into();
        }
        self.streams.data(&event.to_string());
    }

    /// Data of several lines.
    pub fn text(&mut self, text: &str) {
        text.lines().for_each(|line| self.data(line));
    }

    fn message(&mut self, level: Level, text: &str) {
        if self.line.is_some() {
            if self.said.len() >= MOST_REMEMBERED {
                self.said.clear();
            }
            if !self.said.insert(text.into()) {
                return;
            }
        }
        self.print_error_line(&message::labelled(level, &self.placed(text), self.color));
    }

    /// A message for people, with the line that it is about.
    fn placed(&self, text: &str) -> String {
        match self.line {
            Some(line) => format!("line {line}: {text}"),
            None => text.into(),
        }
    }

    /// Above the bar, when there is one.
    fn print_error_line(&mut self, line: &str) {
        self.leave_preview();
        match &self.bars {
            Some(bars) => bars.suspend(|| self.streams.error_line(line)),
            None => self.streams.error_line(line),
        }
    }
}

impl Events for Ui {
    fn on(&mut self, event: Event<'_>) -> Result<()> {
        match &event {
            Event::Note(text) => self.note(text),
            Event::Warning(text) => self.warning(text),
            _ if self.options.json => {
                if let Some(event) = json::progress(&event).filter(|_| !self.options.quiet) {
                    self.emit(event);
                }
            }
            _ => {
                if let Some(bars) = &self.bars {
                    bars.on(&event);
                }
                if let Some(detail) = detail_of(&event) {
                    self.detail(&detail);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
