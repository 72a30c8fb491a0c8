//! LoRAs by name, as prompts name them (`<lora:name:0.8>`): found in the folders that the user gives, beside the model, among the short
//! names and in the cache of repositories.

use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::locate::locate;
use super::registry::{self, Kind};
use super::settings::Settings;
use super::RepoId;
use crate::{suggest, weights, Error, Result};

/// Endings of LoRAs' files, best first.
const ENDINGS: [&str; 4] = ["safetensors", "pt", "ckpt", "bin"];
/// Folders beside models in which other programs keep LoRAs.
const BESIDE: [&str; 3] = ["loras", "Lora", "lora"];
/// What diffusers and PEFT call a LoRA's file in its folder.
const IN_FOLDERS: [&str; 4] =
    ["pytorch_lora_weights.safetensors", "adapter_model.safetensors", "pytorch_lora_weights.bin", "adapter_model.bin"];
/// Folders within folders that are looked into.
const DEEPEST: usize = 6;
/// Names that a hint lists.
const MOST_NAMES: usize = 5;
/// What trainers store as a LoRA's name, which A1111 takes before that of the file.
const OWN_NAME: &str = "ss_output_name";

/// The places in which LoRAs are looked for.
#[derive(Debug)]
pub struct Shelves {
    folders: Vec<PathBuf>,
    settings: Settings,
}

impl Shelves {
    /// The folders that the user gives, and those beside a model, a file or folder: `loras` and `Lora` in its own folder and in the two
    /// above, which is where A1111 and ComfyUI have them.
    ///
    /// # Errors
    /// [`Error::Model`] when a folder that is given is none.
    pub fn new(given: &[String], model: Option<&Path>, settings: Settings) -> Result<Self> {
        let mut folders: Vec<PathBuf> = given.iter().map(PathBuf::from).collect();
        if let Some(folder) = folders.iter().find(|folder| !folder.is_dir()) {
            let message = format!("there is no folder `{}` to look for LoRAs in", folder.display());
            return Err(Error::model(message, "give a folder with `--lora-dir` that holds files of LoRAs"));
        }
        let model = model.and_then(|model| std::path::absolute(model).ok());
        for above in model.iter().flat_map(|model| model.ancestors().take(3)) {
            let beside = BESIDE.iter().map(|name| above.join(name)).filter(|folder| folder.is_dir());
            folders.extend(beside);
        }
        Ok(Shelves { folders, settings })
    }

    /// The file of a LoRA that is given: a file itself, the one in a folder, or one that is named; and whether it was given by its path.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn find_given(&self, given: &str) -> Result<(PathBuf, bool)> {
        let path = Path::new(given);
        if path.is_dir() {
            let inside = IN_FOLDERS.iter().map(|name| path.join(name)).find(|file| file.is_file());
            let message = || format!("the folder `{given}` holds no LoRA");
            let hint = "give a file, or a folder with pytorch_lora_weights.safetensors or adapter_model.safetensors";
            return inside.map(|file| (file, true)).ok_or_else(|| Error::model(message(), hint));
        }
        // A link whose target is gone is a path that was meant.
        if path.symlink_metadata().is_ok() {
            return Ok((path.into(), true));
        }
        Ok((self.find(given)?, false))
    }

    /// The file of a LoRA that is named.
    ///
    /// # Errors
    /// [`Error::Model`] with names that are near and where it was looked for, or with what fetches it.
    pub fn find(&self, name: &str) -> Result<PathBuf> {
        let shelves: Vec<Vec<Lora>> = self.folders.iter().map(|folder| all_in(folder)).collect();
        for matches in MATCHES {
            for shelf in &shelves {
                let found: Vec<&Lora> = shelf.iter().filter(|lora| matches(lora, name)).collect();
                if let Some(one) = only(name, &found)? {
                    return Ok(one.path.clone());
                }
            }
        }
        if registry::by_alias(name).is_some_and(|entry| entry.kind == Kind::Lora) {
            return locate(name, &self.settings);
        }
        let repo = RepoId::parse(name).ok();
        repo.and_then(|id| self.in_repo(&id)).ok_or_else(|| self.unknown(name, &shelves))
    }

    /// The LoRA of a repository in the cache: the file that is named, diffusers' usual one, or the only one.
    fn in_repo(&self, id: &RepoId) -> Option<PathBuf> {
        let folder = Cache::new(&self.settings.cache).repo(&id.name).snapshot(&id.revision)?;
        if let Some(file) = &id.file {
            return Some(folder.join(file)).filter(|path| path.is_file());
        }
        let usual = IN_FOLDERS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        usual.or_else(|| match all_in(&folder).as_slice() {
            [one] => Some(one.path.clone()),
            _ => None,
        })
    }

    fn unknown(&self, name: &str, shelves: &[Vec<Lora>]) -> Error {
        let aliases = registry::all().iter().filter(|entry| entry.kind == Kind::Lora).map(|entry| entry.alias.as_str());
        let known = shelves.iter().flatten().map(|lora| lora.stem.as_str()).chain(aliases);
        let mut near = suggest::near(name, known);
        near.dedup();
        let near: Vec<String> = near.iter().take(MOST_NAMES).map(|name| format!("`{name}`")).collect();
        let meant = if near.is_empty() { String::new() } else { format!("did you mean {}? ", near.join(" or ")) };
        let folders: Vec<String> = self.folders.iter().map(|folder| format!("`{}`", folder.display())).collect();
        let folders = if folders.is_empty() { String::new() } else { format!("{} and ", folders.join(", ")) };
        let places = format!("looked in {folders}the cache of downloaded models");
        let message = format!("there is no LoRA `{name}`");
        Error::model(message, format!("{meant}{places}; give its folder with `--lora-dir`, or its file with `--lora`"))
    }
}

/// A file that may be one.
struct Lora {
    path: PathBuf,
    /// Its name without its ending.
    stem: String,
    /// Its path below the folder, without its ending.
    inside: String,
}

/// Ways in which a name is a LoRA's, the surest first: its file's name, the same in another case, the name in its file.
const MATCHES: [fn(&Lora, &str) -> bool; 3] = [
    |lora, name| lora.is_called(|known| known == name),
    |lora, name| lora.is_called(|known| known.to_lowercase() == name.to_lowercase()),
    |lora, name| lora.own_name().as_deref() == Some(name),
];

impl Lora {
    fn is_called(&self, same: impl Fn(&str) -> bool) -> bool {
        let file = self.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        same(&self.stem) || same(&self.inside) || same(&file)
    }

    /// What its file says that it is called. A file that cannot be read has no name.
    fn own_name(&self) -> Option<String> {
        weights::open_file(&self.path).ok()?.metadata.remove(OWN_NAME)
    }

    fn rank(&self) -> usize {
        let is = |ending: &&str| self.path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending));
        ENDINGS.iter().position(is).unwrap_or(ENDINGS.len())
    }
}

/// The one that is meant: of files that differ in their ending alone the best.
fn only<'a>(name: &str, found: &[&'a Lora]) -> Result<Option<&'a Lora>> {
    let Some(best) = found.iter().min_by_key(|lora| lora.rank()) else { return Ok(None) };
    match found.iter().find(|lora| lora.inside != best.inside) {
        Some(other) => Err(Error::model(
            format!("`{name}` is the name of two LoRAs: `{}` and `{}`", best.path.display(), other.path.display()),
            format!("name the folder too: `{}`", best.inside),
        )),
        None => Ok(Some(best)),
    }
}

/// All files in a folder that may be LoRAs, and in the folders within, by their names. What cannot be read is not there.
fn all_in(folder: &Path) -> Vec<Lora> {
    let mut all = Vec::new();
    let mut waiting = vec![(folder.to_path_buf(), 0)];
    while let Some((current, depth)) = waiting.pop() {
        for path in std::fs::read_dir(&current).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let is_lora = path.extension().is_some_and(|e| ENDINGS.iter().any(|ending| e.eq_ignore_ascii_case(ending)));
            if is_lora && path.is_file() {
                let inside = path.strip_prefix(folder).unwrap_or(&path).with_extension("");
                // As prompts write it, on every system.
                let inside = inside.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
                let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                all.push(Lora { path, stem, inside });
            } else if depth < DEEPEST && path.is_dir() {
                waiting.push((path, depth + 1));
            }
        }
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn shelves(given: &Path) -> Shelves {
        let cache = given.join("cache").into_os_string();
        let settings = Settings::of(|name| (name == "HF_HUB_CACHE").then(|| cache.clone()), None);
        Shelves::new(&[given.join("loras").to_str().unwrap().into()], None, settings).unwrap()
    }

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        folder
    }

    #[test]
    fn names_are_those_of_files() {
        let files = ["a.safetensors", "a.pt", "sub/b_v1.0.safetensors", "sub/c.pt", "c2/c.safetensors", "d.txt"];
        let place = folder(&files.map(|file| format!("loras/{file}")).each_ref().map(String::as_str));
        let shelves = shelves(place.path());
        let found = |name: &str| {
            let path = shelves.find(name)?;
            Ok::<_, Error>(path.strip_prefix(place.path().join("loras")).unwrap().to_str().unwrap().to_string())
        };
        assert_eq!(found("a").unwrap(), "a.safetensors");
        assert_eq!(found("a.pt").unwrap(), "a.pt");
        assert_eq!(found("B_V1.0").unwrap(), "sub/b_v1.0.safetensors");
        assert_eq!(found("sub/c").unwrap(), "sub/c.pt");
        let two = found("c").unwrap_err();
        assert!(two.to_string().contains("two LoRAs") && two.hint().unwrap().contains("c2/c"), "{two}");
        let unknown = found("b_v1").unwrap_err();
        assert_eq!(unknown.exit_code(), crate::error::exit_code::MODEL);
        let hint = unknown.hint().unwrap();
        assert!(hint.contains("did you mean `b_v1.0`?") && hint.contains("loras`"), "{hint}");
        assert!(found("d").is_err());
    }

    #[test]
    fn folders_of_diffusers_and_peft_hold_one_lora() {
        for name in IN_FOLDERS {
            let place = folder(&[&format!("loras/{name}"), "loras/optimizer.bin"]);
            let given = place.path().join("loras");
            let (path, is_path) = shelves(place.path()).find_given(given.to_str().unwrap()).unwrap();
            assert!(path == given.join(name) && is_path, "{}", path.display());
        }
    }

    #[test]
    fn names_in_files_count_too() {
        let place = folder(&["loras/x/y.txt"]);
        let plain = fs::read(crate::testing::fixture("metadata/plain.safetensors")).unwrap();
        let length = u64::from_le_bytes(plain[..8].try_into().unwrap()) as usize;
        let header = String::from_utf8_lossy(&plain[8..8 + length]).trim_end().to_string();
        let named = header.replacen('{', r#"{"__metadata__":{"ss_output_name":"Own Name"},"#, 1);
        let file = [&(named.len() as u64).to_le_bytes(), named.as_bytes(), &plain[8 + length..]].concat();
        fs::write(place.path().join("loras/file.safetensors"), file).unwrap();
        assert!(shelves(place.path()).find("Own Name").unwrap().ends_with("file.safetensors"));
    }

    #[test]
    fn repositories_and_short_names_are_found_in_the_cache() {
        let of = |repo: &str, file: &str| format!("cache/models--{}/snapshots/c0/{file}", repo.replace('/', "--"));
        let (lcm, other) = ("latent-consistency/lcm-lora-sdv1-5", "some/style");
        let files = [of(lcm, IN_FOLDERS[0]), of(other, "only.safetensors"), "loras/x.txt".into()];
        let place = folder(&files.each_ref().map(String::as_str));
        for repo in [lcm, other] {
            let refs = place.path().join(format!("cache/models--{}/refs", repo.replace('/', "--")));
            fs::create_dir_all(&refs).unwrap();
            fs::write(refs.join("main"), "c0").unwrap();
        }
        let shelves = shelves(place.path());
        assert!(shelves.find("lcm-lora-sd15").unwrap().ends_with(IN_FOLDERS[0]));
        assert!(shelves.find(lcm).unwrap().ends_with(IN_FOLDERS[0]));
        assert!(shelves.find(other).unwrap().ends_with("only.safetensors"));
        assert!(shelves.find("some/style/only.safetensors").is_ok());
        let missing = shelves.find("lcm-lora-sdxl").unwrap_err();
        assert!(missing.hint().unwrap().contains("sdgen download lcm-lora-sdxl"), "{missing}");
        assert!(shelves.find("some/style@other").is_err());
    }
}
