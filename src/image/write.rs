//! Where pictures go: a template of names, standard output, or a device.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{is_separator, Path, PathBuf};

use super::atomic::{check_can_create, check_writable, folder_of, write_atomic, Collision};
use super::template::{Stamp, Template};
use crate::request::Request;
use crate::{Error, Result};

/// The name of pictures when none is given.
const DEFAULT_NAME: &str = "{prompt}-{seed}.png";

/// What the user said about output, and what is to come.
#[derive(Debug, Clone, Copy)]
pub struct OutputOptions<'a> {
    /// A template, a folder, `-`, or nothing.
    pub template: Option<&'a str>,
    /// Whether an existing file is replaced.
    pub overwrite: bool,
    /// All pictures of the run.
    pub pictures: usize,
    /// Pictures that share a seed.
    pub batch: usize,
}

/// A place for pictures, checked before the work that makes them.
#[derive(Debug)]
pub struct Output {
    target: Target,
    collision: Collision,
    stamp: Stamp,
    pictures: usize,
    batch: usize,
}

#[derive(Debug)]
enum Target {
    Files(Template),
    Stdout,
    /// Something that exists and is no file: a device or a pipe. It is written into, never replaced.
    Stream(PathBuf),
}

/// Where a picture went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file; `None` for standard output.
    pub path: Option<PathBuf>,
    /// What to tell the user: another name was taken.
    pub note: Option<String>,
}

impl Output {
    /// Decides where pictures go and checks that they can.
    ///
    /// # Errors
    /// A template that is wrong, a folder that is missing or not writable, several pictures or a terminal for `-`.
    pub fn prepare(options: &OutputOptions<'_>) -> Result<Self> {
        Self::prepare_for(options, std::io::stdout().is_terminal())
    }

    fn prepare_for(options: &OutputOptions<'_>, stdout_is_terminal: bool) -> Result<Self> {
        let target = match options.template {
            Some("-") => stdout(options.pictures, stdout_is_terminal)?,
            Some(path) if is_stream(Path::new(path)) => Target::Stream(path.into()),
            typed => {
                let template = Template::parse(&with_file_name(typed))?;
                check_writable(&template.fixed_folder())?;
                Target::Files(template.for_pictures(options.pictures, options.batch))
            }
        };
        let collision = if options.overwrite { Collision::Replace } else { Collision::NextFree };
        let (pictures, batch) = (options.pictures, options.batch);
        Ok(Output { target, collision, stamp: Stamp::now(), pictures, batch })
    }

    /// Whether the pictures go to standard output, so that nothing else may.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        matches!(self.target, Target::Stdout)
    }

    /// Where pictures go that come with a picture: into `folder`, or beside it. `what` says it ("pictures of steps go"), `option` names
    /// the folder.
    ///
    /// # Errors
    /// When there is no folder and the picture goes to standard output or a device, or when the folder can neither be written
    /// to nor be made.
    pub fn prepare_beside(&self, folder: Option<&Path>, what: &str, option: &str) -> Result<()> {
        match (folder, &self.target) {
            (Some(folder), _) => check_can_create(folder),
            (None, Target::Files(_)) => Ok(()),
            (None, Target::Stdout | Target::Stream(_)) => {
                let message = format!("{what} beside the picture, which is no file");
                Err(Error::usage(message, format!("name their folder: `{option}`")))
            }
        }
    }

    /// Writes a PNG that comes with a picture ("step-003"): as its picture is named, or would be by default if that goes to standard
    /// output or a device, with `what` behind the name. Returns its path.
    ///
    /// # Errors
    /// When it cannot be written; nothing half-written stays behind.
    pub fn write_beside(
        &self,
        png: &[u8],
        request: &Request,
        (model, index): (&str, usize),
        what: &str,
        folder: Option<&Path>,
    ) -> Result<PathBuf> {
        let picture = match &self.target {
            Target::Files(template) => template.render(request, model, index, &self.stamp),
            Target::Stdout | Target::Stream(_) => {
                let template = Template::parse(DEFAULT_NAME)?.for_pictures(self.pictures, self.batch);
                template.render(request, model, index, &self.stamp)
            }
        };
        let folder = folder.unwrap_or_else(|| folder_of(&picture));
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let stem = picture.file_stem().unwrap_or_default().to_string_lossy();
        write_atomic(&folder.join(format!("{stem}-{what}.png")), png, self.collision)
    }

    /// Writes a finished PNG. `request` is complete; `model` is what the model is called; `index` counts all pictures of the
    /// run from 0.
    ///
    /// # Errors
    /// When it cannot be written; nothing half-written stays behind.
    pub fn write(&self, png: &[u8], request: &Request, model: &str, index: usize) -> Result<Written> {
        match &self.target {
            Target::Stdout => {
                write_stream(&mut std::io::stdout().lock(), png).map_err(Error::io("write to", "standard output"))?;
                Ok(Written { path: None, note: None })
            }
            Target::Stream(path) => {
                let mut stream = OpenOptions::new().write(true).open(path).map_err(Error::io("write", path))?;
                write_stream(&mut stream, png).map_err(Error::io("write", path))?;
                Ok(Written { path: Some(path.clone()), note: None })
            }
            Target::Files(template) => {
                let path = template.render(request, model, index, &self.stamp);
                if template.has_variable_folders() {
                    let folder = folder_of(&path);
                    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
                }
                let written = write_atomic(&path, png, self.collision)?;
                let note = (written != path).then(|| renamed(&path, &written));
                Ok(Written { path: Some(written), note })
            }
        }
    }
}

fn stdout(pictures: usize, is_terminal: bool) -> Result<Target> {
    if pictures > 1 {
        let message = format!("{pictures} pictures do not fit into standard output");
        return Err(Error::usage(message, "make one picture, or give a folder instead of `-`"));
    }
    if is_terminal {
        let message = "standard output is a terminal, which shows no PNG";
        return Err(Error::usage(message, "redirect it (`-o - > picture.png`), or give a file name instead of `-`"));
    }
    Ok(Target::Stdout)
}

/// Whether something that is neither file nor folder has this name: `/dev/null`, a named pipe, a shell's `>(...)`.
fn is_stream(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// What was typed, with the default name added to a folder.
fn with_file_name(typed: Option<&str>) -> String {
    match typed {
        None => DEFAULT_NAME.into(),
        // A folder that exists is no template: its braces are its own.
        Some(folder) if Path::new(folder).is_dir() => {
            format!("{}/{DEFAULT_NAME}", folder.trim_end_matches(is_separator).replace('{', "{{").replace('}', "}}"))
        }
        Some(folder) if folder.ends_with(is_separator) => format!("{folder}{DEFAULT_NAME}"),
        Some(template) => template.into(),
    }
}

/// Whoever reads may stop reading: that is no failure of ours.
fn write_stream(stream: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
    match stream.write_all(bytes).and_then(|()| stream.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn renamed(wanted: &Path, written: &Path) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!("`{}` exists; the picture is `{}` (`--overwrite` replaces)", name(wanted), name(written))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(template: &str) -> OutputOptions<'_> {
        OutputOptions { template: Some(template), overwrite: false, pictures: 1, batch: 1 }
    }

    fn request() -> Request {
        let mut request = Request::default();
        request.prompt.text = "a red apple".into();
        request.sampling.seed = Some(7);
        request
    }

    fn write(output: &Output, index: usize) -> Written {
        output.write(b"png", &request(), "emoji", index).unwrap()
    }

    #[test]
    fn a_folder_gets_the_default_name() {
        let folder = tempfile::tempdir().unwrap();
        let expected = folder.path().join("a-red-apple-7.png");
        let typed = folder.path().to_str().unwrap();
        for (typed, name) in [(typed.to_owned(), "a-red-apple-7.png"), (format!("{typed}/"), "a-red-apple-7-2.png")] {
            let output = Output::prepare_for(&options(&typed), true).unwrap();
            assert_eq!(write(&output, 0).path.unwrap(), expected.with_file_name(name));
        }
        let braces = folder.path().join("{seed} }{");
        fs::create_dir(&braces).unwrap();
        let output = Output::prepare_for(&options(braces.to_str().unwrap()), true).unwrap();
        assert_eq!(write(&output, 0).path.unwrap(), braces.join("a-red-apple-7.png"));
        assert_eq!(with_file_name(None), DEFAULT_NAME);
    }

    #[test]
    fn an_existing_file_is_kept_and_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let typed = path.to_str().unwrap();
        let output = Output::prepare_for(&options(typed), true).unwrap();
        assert_eq!(write(&output, 0), Written { path: Some(path.clone()), note: None });
        let second = write(&output, 0);
        assert_eq!(second.path.unwrap(), folder.path().join("a-2.png"));
        assert_eq!(second.note.unwrap(), "`a.png` exists; the picture is `a-2.png` (`--overwrite` replaces)");
        let replacing = Output::prepare_for(&OutputOptions { overwrite: true, ..options(typed) }, true).unwrap();
        assert_eq!(write(&replacing, 0), Written { path: Some(path), note: None });
    }

    #[test]
    fn folders_of_placeholders_are_made_and_others_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        let typed = format!("{}/{{seed}}/{{model}}/x.png", folder.path().display());
        let output = Output::prepare_for(&options(&typed), true).unwrap();
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing before the first picture");
        assert_eq!(write(&output, 0).path.unwrap(), folder.path().join("7/emoji/x.png"));

        for missing in ["no/x.png", "no/{seed}.png", "no/"] {
            let typed = format!("{}/{missing}", folder.path().display());
            let error = Output::prepare_for(&options(&typed), true).unwrap_err();
            assert_eq!(error.exit_code(), crate::error::exit_code::FAILURE);
            assert!(error.to_string().contains("/no"), "{error}");
            assert!(error.hint().unwrap().contains("create the folder"), "{error}");
        }
    }

    #[test]
    fn steps_go_beside_their_picture_or_into_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (beside, steps) = (folder.path().join("{seed}/a.png"), folder.path().join("new/steps"));
        let write =
            |output: &Output, folder| output.write_beside(b"x", &request(), ("emoji", 0), "step-003", folder).unwrap();
        let output = Output::prepare_for(&options(beside.to_str().unwrap()), true).unwrap();
        output.prepare_beside(None, "steps go", "--x=DIR").unwrap();
        assert_eq!(write(&output, None), folder.path().join("7/a-step-003.png"));

        let output = Output::prepare_for(&options("-"), false).unwrap();
        output.prepare_beside(Some(&steps), "steps go", "--x=DIR").unwrap();
        assert!(!steps.exists(), "nothing before the first step");
        assert_eq!(write(&output, Some(&steps)), steps.join("a-red-apple-7-step-003.png"));
        assert_eq!(
            output.prepare_beside(None, "steps go", "--x=DIR").unwrap_err().exit_code(),
            crate::error::exit_code::USAGE
        );
    }

    #[test]
    fn several_pictures_get_a_name_each() {
        let folder = tempfile::tempdir().unwrap();
        let typed = format!("{}/a.png", folder.path().display());
        let output = Output::prepare_for(&OutputOptions { pictures: 2, batch: 2, ..options(&typed) }, true).unwrap();
        assert_eq!(write(&output, 0).path.unwrap(), folder.path().join("a-0.png"));
        assert_eq!(write(&output, 1).path.unwrap(), folder.path().join("a-1.png"));
    }

    #[test]
    fn standard_output_takes_one_picture_and_no_terminal() {
        assert!(Output::prepare_for(&options("-"), false).unwrap().is_stdout());
        let several = OutputOptions { pictures: 2, ..options("-") };
        for error in
            [Output::prepare_for(&options("-"), true).unwrap_err(), Output::prepare_for(&several, false).unwrap_err()]
        {
            assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
            assert!(error.hint().is_some());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_written_into_and_stays() {
        use std::os::unix::fs::FileTypeExt;
        let overwrite = OutputOptions { overwrite: true, pictures: 3, ..options("/dev/null") };
        let output = Output::prepare_for(&overwrite, true).unwrap();
        assert_eq!(write(&output, 2), Written { path: Some("/dev/null".into()), note: None });
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_with_its_hint() {
        let output = Output::prepare_for(&options("/dev/full"), true).unwrap();
        let error = output.write(b"png", &request(), "emoji", 0).unwrap_err();
        assert_eq!(error.exit_code(), crate::error::exit_code::FAILURE);
        assert!(error.hint().unwrap().contains("disk is full"), "{error}");
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        struct Closed(ErrorKind);
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        assert!(write_stream(&mut Closed(ErrorKind::BrokenPipe), b"png").is_ok());
        assert!(write_stream(&mut Closed(ErrorKind::StorageFull), b"png").is_err());
    }
}
