//! Ctrl-C: ends the process with 130 at a moment when no half-written file exists.

use std::io::{stderr, stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::bars::BarHandle;
use super::{json, Ui};
use crate::error::exit_code::INTERRUPTED;
use crate::image::{discard_unfinished, write_guard};
use crate::Error;

/// How long an interrupt waits for whoever reads the events: so often,
const WAITS: usize = 50;
/// so long.
const WAIT: Duration = Duration::from_millis(20);

/// Ends the process, after saying so when asked to; replaced in tests.
type Exit = Arc<dyn Fn(bool) + Send + Sync>;

/// From now on, an interrupt (Ctrl-C, `SIGTERM`, `SIGHUP`) waits for a file that is being written, takes the bar off the
/// terminal, and ends the process with 130. A second one does not wait.
///
/// A signal that is ignored already (`SIGHUP` under `nohup`, `SIGINT` in a script's background job) stays ignored.
pub fn install(ui: &Ui) {
    let (bar, is_json) = (ui.bar_handle(), ui.is_json());
    let exit: Exit = Arc::new(move |say_so| {
        if say_so {
            if is_json {
                say_last(format!("{}\n", json::error(&Error::Interrupted, true)), || stdout().lock());
            }
            let _ = writeln!(stderr(), "interrupted");
        }
        #[expect(clippy::exit, reason = "a signal has no caller to return to")]
        std::process::exit(i32::from(INTERRUPTED));
    });
    let interrupted = AtomicBool::new(false);
    listen(move || on_signal(&interrupted, &bar, &exit));
}

/// Writes a line to the stream that `lock` locks, as its last: nobody gets the lock after it. Without it when nobody takes what
/// stands before it there.
fn say_last<W: Write>(line: String, lock: impl FnOnce() -> W + Send + 'static) {
    let (send, said) = channel();
    let saying = thread::Builder::new().name("event".into()).spawn(move || {
        let mut stream = lock();
        let _ = stream.write_all(line.as_bytes()).and_then(|()| stream.flush());
        // The work goes on until the process ends, and would tell of it.
        std::mem::forget(stream);
        let _ = send.send(());
    });
    if saying.is_ok() {
        // Many short waits: while the process is stopped, or has no processor, one of them passes and not all.
        let _ = (0..WAITS).any(|_| said.recv_timeout(WAIT) != Err(RecvTimeoutError::Timeout));
    }
}

/// Calls `handler` for each signal, on a thread of its own. Where that fails signals end the process as they always do.
#[cfg(unix)]
fn listen(handler: impl Fn() + Send + 'static) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    // Linux tells which signals are ignored; elsewhere none is taken to be.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let heard = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(&status, *signal));
    if let Ok(mut signals) = Signals::new(heard) {
        let _ = thread::Builder::new().name("signals".into()).spawn(move || signals.forever().for_each(|_| handler()));
    }
}

#[cfg(not(unix))]
fn listen(handler: impl Fn() + Send + 'static) {
    // The one failure is a handler that is there already, of this function or of whoever started the process.
    let _ = ctrlc::try_set_handler(handler);
}

/// Whether a process with this `/proc/self/status` ignores a signal: a bit of the mask for each, from the first.
#[cfg(unix)]
fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

fn on_signal(interrupted: &AtomicBool, bar: &BarHandle, exit: &Exit) {
    if interrupted.swap(true, Ordering::SeqCst) {
        // Without a word: the terminal may be what the first one waits for.
        return exit(false);
    }
    let (bar, wait_and_exit) = (bar.clone(), exit.clone());
    // On a thread of its own: this one has to be free for the second signal.
    let waiting = thread::Builder::new().name("interrupt".into()).spawn(move || {
        let _no_half_file = write_guard();
        discard_unfinished();
        bar.clear();
        wait_and_exit(true);
    });
    if waiting.is_err() {
        exit(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, MutexGuard, TryLockError};

    #[cfg(unix)]
    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        // As `nohup` leaves it, with SIGPIPE ignored by the runtime: signals 1 and 13.
        let status = "Name:\tsdgen\nSigBlk:\t0000000000000003\nSigIgn:\t0000000000001001\n";
        let ignored: Vec<i32> = (1..=64).filter(|signal| is_ignored(status, *signal)).collect();
        assert_eq!(ignored, [1, 13]);
        assert!(!is_ignored("", 1));
    }

    #[test]
    fn the_first_interrupt_waits_for_a_file_and_the_second_does_not() {
        let (send, exits) = channel();
        let exit: Exit = Arc::new(move |says_so| send.send(says_so).unwrap());
        let interrupted = AtomicBool::new(false);
        let handle = BarHandle::default();

        let writing = write_guard();
        on_signal(&interrupted, &handle, &exit);
        assert_eq!(exits.recv_timeout(Duration::from_millis(100)), Err(RecvTimeoutError::Timeout));
        on_signal(&interrupted, &handle, &exit);
        assert_eq!(exits.try_recv(), Ok(false));
        drop(writing);
        assert_eq!(exits.recv(), Ok(true));
    }
    /// What a test's stream holds, while it is locked.
    struct Locked(MutexGuard<'static, Vec<u8>>);

    impl Write for Locked {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nothing_follows_the_event_of_an_interrupt() {
        static STREAM: Mutex<Vec<u8>> = Mutex::new(Vec::new());
        say_last("the end\n".into(), || Locked(STREAM.lock().unwrap()));
        assert!(matches!(STREAM.try_lock(), Err(TryLockError::WouldBlock)));
    }

    #[test]
    fn an_interrupt_waits_for_a_slow_reader_and_not_for_one_that_stands_still() {
        static SLOW: Mutex<Vec<u8>> = Mutex::new(Vec::new());
        let (send, said) = channel();
        let reading = SLOW.lock().unwrap();
        thread::spawn(move || {
            say_last("the end\n".into(), || Locked(SLOW.lock().unwrap()));
            send.send(()).unwrap();
        });
        assert_eq!(said.recv_timeout(WAIT * 4), Err(RecvTimeoutError::Timeout));
        drop(reading);
        assert_eq!(said.recv(), Ok(()));

        static STILL: Mutex<Vec<u8>> = Mutex::new(Vec::new());
        let _standing = STILL.lock().unwrap();
        say_last("the end\n".into(), || Locked(STILL.lock().unwrap()));
    }
}
