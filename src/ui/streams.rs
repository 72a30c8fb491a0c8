//! The two streams of a process, replaceable for tests. Nobody may be listening any more: that is no failure.

use std::io::{stderr, stdout, IsTerminal, Write};

use indicatif::ProgressDrawTarget;

/// Where data, messages and bars go.
pub struct Streams {
    /// Data: paths, JSON.
    pub out: Box<dyn Write + Send>,
    /// Messages.
    pub err: Box<dyn Write + Send>,
    /// Whether `out` is a terminal.
    pub out_is_terminal: bool,
    /// Whether `err` is a terminal.
    pub err_is_terminal: bool,
    /// Where bars are drawn.
    pub bar_target: fn() -> ProgressDrawTarget,
}

impl Streams {
    /// Standard output and standard error.
    #[must_use]
    pub fn of_process() -> Self {
        Streams {
            out: Box::new(stdout()),
            err: Box::new(stderr()),
            out_is_terminal: stdout().is_terminal(),
            err_is_terminal: stderr().is_terminal(),
            bar_target: ProgressDrawTarget::stderr,
        }
    }

    /// A line of data, at once.
    pub fn data(&mut self, line: &str) {
        write_line(&mut self.out, line);
    }

    /// A line for people, at once.
    pub fn error_line(&mut self, line: &str) {
        write_line(&mut self.err, line);
    }
}

/// One write for the whole line, so that lines of several processes do not mix. A reader that left, or a closed stream, is
/// nothing that should end the work: the pictures are what counts.
fn write_line(stream: &mut dyn Write, line: &str) {
    let line = format!("{line}\n");
    let _ = stream.write_all(line.as_bytes()).and_then(|()| stream.flush());
}
