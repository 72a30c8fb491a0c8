//! Fetching models: by short name and by repository into the cache that is shared with Python ([`Job`]), by address into a
//! folder ([`WebFile`]).
//!
//! The `hf-hub` crate would do half of it: its synchronous line checks no hash, knows no `Retry-After`, no disk space and no
//! address that is not the hub's, and its next version brings an asynchronous runtime and does not continue downloads.

mod address;
mod client;
mod error;
mod job;
mod listing;
mod reply;
mod select;
mod target;
mod transfer;
mod web;

pub use address::shown;
pub use client::Client;
pub use error::DownloadError;
pub use job::{check_space, Job, NeededFile};
pub use select::Weights;
pub use target::Target;
pub use web::WebFile;

use super::registry::{self, Entry, KnownFile};
use super::{Digest, RepoId};
use crate::{Error, Result};

/// Something that happens on the way.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Something the user should know.
    Note(String),
    /// Something for who wants to know more.
    Detail(String),
    /// So many bytes more are here; fewer when a file is begun anew.
    Bytes(i64),
    /// A file is whole.
    File {
        /// Its path inside the repository, or its name.
        name: String,
        /// Bytes.
        bytes: u64,
        /// What its content is.
        digest: Digest,
    },
}

/// Hears what happens, from any thread.
pub type Report<'a> = &'a (dyn Fn(Event) + 'a);

/// The job that fetches a repository or one file of it.
///
/// # Errors
/// As [`Job::plan`]; of a repository that is gone, with where the model is now.
pub fn plan_repo(client: &Client, id: &RepoId, weights: Weights, report: Report<'_>) -> Result<Job> {
    Job::plan(client, id, &[], weights, report).map_err(|e| {
        let entry = registry::by_repo(&id.name).filter(|entry| entry.former.contains(&id.name));
        match (&e, entry) {
            (Error::Download(DownloadError::Missing { .. } | DownloadError::Token { .. }), Some(entry)) => {
                let hint = format!("`sdgen download {}` fetches the same model from `{}`", entry.alias, entry.repo);
                DownloadError::Choice { what: format!("`{}` is gone from the hub", id.name), hint }.into()
            }
            _ => e,
        }
    })
}

/// The jobs that fetch a model with a short name: from its repository or, where that is gone, from a mirror.
///
/// # Errors
/// As [`Job::plan`].
pub fn plan_entry(client: &Client, entry: &Entry, weights: Weights, report: Report<'_>) -> Result<Vec<Job>> {
    if !entry.files.is_empty() {
        return plan_files(client, entry, weights, report);
    }
    let mut sources = std::iter::once(&entry.repo).chain(&entry.mirrors).peekable();
    loop {
        let Some(repo) = sources.next() else { return Ok(Vec::new()) };
        let planned = Job::plan(client, &RepoId::of(repo), &[], weights, report);
        let error = match planned {
            Ok(job) => match job.changed(&entry.known).as_slice() {
                [] => return Ok(vec![job]),
                changed if *repo == entry.repo => {
                    let files = changed.join("`, `");
                    report(Event::Note(format!("`{repo}` changed since this version was made: `{files}`")));
                    return Ok(vec![job]);
                }
                [first, ..] => {
                    let what = format!("`{repo}` is no true copy of `{}`: `{first}` differs", entry.repo);
                    let hint = format!("to take it all the same: `sdgen download {repo}`");
                    DownloadError::Choice { what, hint }.into()
                }
            },
            Err(e) => e,
        };
        let gone = matches!(
            error,
            Error::Download(DownloadError::Missing { .. } | DownloadError::Token { .. } | DownloadError::Choice { .. })
        );
        match sources.peek() {
            Some(mirror) if gone => report(Event::Note(format!("{error}; trying the mirror `{mirror}`"))),
            _ => return Err(error),
        }
    }
}

/// The jobs for exactly the files of an entry, one for each repository.
fn plan_files<'a>(client: &Client, entry: &'a Entry, weights: Weights, report: Report<'_>) -> Result<Vec<Job>> {
    let repo_of = |file: &'a KnownFile| file.repo.as_ref().unwrap_or(&entry.repo);
    let mut repos: Vec<&String> = entry.files.iter().map(repo_of).collect();
    repos.sort();
    repos.dedup();
    repos
        .into_iter()
        .map(|repo| {
            let files = entry.files.iter().filter(|file| repo_of(file) == repo);
            let paths: Vec<&str> = files.map(|file| file.path.as_str()).collect();
            let job = Job::plan(client, &RepoId::of(repo), &paths, weights, report)?;
            for file in job.changed(&entry.files) {
                report(Event::Note(format!("`{repo}` changed since this version was made: `{file}`")));
            }
            Ok(job)
        })
        .collect()
}
