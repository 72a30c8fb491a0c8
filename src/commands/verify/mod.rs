//! `sdgen verify`: what a file is, whether it is whole, and whether it runs. No file is ever changed.
//!
//! [`target`] and [`checkpoint`] take models apart, [`check`] looks at a file of weights (asking [`crate::pipeline::survey()`] for the
//! tensors that its network wants and [`scan`] for broken values, [`published`] for what the content should be), [`cached`] lists what
//! was downloaded, [`smoke`] paints, [`reproduce`] paints again what a picture says. The shapes of the results are in [`report`];
//! [`show`] puts them into words and [`junit`] into a build server's XML.

mod cached;
mod check;
mod checkpoint;
mod junit;
mod published;
mod report;
mod reproduce;
mod scan;
mod show;
mod smoke;
mod target;

use std::path::Path;
use std::time::Instant;

use self::check::said;
use self::junit::Case;
use self::report::{FileReport, ModelReport, PictureReport, RunReport, Summary};
use crate::cli::VerifyArgs;
use crate::commands::inspect::Target;
use crate::error::exit_code;
use crate::hub::settings::Settings;
use crate::image::{check_replaceable, is_stdout, write_atomic, Collision};
use crate::request::BUILT_IN_MODEL;
use crate::ui::{install_interrupt, Ui};
use crate::{Error, Result};

/// Checks what the arguments name. One of several that cannot be checked is a check that failed.
///
/// # Errors
/// [`Error::Model`] before any work when something that was named is not there, [`Error::Verification`] when a check failed.
pub fn verify(args: &VerifyArgs, ui: &mut Ui) -> Result<()> {
    let start = Instant::now();
    let (targets, smoke) = targets(args)?;
    args.junit.as_deref().map_or(Ok(()), check_junit)?;
    check_effect(args, &targets, smoke, ui)?;
    install_interrupt(ui);
    let mut log = Log { ui, cases: Vec::new(), failed: 0 };
    for named in &targets {
        match one(named, smoke, args, &mut log) {
            Err(e) if e.exit_code() == exit_code::MODEL && targets.len() > 1 => log.unfit(&named.name, &e),
            result => result?,
        }
    }
    let (failed, total) = (log.failed, log.cases.len());
    let summary = Summary { targets: targets.len(), checks: total, failed, seconds: start.elapsed().as_secs_f64() };
    log.say("summary", &summary, &[show::summary(&summary)], args);
    if let Some(path) = &args.junit {
        write_atomic(path, junit::document(&log.cases).as_bytes(), Collision::Replace)?;
    }
    if failed > 0 {
        return Err(Error::Verification { failed, total });
    }
    Ok(())
}

/// Says what will have no effect.
fn check_effect(args: &VerifyArgs, targets: &[Named], smoke: bool, ui: &mut Ui) -> Result<()> {
    let parts = args.parts()?;
    let has_effect = smoke || targets.iter().any(|named| matches!(named.target, Target::File(_)));
    for (option, given) in [("--config", parts.config.is_some()), ("--prediction", parts.prediction.is_some())] {
        if given && !has_effect {
            ui.warning(&format!("`{option}` has no effect: it is for files of weights, and none is named"));
        }
    }
    Ok(())
}

/// Whether the XML will find its place.
fn check_junit(path: &Path) -> Result<()> {
    if is_stdout(path) {
        let message = "standard output has the results, and cannot take the XML too";
        return Err(Error::usage(message, "give `--junit` a file"));
    }
    check_replaceable(path)
}

/// What is to be checked.
struct Named {
    /// What reports call it.
    name: String,
    /// What leads to it, for runs.
    place: String,
    target: Target,
}

/// What is to be checked, and whether it shall paint.
fn targets(args: &VerifyArgs) -> Result<(Vec<Named>, bool)> {
    if args.all {
        return Ok((cached::all(&Settings::from_env())?, args.smoke));
    }
    let names = args.names()?;
    // Without a name it is the program itself that is tested, and that is whether it paints.
    let (names, smoke) = if names.is_empty() { (vec![BUILT_IN_MODEL.to_string()], true) } else { (names, args.smoke) };
    let find = |name: String| Ok(Named { place: name.clone(), target: Target::find(&name)?, name });
    let targets = names.into_iter().map(find).collect::<Result<Vec<_>>>()?;
    for Named { name, target, .. } in &targets {
        match target {
            Target::Picture(_) if smoke => return Err(target::mixed_up(name, true)),
            Target::Model(_) | Target::Part(_) | Target::File(_) if args.reproduce => {
                return Err(target::mixed_up(name, false));
            }
            _ => {}
        }
    }
    Ok((targets, smoke))
}

fn one(named: &Named, smoke: bool, args: &VerifyArgs, log: &mut Log<'_>) -> Result<()> {
    let (name, failed_before) = (named.name.as_str(), log.failed);
    let mut runs = None;
    match &named.target {
        Target::Picture(path) => {
            let report = reproduce::check(path, args, log.ui)?;
            log.picture(&report, args);
            return Ok(());
        }
        Target::Model(files) => {
            log.head(name, args);
            let report = target::check_model(name, files, &mut |file| log.file(file, args));
            log.model(&report, args);
            runs = report.runs;
        }
        Target::Part(folder) => {
            log.head(name, args);
            target::check_part(name, folder)?.iter().for_each(|file| log.file(file, args));
        }
        Target::File(path) => {
            let mut file = target::check_file(name, path);
            let model = checkpoint::check(name, path, &args.parts()?, &mut file);
            log.file(&file, args);
            if let Some(model) = model {
                log.model(&model, args);
                runs = model.runs;
            }
        }
    }
    // What was not named need not be for painting: only what is gets the test.
    if smoke && (!args.all || runs == Some(true)) {
        let is_sound = log.failed == failed_before;
        let report = if is_sound {
            smoke::run(name, &named.place, args.parts()?, args.compute.options(), log.ui)?
        } else {
            let problems = vec!["its files are not sound".to_string()];
            RunReport { target: name.into(), problems, ..RunReport::default() }
        };
        log.run(&report, args);
    }
    Ok(())
}

/// What was said and counted so far.
struct Log<'a> {
    ui: &'a mut Ui,
    cases: Vec<Case>,
    failed: usize,
}

impl Log<'_> {
    fn say(&mut self, event: &str, report: &impl serde::Serialize, lines: &[String], args: &VerifyArgs) {
        if args.general.json {
            self.ui.event(event, report);
        } else {
            lines.iter().for_each(|line| self.ui.data(line));
        }
    }

    /// The line above what is told of several files.
    fn head(&mut self, name: &str, args: &VerifyArgs) {
        if !args.general.json {
            self.ui.data(name);
        }
    }

    fn count(&mut self, suite: &str, name: &str, seconds: f64, problems: &[String]) {
        self.failed += usize::from(!problems.is_empty());
        self.cases.push(Case { suite: suite.into(), name: name.into(), seconds, problems: problems.to_vec() });
    }

    /// Something that cannot be checked.
    fn unfit(&mut self, name: &str, e: &Error) {
        self.count(name, "check", 0.0, &[said(e)]);
        self.ui.failure(&Error::Model { message: format!("{name}: {e}"), hint: e.hint() });
    }

    fn model(&mut self, report: &ModelReport, args: &VerifyArgs) {
        self.count(&report.target, "model", 0.0, &report.problems);
        self.say("model", report, &show::model(report), args);
    }

    fn file(&mut self, report: &FileReport, args: &VerifyArgs) {
        self.count(&report.target, &report.file, report.seconds, &report.problems);
        self.say("file", report, &show::file(report), args);
    }

    fn run(&mut self, report: &RunReport, args: &VerifyArgs) {
        self.count(&report.target, "smoke test", report.seconds, &report.problems);
        self.say("run", report, &show::run(report), args);
    }

    fn picture(&mut self, report: &PictureReport, args: &VerifyArgs) {
        self.count(&report.target, "picture", report.seconds, &report.problems);
        self.say("verified_picture", report, &show::picture(report), args);
    }
}
