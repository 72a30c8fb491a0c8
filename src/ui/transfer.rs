//! How a download is shown: a bar with rate and time left, or events.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Ui;

/// How often events tell how far a download is.
const EVERY: Duration = Duration::from_secs(1);

impl Ui {
    /// Whether events are printed instead of lines for people.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.options.json
    }

    /// A download begins: so many bytes of the total are here. A total of 0 is an unknown one.
    pub fn transfer_begin(&mut self, name: &str, total: u64, here: u64) {
        self.event("download", json!({ "state": "begin", "name": name, "done": here, "total": total }));
        self.told = Some(Instant::now());
        if let Some(bars) = &self.bars {
            bars.begin_bytes(name, total, here);
        }
    }

    /// So many bytes of the total are here.
    pub fn transfer_at(&mut self, name: &str, done: u64, total: u64) {
        if let Some(bars) = &self.bars {
            bars.position(done);
        }
        if self.options.json && !self.options.quiet && self.told.is_none_or(|told| told.elapsed() >= EVERY) {
            self.told = Some(Instant::now());
            self.event("download", json!({ "state": "progress", "name": name, "done": done, "total": total }));
        }
    }

    /// The download is over, well or not.
    pub fn transfer_end(&mut self) {
        self.bar_handle().clear();
    }

    /// Tells where a model is: its path on standard output, or an event.
    pub fn arrived(&mut self, name: &str, place: &Path) {
        let path = place.to_string_lossy();
        if self.options.json {
            self.event("download", json!({ "state": "end", "name": name, "path": path }));
        } else {
            self.data(&path);
        }
    }
}
