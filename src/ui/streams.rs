//! The two streams of a process, replaceable for tests. Nobody may be listening any more: that is no failure. Data that is lost
//! for another reason is one, but none that ends the work.

use std::io::{self, stderr, stdout, ErrorKind, IsTerminal, Write};

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
    /// Why data was lost, when it was: a full disk.
    pub lost: Option<io::Error>,
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
            lost: None,
        }
    }

    /// A line of data, at once.
    pub fn data(&mut self, line: &str) {
        if let Err(e) = write_line(&mut self.out, line) {
            self.lost = Some(e).filter(|e| e.kind() != ErrorKind::BrokenPipe).or(self.lost.take());
        }
    }

    /// A line for people, at once.
    pub fn error_line(&mut self, line: &str) {
        // Nothing is left to say it with.
        let _ = write_line(&mut self.err, line);
    }

    /// Commands for the terminal, at once.
    pub fn error_bytes(&mut self, bytes: &[u8]) {
        let _ = self.err.write_all(bytes).and_then(|()| self.err.flush());
    }
}

/// One write for the whole line, so that lines of several processes do not mix.
fn write_line(stream: &mut dyn Write, line: &str) -> io::Result<()> {
    let line = format!("{line}\n");
    stream.write_all(line.as_bytes()).and_then(|()| stream.flush())
}
