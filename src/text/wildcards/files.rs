//! The files of `__name__`: `name.txt` in the wildcard folder, an entry a line; empty lines and lines with `#` in front are
//! left out. `__a/b__` is `b.txt` in the folder `a`. Nothing outside of the folder is read.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::files::read_small;
use crate::suggest;

/// Folders within folders that are searched for names.
const MAX_DEPTH: usize = 8;

/// A folder of wildcard files, each read once.
#[derive(Debug)]
pub struct WildcardFolder {
    path: PathBuf,
    read: HashMap<String, Arc<Vec<String>>>,
}

impl WildcardFolder {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        WildcardFolder { path, read: HashMap::new() }
    }

    /// The entries of a name, at least one.
    ///
    /// # Errors
    /// [`Error::Usage`] when the name leaves the folder, has no file or no entries, [`Error::Io`] when the file cannot be
    /// read.
    pub fn lines(&mut self, name: &str) -> Result<Arc<Vec<String>>> {
        if let Some(lines) = self.read.get(name) {
            return Ok(Arc::clone(lines));
        }
        let path = self.file(name)?;
        let text = read_small(&path).and_then(|bytes| {
            String::from_utf8(bytes).map_err(|_| std::io::Error::new(ErrorKind::InvalidData, "it is no UTF-8 text"))
        });
        let text = text.map_err(Error::io("read", path))?;
        let entries = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        let lines: Vec<String> =
            entries.filter(|line| !line.is_empty() && !line.starts_with('#')).map(String::from).collect();
        if lines.is_empty() {
            return Err(Error::usage(
                format!("the wildcard `__{name}__` has no lines"),
                "write an entry a line into it",
            ));
        }
        let lines = Arc::new(lines);
        self.read.insert(name.to_string(), Arc::clone(&lines));
        Ok(lines)
    }

    fn file(&self, name: &str) -> Result<PathBuf> {
        if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(climbs_out(name));
        }
        let root = self.path.canonicalize().map_err(Error::io("read", &self.path))?;
        let Ok(file) = root.join(format!("{name}.txt")).canonicalize() else {
            return Err(self.missing(name));
        };
        if !file.starts_with(&root) {
            return Err(climbs_out(name));
        }
        Ok(file)
    }

    fn missing(&self, name: &str) -> Error {
        let mut names = Vec::new();
        collect_names(&self.path, "", 0, &mut names);
        let hint = match suggest::nearest(name, names.iter().filter(|other| *other != name)) {
            Some(best) => format!("did you mean `__{best}__`?"),
            None => format!("write its entries into `{name}.txt` in the wildcard folder, or escape the underscores"),
        };
        Error::usage(format!("there is no wildcard `__{name}__`"), hint)
    }
}

fn climbs_out(name: &str) -> Error {
    Error::usage(format!("the wildcard `__{name}__` leaves the wildcard folder"), "name a file inside of it")
}

/// Names of all files below a folder; what cannot be read is left out, as they only serve a proposal.
fn collect_names(folder: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let file_name = entry.file_name();
        let Some(file_name) = file_name.to_str() else { continue };
        if let Some(stem) = file_name.strip_suffix(".txt") {
            names.push(format!("{prefix}{stem}"));
        } else if depth < MAX_DEPTH && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_names(&entry.path(), &format!("{prefix}{file_name}/"), depth + 1, names);
        }
    }
}
