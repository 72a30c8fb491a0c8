//! Which files of a repository are needed: configs, tokenizers, and each component's weights once.

use super::DownloadError;
use crate::hub::layout::WEIGHT_FILES;
use crate::Result;

/// Components that nothing here uses: a filter of pictures, and its input.
const UNUSED: &[&str] = &["safety_checker", "feature_extractor"];

/// The file that makes a folder a model.
pub const MODEL_INDEX: &str = "model_index.json";

/// The page of a repository, whose first lines name the licence.
const README: &str = "README.md";

/// Endings of single files that hold models.
const SINGLE: &[&str] = &[".safetensors", ".gguf", ".ckpt"];

/// Endings of small files that belong to a component: configs, vocabularies.
const SMALL: &[&str] = &[".json", ".txt", ".model"];

/// Files shown when there are several to choose from.
const SHOWN: usize = 20;

/// Which weights are wanted, where a repository holds several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// In half precision: half the bytes.
    Half,
    /// As published.
    Full,
}

/// The files of a model in diffusers' layout: of all `components` that its index names.
///
/// # Errors
/// When a network has no weights that are understood.
pub fn model(paths: &[&str], components: &[String], weights: Weights) -> Result<Vec<String>> {
    let mut selected = vec![MODEL_INDEX.to_string()];
    selected.extend(paths.contains(&README).then(|| README.to_string()));
    for component in components.iter().filter(|name| !UNUSED.contains(&name.as_str())) {
        selected.extend(part(paths, component, weights)?);
    }
    Ok(selected)
}

/// The files of a component in its folder, or of the component that the repository is (folder "").
///
/// # Errors
/// When it is a network without weights that are understood.
pub fn part(paths: &[&str], folder: &str, weights: Weights) -> Result<Vec<String>> {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let names: Vec<&str> =
        paths.iter().filter_map(|path| path.strip_prefix(&prefix)).filter(|name| !name.contains('/')).collect();
    let small = |name: &str| SMALL.iter().any(|end| name.ends_with(end)) && !name.contains(".index.");
    let mut selected: Vec<&str> =
        names.iter().copied().filter(|name| small(name) || prefix.is_empty() && *name == README).collect();
    match best(&names, weights) {
        Some(file) => {
            selected.push(file);
            selected.extend(shards(&names, file));
        }
        None if names.contains(&"config.json") && !folder.starts_with("tokenizer") => {
            let what = if folder.is_empty() { "the repository" } else { folder };
            return Err(DownloadError::Choice {
                what: format!("{what} has no weights that this version reads"),
                hint: "take another repository, one with .safetensors files".into(),
            }
            .into());
        }
        None => {}
    }
    Ok(selected.into_iter().map(|name| format!("{prefix}{name}")).collect())
}

/// The one file of a repository that is not a folder of parts.
///
/// # Errors
/// When there is none, or several.
pub fn single(repo: &str, paths: &[&str]) -> Result<String> {
    let models: Vec<&str> = paths.iter().copied().filter(|path| SINGLE.iter().any(|end| path.ends_with(end))).collect();
    match models.as_slice() {
        [one] => Ok((*one).into()),
        [] => Err(DownloadError::Choice {
            what: format!("`{repo}` holds no model that this version reads"),
            hint: format!("models end in {}", SINGLE.join(", ")),
        }
        .into()),
        [first, ..] => {
            let more = models.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!("\n... and {more} more") } else { String::new() };
            Err(DownloadError::Choice {
                what: format!("`{repo}` holds several models:\n{}{more}", models[..models.len().min(SHOWN)].join("\n")),
                hint: format!("name one: `sdgen download {repo}/{first}`"),
            }
            .into())
        }
    }
}

/// The best weights among a folder's files: of the wanted precision, safetensors before pickles.
fn best<'a>(names: &[&'a str], weights: Weights) -> Option<&'a str> {
    let known = WEIGHT_FILES.iter().filter_map(|file| names.iter().find(|name| *name == file).copied());
    known.min_by_key(|file| {
        let (half, pickle) = (file.contains(".fp16."), !file.contains(".safetensors"));
        match weights {
            Weights::Half => (pickle, !half),
            Weights::Full => (half, pickle),
        }
    })
}

/// The files that an index of shards stands for: `x-00001-of-00002.safetensors` for `x.safetensors.index.json`, and
/// `x.fp16-00001-of-00002.safetensors` for `x.safetensors.index.fp16.json`.
fn shards<'a>(names: &[&'a str], index: &str) -> Vec<&'a str> {
    let parts = index.split_once(".safetensors.index.").and_then(|(stem, end)| Some((stem, end.strip_suffix("json")?)));
    let Some((stem, variant)) = parts else { return Vec::new() };
    let stem = format!("{stem}.{variant}");
    let stem = stem.trim_end_matches('.');
    let is_shard = |name: &str| {
        let numbers = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(".safetensors"));
        numbers.and_then(|numbers| numbers.strip_prefix('-')).is_some_and(|numbers| {
            numbers.split_once("-of-").is_some_and(|(n, of)| [n, of].iter().all(|n| n.parse::<u32>().is_ok()))
        })
    };
    names.iter().copied().filter(|name| is_shard(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in the repository of SD 1.5, shortened.
    const SD15: &[&str] = &[
        ".gitattributes",
        "README.md",
        "v1-5-pruned-emaonly.ckpt",
        "v1-5-pruned-emaonly.safetensors",
        "model_index.json",
        "feature_extractor/preprocessor_config.json",
        "safety_checker/config.json",
        "safety_checker/model.safetensors",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.fp16.safetensors",
        "text_encoder/model.safetensors",
        "text_encoder/pytorch_model.bin",
        "tokenizer/merges.txt",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_flax_model.msgpack",
        "vae/diffusion_pytorch_model.safetensors",
        "vae/model.onnx",
    ];

    fn components() -> Vec<String> {
        ["feature_extractor", "safety_checker", "scheduler", "text_encoder", "tokenizer", "unet", "vae"]
            .map(String::from)
            .to_vec()
    }

    #[test]
    fn each_component_comes_once() {
        let small = [
            "README.md",
            "model_index.json",
            "scheduler/scheduler_config.json",
            "text_encoder/config.json",
            "tokenizer/merges.txt",
            "tokenizer/tokenizer_config.json",
            "tokenizer/vocab.json",
            "unet/config.json",
            "vae/config.json",
        ];
        for (weights, large) in [
            (
                Weights::Half,
                [
                    "text_encoder/model.fp16.safetensors",
                    "unet/diffusion_pytorch_model.fp16.safetensors",
                    "vae/diffusion_pytorch_model.safetensors",
                ],
            ),
            (
                Weights::Full,
                [
                    "text_encoder/model.safetensors",
                    "unet/diffusion_pytorch_model.safetensors",
                    "vae/diffusion_pytorch_model.safetensors",
                ],
            ),
        ] {
            let mut expected: Vec<&str> = small.iter().chain(&large).copied().collect();
            let mut selected = model(SD15, &components(), weights).unwrap();
            expected.sort_unstable();
            selected.sort_unstable();
            assert_eq!(selected, expected);
        }
    }

    #[test]
    fn full_precision_goes_before_the_format() {
        let paths = ["config.json", "pytorch_model.bin", "model.fp16.safetensors"];
        let chosen = |weights| part(&paths, "", weights).unwrap().pop().unwrap();
        assert_eq!(chosen(Weights::Half), "model.fp16.safetensors");
        assert_eq!(chosen(Weights::Full), "pytorch_model.bin");
    }

    #[test]
    fn shards_come_with_their_index() {
        let paths = [
            "t/config.json",
            "t/model-00001-of-00002.safetensors",
            "t/model-00002-of-00002.safetensors",
            "t/model.fp16-00001-of-00002.safetensors",
            "t/model.safetensors.index.json",
            "t/model-old.safetensors",
        ];
        let selected = part(&paths, "t", Weights::Half).unwrap();
        assert_eq!(
            selected,
            [
                "t/config.json",
                "t/model.safetensors.index.json",
                "t/model-00001-of-00002.safetensors",
                "t/model-00002-of-00002.safetensors"
            ]
        );
    }

    /// As Stable Diffusion 3 was published: T5 in both precisions, each in two files.
    #[test]
    fn shards_of_half_precision_have_an_index_of_their_own() {
        let paths = [
            "t/config.json",
            "t/model-00001-of-00002.safetensors",
            "t/model-00002-of-00002.safetensors",
            "t/model.fp16-00001-of-00002.safetensors",
            "t/model.fp16-00002-of-00002.safetensors",
            "t/model.safetensors.index.fp16.json",
            "t/model.safetensors.index.json",
        ];
        let selected = |weights| part(&paths, "t", weights).unwrap();
        assert_eq!(selected(Weights::Half), [paths[0], paths[5], paths[3], paths[4]]);
        assert_eq!(selected(Weights::Full), [paths[0], paths[6], paths[1], paths[2]]);
    }

    #[test]
    fn a_network_without_weights_is_said() {
        let error = part(&["unet/config.json", "unet/model.onnx"], "unet", Weights::Half).unwrap_err();
        assert!(error.to_string().contains("unet"), "{error}");
    }

    #[test]
    fn a_single_file_is_taken_only_when_it_is_the_only_one() {
        assert_eq!(single("a/b", &["README.md", "x.safetensors"]).unwrap(), "x.safetensors");
        let error = single("a/b", &["x.safetensors", "y.gguf"]).unwrap_err();
        assert!(error.to_string().contains("y.gguf") && error.hint().unwrap().contains("a/b/x.safetensors"));
        assert!(single("a/b", &["README.md"]).is_err());
    }
}
