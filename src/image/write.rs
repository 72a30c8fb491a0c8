//! Where pictures go: a template of names, standard output, or a device.

use std::fs;
use std::io::IsTerminal;
use std::path::{is_separator, Path, PathBuf};

use super::atomic::{
    check_can_create, check_writable, folder_of, is_stream, taken_names, write_atomic, write_into, write_stream,
    Collision,
};
use super::made::is_picture_of;
use super::template::{Number, Siblings, Stamp, Template};
use crate::request::Request;
use crate::{Error, Result};

/// The name of pictures when none is given.
const DEFAULT_NAME: &str = "{prompt}-{seed}.png";

/// The same for the lines of a file: sorted by name they are in its order.
const DEFAULT_NAME_OF_LINES: &str = "{line:04}-{prompt}-{seed}.png";

/// The same for a picture of many settings.
const DEFAULT_NAME_OF_SHEETS: &str = "{prompt}-{seed}-sheet.png";

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Pictures of one prompt.
    Pictures,
    /// Pictures for each line of a file.
    Lines,
    /// One picture of many settings.
    Sheet,
}

impl Work {
    fn default_name(self) -> &'static str {
        match self {
            Work::Pictures => DEFAULT_NAME,
            Work::Lines => DEFAULT_NAME_OF_LINES,
            Work::Sheet => DEFAULT_NAME_OF_SHEETS,
        }
    }
}

/// What the user said about output, and what is to come.
#[derive(Debug, Clone, Copy)]
pub struct OutputOptions<'a> {
    /// A template, a folder, `-`, or nothing.
    pub template: Option<&'a str>,
    /// Whether an existing file is replaced.
    pub overwrite: bool,
    /// Pictures made one after the other.
    pub count: usize,
    /// Pictures that share a seed.
    pub batch: usize,
    /// What they are; those of lines are so many for each.
    pub work: Work,
}

impl OutputOptions<'_> {
    /// For one picture.
    #[must_use]
    pub fn single(template: Option<&str>, overwrite: bool) -> OutputOptions<'_> {
        OutputOptions { template, overwrite, count: 1, batch: 1, work: Work::Pictures }
    }
}

/// A place for pictures, checked before the work that makes them.
#[derive(Debug)]
pub struct Output {
    target: Target,
    collision: Collision,
    stamp: Stamp,
    count: usize,
    work: Work,
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
        let OutputOptions { template, overwrite, count, batch, work } = *options;
        let lines = work == Work::Lines;
        let target = match template {
            Some(name) if is_stdout(name) => {
                let pictures = if lines { None } else { Some(count * batch) };
                stdout(pictures, stdout_is_terminal)?
            }
            Some(path) if is_stream(Path::new(path)) => Target::Stream(path.into()),
            typed => {
                let template = Template::parse(&with_file_name(typed, work.default_name()))?;
                if template.names_lines() && !lines {
                    let hint = "leave it out, or give the prompts in a file: `--prompt-file`";
                    return Err(Error::usage("there are no lines for `{line}` in the output name to count", hint));
                }
                check_writable(&template.fixed_folder())?;
                Target::Files(template)
            }
        };
        let collision = if overwrite { Collision::Replace } else { Collision::NextFree };
        Ok(Output { target, collision, stamp: Stamp::now(), count, work })
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

    /// Fails unless pictures go into files, which `option` needs.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check_files(&self, option: &str) -> Result<()> {
        match &self.target {
            Target::Files(_) => Ok(()),
            Target::Stdout | Target::Stream(_) => {
                let message = format!("`{option}` needs pictures in files, and none are written");
                Err(Error::usage(message, "give `--output` a file, a folder or a template"))
            }
        }
    }

    /// Writes a PNG that shows all pictures, named after the first of them. Returns its path.
    ///
    /// # Errors
    /// When it cannot be written; nothing half-written stays behind.
    pub fn write_grid(&self, png: &[u8], first: &Path) -> Result<PathBuf> {
        let stem = first.file_stem().unwrap_or_default().to_string_lossy();
        write_atomic(&first.with_file_name(format!("{stem}-grid.png")), png, self.collision)
    }

    /// Fails where a later run could not find the pictures of this one.
    ///
    /// # Errors
    /// [`Error::Usage`] when they do not go into files, or the files' names tell the time.
    pub fn check_lasting(&self) -> Result<()> {
        self.check_files("--resume")?;
        if matches!(&self.target, Target::Files(template) if template.names_time()) {
            let message =
                "`--resume` would find no picture of an earlier run: `{date}` and `{time}` are others each time";
            return Err(Error::usage(message, "give `--output` names without them, such as `{prompt}-{seed}.png`"));
        }
        Ok(())
    }

    /// The file of picture `batch_index` that an earlier run has made, whole, of the same `request`: under the name that it would
    /// get, or one of those that are taken when that is. `stored` is the request [as pictures have it](super::stored).
    #[must_use]
    pub fn find(
        &self,
        request: &Request,
        stored: &Request,
        batch_index: usize,
        (model, number): (&str, Number),
    ) -> Option<PathBuf> {
        let Target::Files(template) = &self.target else { return None };
        let path = self.path(template, request, model, number);
        let found = taken_names(&path).find(|name| is_picture_of(name, stored, batch_index));
        found
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
        (model, number): (&str, Number),
        what: &str,
        folder: Option<&Path>,
    ) -> Result<PathBuf> {
        let picture = match &self.target {
            Target::Files(template) => self.path(template, request, model, number),
            Target::Stdout | Target::Stream(_) => {
                self.path(&Template::parse(self.work.default_name())?, request, model, number)
            }
        };
        let folder = folder.unwrap_or_else(|| folder_of(&picture));
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let stem = picture.file_stem().unwrap_or_default().to_string_lossy();
        write_atomic(&folder.join(format!("{stem}-{what}.png")), png, self.collision)
    }

    /// Writes a finished PNG. `request` is complete; `model` is what the model is called.
    ///
    /// # Errors
    /// When it cannot be written; nothing half-written stays behind.
    pub fn write(&self, png: &[u8], request: &Request, model: &str, number: Number) -> Result<Written> {
        match &self.target {
            Target::Stdout => {
                write_stream(&mut std::io::stdout().lock(), png).map_err(Error::io("write to", "standard output"))?;
                Ok(Written { path: None, note: None })
            }
            Target::Stream(path) => {
                write_into(path, png)?;
                Ok(Written { path: Some(path.clone()), note: None })
            }
            Target::Files(template) => {
                let path = self.path(template, request, model, number);
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

    fn path(&self, template: &Template, request: &Request, model: &str, number: Number) -> PathBuf {
        let batch = request.image.batch.unwrap_or(1);
        let siblings = Siblings { pictures: self.count * batch, batch, lines: self.work == Work::Lines };
        template.for_siblings(siblings).render(request, model, number, &self.stamp)
    }
}

/// Standard output, for so many pictures; nobody knows how many when they are those of a file.
fn stdout(pictures: Option<usize>, is_terminal: bool) -> Result<Target> {
    if pictures != Some(1) {
        let pictures = pictures.map_or("pictures of many prompts".into(), |pictures| format!("{pictures} pictures"));
        let message = format!("{pictures} do not fit into standard output");
        return Err(Error::usage(message, "make one picture, or give a folder instead of `-`"));
    }
    if is_terminal {
        let message = "standard output is a terminal, which shows no PNG";
        return Err(Error::usage(message, "redirect it (`-o - > picture.png`), or give a file name instead of `-`"));
    }
    Ok(Target::Stdout)
}

/// Whether a name on the command line is that of standard output: `-`, or what the system calls it. By that name it may be a file,
/// where a shell sends it into one, and would be given up for another.
#[must_use]
pub fn is_stdout(name: impl AsRef<Path>) -> bool {
    let (name, others) = (name.as_ref(), ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]);
    name == Path::new("-") || (cfg!(unix) && others.iter().any(|other| name == Path::new(other)))
}

/// What was typed, with the default name added to a folder.
fn with_file_name(typed: Option<&str>, default_name: &str) -> String {
    match typed {
        None => default_name.into(),
        // A folder that exists is no template: its braces are its own.
        Some(folder) if Path::new(folder).is_dir() => {
            format!("{}/{default_name}", folder.trim_end_matches(is_separator).replace('{', "{{").replace('}', "}}"))
        }
        Some(folder) if folder.ends_with(is_separator) => format!("{folder}{default_name}"),
        Some(template) => template.into(),
    }
}

fn renamed(wanted: &Path, written: &Path) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!("`{}` exists; the picture is `{}` (`--overwrite` replaces)", name(wanted), name(written))
}

#[cfg(test)]
mod tests;
