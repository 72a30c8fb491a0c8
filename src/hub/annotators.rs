//! The weights of the networks that make control maps, where they are on this machine: in the cache ([`Annotators`]), or where the
//! user says ([`AnnotatorFiles`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::locate::not_fetched;
use super::registry;
use super::settings::Settings;
use super::{in_cache, RepoId};
use crate::control::{Network, Networks};
use crate::nn::ParamSource;
use crate::{weights, Error, Result};

/// Annotators that `sdgen download` or Python fetched.
pub struct Annotators;

impl Networks for Annotators {
    fn open(&self, network: Network) -> Result<Arc<dyn ParamSource>> {
        let entry = registry::by_alias(network.alias())
            .ok_or_else(|| Error::model(format!("`{}` has no place", network.alias()), "name it with `--weights`"))?;
        let settings = Settings::from_env();
        let place =
            |repo: &str, file: &&str| in_cache(&RepoId { file: Some((*file).into()), ..RepoId::of(repo) }, &settings);
        // A mirror in another layout has other files: any pair will do.
        let path = entry.repos().find_map(|repo| network.files().iter().find_map(|file| place(repo, file)));
        Ok(weights::open(&path.ok_or_else(|| not_fetched(entry, network.alias()))?)?)
    }
}

/// Annotators in a folder, under the names they were published with, or one in a file.
pub struct AnnotatorFiles(pub PathBuf);

impl Networks for AnnotatorFiles {
    fn open(&self, network: Network) -> Result<Arc<dyn ParamSource>> {
        Ok(weights::open(&self.path(network)?)?)
    }
}

impl AnnotatorFiles {
    fn path(&self, network: Network) -> Result<PathBuf> {
        if !self.0.is_dir() {
            return Ok(self.0.clone());
        }
        let here = |folder: &Path| network.files().iter().map(|file| folder.join(file)).find(|path| path.is_file());
        here(&self.0).ok_or_else(|| {
            let files = network.files().join("` or `");
            Error::model(
                format!("there is no `{files}` in `{}`", self.0.display()),
                format!(
                    "`sdgen download {}` fetches it into the cache, where it is found without `--weights`",
                    network.alias()
                ),
            )
        })
    }
}
