//! [`Transfer`]: one file from the network, continued where an earlier attempt stopped, checked against what was announced.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use super::client::{lost, not_understood, Client, Subject};
use super::{DownloadError, Event, Report};
use crate::hub::digest::{feed, Digest, Hasher, CHUNK};
use crate::{Error, Result};

/// One file to fetch.
pub struct Transfer<'a> {
    /// Where it is.
    pub url: String,
    /// What it is, for errors.
    pub subject: Subject,
    /// Its name, for messages.
    pub name: String,
    /// Bytes.
    pub size: Option<u64>,
    /// What the content should be.
    pub digest: Option<Digest>,
    /// What the server identifies this content with.
    pub validator: Option<String>,
    /// Where what has arrived is kept.
    pub part: PathBuf,
    /// Set when it is no use to go on: another file of the same model failed.
    pub stop: &'a AtomicBool,
}

/// What has arrived.
struct Arrived {
    file: File,
    hasher: Hasher,
    bytes: u64,
}

impl Transfer<'_> {
    /// Fetches what is missing. At the end the part is whole and right; it is not yet where it belongs.
    ///
    /// # Errors
    /// When it cannot be had, or is not what was announced: then nothing of it is kept.
    pub fn run(&self, client: &Client, report: Report<'_>) -> Result<Digest> {
        let mut arrived = self.open(report)?;
        let continued = arrived.bytes > 0;
        let first = self.receive(client, &mut arrived, report).and_then(|()| self.check(arrived));
        match first {
            // What lay there need not have been the beginning of this file.
            Err(Error::Download(e @ (DownloadError::Checksum { .. } | DownloadError::Length { .. }))) if continued => {
                report(Event::Note(format!("{e}; fetching it anew")));
                let mut arrived = self.open(report)?;
                self.receive(client, &mut arrived, report)?;
                self.check(arrived)
            }
            result => result,
        }
    }

    /// Opens what an earlier attempt left, if it can be continued.
    fn open(&self, report: Report<'_>) -> Result<Arrived> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.part);
        let mut arrived = Arrived {
            file: file.map_err(Error::io("create", &self.part))?,
            hasher: Hasher::new(self.digest.as_ref(), self.size),
            bytes: 0,
        };
        if self.digest.is_none() && self.validator.is_none() {
            self.restart(&mut arrived, report)?;
            return Ok(arrived);
        }
        let read = feed(&mut arrived.file, &mut arrived.hasher);
        arrived.bytes = read.map_err(Error::io("read", &self.part))?;
        report(Event::Bytes(arrived.bytes as i64));
        if self.size.is_some_and(|size| arrived.bytes > size) {
            self.restart(&mut arrived, report)?;
        }
        Ok(arrived)
    }

    /// Forgets what has arrived.
    fn restart(&self, arrived: &mut Arrived, report: Report<'_>) -> Result<()> {
        report(Event::Bytes(-(arrived.bytes as i64)));
        let emptied = arrived.file.set_len(0).and_then(|()| arrived.file.seek(SeekFrom::Start(0)));
        emptied.map_err(Error::io("write", &self.part))?;
        arrived.hasher = Hasher::new(self.digest.as_ref(), self.size);
        arrived.bytes = 0;
        Ok(())
    }

    fn receive(&self, client: &Client, arrived: &mut Arrived, report: Report<'_>) -> Result<()> {
        client.persistently(report, |progress| {
            if self.size == Some(arrived.bytes) {
                return Ok(());
            }
            let before = arrived.bytes;
            let result = self.attempt(client, arrived, report);
            *progress = arrived.bytes > before;
            result
        })
    }

    /// One request, from where the file stands to its end.
    fn attempt(&self, client: &Client, arrived: &mut Arrived, report: Report<'_>) -> Result<()> {
        let range = (arrived.bytes > 0).then(|| format!("bytes={}-", arrived.bytes));
        let reply = match client.get(&self.url, range.as_deref(), self.validator.as_deref(), &self.subject) {
            // "Range not satisfiable": the server's file ends before ours.
            Err(Error::Download(DownloadError::Server { status: 416, .. })) if range.is_some() => {
                self.restart(arrived, report)?;
                client.get(&self.url, None, None, &self.subject)?
            }
            reply => reply?,
        };
        let (from, size) = reply.extent();
        if reply.is_page() && self.digest.is_none() {
            return Err(not_understood(&self.url, &self.subject, "it is a web page, not a file"));
        }
        if let (Some(expected), Some(found)) = (self.size, size) {
            if expected != found {
                return Err(DownloadError::Length { what: self.name.clone(), expected, found }.into());
            }
        }
        if from == 0 && arrived.bytes > 0 {
            self.restart(arrived, report)?;
        } else if from != arrived.bytes {
            return Err(not_understood(&self.url, &self.subject, "it is another part of the file than asked for"));
        } else if from > 0 {
            report(Event::Detail(format!("{}: continued at byte {from}", self.name)));
        }
        self.copy(reply.reader(), arrived, report)
    }

    fn copy(&self, mut content: impl Read, arrived: &mut Arrived, report: Report<'_>) -> Result<()> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = match content.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(lost(&self.url, &e)),
            };
            arrived.file.write_all(&chunk[..read]).map_err(Error::io("write", &self.part))?;
            arrived.hasher.update(&chunk[..read]);
            arrived.bytes += read as u64;
            report(Event::Bytes(read as i64));
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            if self.size.is_some_and(|size| arrived.bytes > size) {
                break;
            }
        }
        match self.size {
            Some(size) if arrived.bytes < size => {
                let early = std::io::Error::other(format!("{} of {size} bytes came", arrived.bytes));
                Err(lost(&self.url, &early))
            }
            _ => Ok(()),
        }
    }

    /// Compares what has arrived with what was announced.
    fn check(&self, arrived: Arrived) -> Result<Digest> {
        let wrong = |e: DownloadError| {
            // Kept, it would be continued.
            let _ = fs::remove_file(&self.part);
            Err(e.into())
        };
        if let Some(expected) = self.size.filter(|size| *size != arrived.bytes) {
            return wrong(DownloadError::Length { what: self.name.clone(), expected, found: arrived.bytes });
        }
        // On the disk before it gets its name: after a power cut, a file that has the name is whole.
        arrived.file.sync_all().map_err(Error::io("write", &self.part))?;
        let found = arrived.hasher.finish();
        match &self.digest {
            Some(expected) if *expected != found => wrong(DownloadError::Checksum {
                what: self.name.clone(),
                digest: expected.kind(),
                expected: expected.hex().into(),
                found: found.hex().into(),
            }),
            _ => Ok(found),
        }
    }
}
