//! `sdgen download`: fetches models, or shows what there is to fetch.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;

use crate::cli::DownloadArgs;
use crate::hub::download::{
    check_space, plan_entry, plan_repo, shown, Client, DownloadError, Event, Job, Target, WebFile,
};
use crate::hub::registry::Entry;
use crate::hub::settings::Settings;
use crate::hub::{cached, in_cache, size};
use crate::ui::{install_interrupt, Ui};
use crate::{Error, Result};

/// Does what the arguments ask for.
///
/// # Errors
/// [`Error::Usage`] before any work for what cannot be fetched; [`Error::Download`] for what could not.
pub fn download(args: &DownloadArgs, ui: &mut Ui) -> Result<()> {
    let mut settings = Settings::from_env();
    settings.offline |= args.general.offline;
    if args.list {
        super::models::list(&settings, ui);
        return Ok(());
    }
    let targets = args.targets(&settings)?;
    install_interrupt(ui);
    let client = Client::new(settings)?;
    let (start, total) = (Instant::now(), targets.len());
    let mut failed = 0;
    for target in &targets {
        let mut teller = Teller { ui, name: name(target), done: 0, total: 0 };
        match fetch(&client, target, args, &mut teller) {
            Err(e @ Error::Download(_)) if total > 1 => {
                failed += 1;
                teller.end();
                ui.failure(&e);
            }
            result => result?,
        }
    }
    if failed > 0 {
        return Err(DownloadError::Several { failed, total }.into());
    }
    ui.event("done", json!({ "downloads": total, "seconds": start.elapsed().as_secs_f64() }));
    Ok(())
}

/// What a target is called in messages.
fn name(target: &Target) -> String {
    match target {
        Target::Alias(entry) => entry.alias.clone(),
        Target::Repo(id) => id.to_string(),
        Target::Address(url) => shown(url),
    }
}

fn fetch(client: &Client, target: &Target, args: &DownloadArgs, teller: &mut Teller<'_>) -> Result<()> {
    let settings = &client.settings;
    if settings.offline {
        let places = match target {
            Target::Alias(entry) => cached(entry, settings),
            Target::Repo(id) => in_cache(id, settings).map(|place| vec![place]),
            Target::Address(_) => None,
        };
        let places = places.ok_or_else(|| DownloadError::Offline { what: teller.name.clone() })?;
        places.iter().for_each(|place| teller.arrived(place));
        return Ok(());
    }
    match target {
        Target::Address(url) => fetch_address(client, url, args, teller),
        Target::Alias(entry) => {
            let jobs = teller.hearing(|report| plan_entry(client, entry, args.weights(), report))?;
            advise(entry, teller.ui);
            run_jobs(client, &jobs, entry.files.is_empty(), args, teller)
        }
        Target::Repo(id) => {
            let job = teller.hearing(|report| plan_repo(client, id, args.weights(), report))?;
            run_jobs(client, &[job], id.file.is_none(), args, teller)
        }
    }
}

/// What a user should know of a model that has a short name.
fn advise(entry: &Entry, ui: &mut Ui) {
    if let Some(licence) = &entry.licence {
        ui.note(&format!("{}, licence: {licence}", entry.title));
    }
    if let Some(note) = &entry.note {
        ui.note(&format!("{}: {note}", entry.alias));
    }
    if !entry.supported {
        ui.warning(&format!("this version can fetch `{}`, but not run it", entry.alias));
    }
}

fn run_jobs(client: &Client, jobs: &[Job], folders: bool, args: &DownloadArgs, teller: &mut Teller<'_>) -> Result<()> {
    let sum = |bytes: fn(&Job) -> u64| jobs.iter().map(bytes).sum::<u64>();
    let (total, here) = (sum(Job::bytes), sum(Job::bytes_here));
    let files = jobs.iter().map(|job| job.files.len()).sum::<usize>();
    let state = if here == total { "all here".into() } else { format!("{} to fetch", size(total - here)) };
    teller.ui.note(&format!("{}: {files} files, {}, {state}", teller.name, size(total)));
    if args.dry_run {
        for (job, file) in jobs.iter().flat_map(|job| job.files.iter().map(move |file| (job, file))) {
            teller.needed(&job.id.name, &file.path, Some(file.size), file.here);
        }
        return Ok(());
    }
    check_space(&client.settings.cache, sum(Job::bytes_missing))?;
    teller.begin(total, here);
    let mut places = Vec::new();
    for job in jobs {
        let folder = job.run(client, &mut |event| teller.on(event))?;
        if folders {
            places.push(folder);
        } else {
            places.extend(job.files.iter().map(|file| folder.join(&file.path)));
        }
    }
    teller.end();
    places.iter().for_each(|place| teller.arrived(place));
    Ok(())
}

fn fetch_address(client: &Client, url: &str, args: &DownloadArgs, teller: &mut Teller<'_>) -> Result<()> {
    let file = teller.hearing(|report| WebFile::ask(client, url, report))?;
    let folder = args.output.clone().unwrap_or_else(|| PathBuf::from("."));
    if args.dry_run {
        teller.needed(&shown(url), &file.name, file.size, file.is_in(&folder)?);
        return Ok(());
    }
    teller.begin(file.size.unwrap_or(0), 0);
    let place = teller.hearing(|report| file.fetch(client, &folder, report))?;
    teller.end();
    teller.arrived(place.strip_prefix(".").unwrap_or(&place));
    Ok(())
}

/// Tells the user what happens on the way.
struct Teller<'a> {
    ui: &'a mut Ui,
    /// What is being fetched.
    name: String,
    /// Bytes that are here.
    done: u64,
    /// Bytes of all files; 0 when that is not known.
    total: u64,
}

impl Teller<'_> {
    /// Does something that reports from this thread.
    fn hearing<T>(&mut self, work: impl FnOnce(crate::hub::download::Report<'_>) -> T) -> T {
        let cell = RefCell::new(self);
        work(&|event| cell.borrow_mut().on(event))
    }

    fn begin(&mut self, total: u64, here: u64) {
        (self.done, self.total) = (here, total);
        self.ui.transfer_begin(&self.name, total, here);
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Note(text) => self.ui.note(&text),
            Event::Detail(text) => self.ui.detail(&text),
            Event::Bytes(bytes) => {
                self.done = self.done.saturating_add_signed(bytes);
                self.ui.transfer_at(&self.name, self.done, self.total);
            }
            Event::File { name, bytes, digest } => {
                self.ui.detail(&format!("{name}: {}, {} {}", size(bytes), digest.kind(), digest.hex()));
                let fields = json!({ "name": name, "bytes": bytes, "state": "end", digest.key(): digest.hex() });
                self.ui.event("download_file", fields);
            }
        }
    }

    fn end(&mut self) {
        self.ui.transfer_end();
    }

    /// Tells where a folder or file is.
    fn arrived(&mut self, place: &Path) {
        self.ui.arrived(&self.name, place);
    }

    /// A file of a dry run.
    fn needed(&mut self, from: &str, path: &str, bytes: Option<u64>, here: bool) {
        if self.ui.is_json() {
            let fields =
                json!({ "name": path, "from": from, "bytes": bytes, "state": if here { "here" } else { "needed" } });
            return self.ui.event("download_file", fields);
        }
        let bytes = bytes.map_or("?".into(), size);
        let here = if here { "  (here)" } else { "" };
        self.ui.data(&format!("{bytes:>8}  {from}  {path}{here}"));
    }
}
