//! The table of all settings.
//! An option that is to be set by files, presets and variables needs a line here and a row in `docs/config.md`.

use super::setting::{setting, switch, Kind, Section, Setting};
use Kind::{Loras, Number, Off, Optional, Path, Paths, Switch, Text, Texts};
use Section::{Compute, Control, General, Image, Model, Output, Prompt, Sampling};

/// The setting of an option.
#[must_use]
pub fn by_option(option: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.option == option)
}

/// All settings, in the order of the help.
pub static SETTINGS: &[Setting] = &[
    setting(Model, "model", Path).key_is("path"),
    setting(Model, "unet", Path).of("model"),
    setting(Model, "vae", Path).of("model"),
    setting(Model, "clip-l", Path).of("model"),
    setting(Model, "clip-g", Path).of("model"),
    setting(Model, "t5", Path).of("model").rival("no-t5"),
    switch(Model, "no-t5", Switch, "with-t5").of("model").rival("t5"),
    setting(Model, "config", Path).of("model"),
    setting(Model, "prediction", Text).of("model"),
    switch(Model, "ema", Switch, "no-ema").of("model"),
    setting(Model, "lora", Loras).key_is("loras"),
    setting(Model, "lora-dir", Paths).key_is("lora_dirs"),
    setting(Model, "lora-blocks", Texts).of("lora"),
    switch(Model, "strict", Switch, "no-strict").key_is("strict_loras"),
    setting(Prompt, "prompt", Text).key_is("text").rival("prompt-file"),
    setting(Prompt, "prompt-file", Path).key_is("file").rival("prompt").local(),
    setting(Prompt, "shard", Text).of("prompt-file").local(),
    setting(Prompt, "prompt-prefix", Text).key_is("prefix"),
    setting(Prompt, "prompt-suffix", Text).key_is("suffix"),
    setting(Prompt, "prompt-2", Text).key_is("text_2").of("prompt"),
    setting(Prompt, "negative-prompt", Text).key_is("negative"),
    setting(Prompt, "negative-prompt-2", Text).key_is("negative_2").of("negative-prompt"),
    setting(Prompt, "clip-skip", Number),
    setting(Prompt, "weighting", Text),
    setting(Prompt, "long-prompt", Text),
    setting(Prompt, "embedding", Paths).key_is("embeddings"),
    setting(Prompt, "max-tokens", Number),
    setting(Prompt, "wildcards", Path),
    setting(Prompt, "redux", Texts),
    setting(Prompt, "redux-model", Path).of("redux"),
    setting(Sampling, "steps", Number),
    setting(Sampling, "guidance", Number),
    setting(Sampling, "true-cfg", Number),
    setting(Sampling, "skip-layers", Text),
    setting(Sampling, "skip-layer-scale", Number).of("skip-layers"),
    setting(Sampling, "skip-layer-start", Number).of("skip-layers"),
    setting(Sampling, "skip-layer-stop", Number).of("skip-layers"),
    setting(Sampling, "guidance-rescale", Number),
    setting(Sampling, "scheduler", Text).key_is("sampler"),
    setting(Sampling, "sigmas", Text).key_is("schedule").of("scheduler"),
    setting(Sampling, "eta", Number).of("scheduler"),
    setting(Sampling, "seed", Number),
    setting(Sampling, "rng", Text),
    setting(Sampling, "strength", Number),
    setting(Image, "width", Number),
    setting(Image, "height", Number),
    setting(Image, "original-size", Text),
    setting(Image, "crop", Text),
    setting(Image, "image", Path).key_is("input"),
    setting(Image, "resize", Text),
    setting(Image, "alpha", Text),
    switch(Image, "no-auto-resize", Off, "auto-resize"),
    setting(Image, "mask", Path),
    switch(Image, "invert-mask", Switch, "no-invert-mask"),
    setting(Image, "mask-grow", Number),
    setting(Image, "mask-blur", Number),
    switch(Image, "soft-mask", Switch, "no-soft-mask"),
    switch(Image, "only-masked", Optional, "no-only-masked"),
    setting(Image, "extend", Text),
    setting(Image, "fill", Text),
    switch(Image, "no-paste-back", Off, "paste-back"),
    setting(Control, "control", Texts).key_is("nets"),
    setting(Control, "preprocessor", Text),
    setting(Control, "control-mode", Text).key_is("mode").rival("guess-mode"),
    switch(Control, "guess-mode", Switch, "no-guess-mode").rival("control-mode"),
    switch(Control, "save-control", Optional, "no-save-control").key_is("save"),
    setting(Output, "output", Text).key_is("template"),
    setting(Output, "count", Number),
    setting(Output, "batch", Number),
    switch(Output, "grid", Optional, "no-grid"),
    switch(Output, "intermediates", Optional, "no-intermediates"),
    setting(Output, "every", Number).of("intermediates"),
    switch(Output, "preview", Optional, "no-preview").local(),
    setting(Output, "preview-method", Text).of("preview").local(),
    setting(Output, "taesd", Path).of("preview").local(),
    setting(Output, "metadata", Text),
    switch(Output, "overwrite", Switch, "no-overwrite").rival("resume"),
    switch(Output, "resume", Switch, "no-resume").rival("overwrite"),
    setting(Compute, "device", Text).local(),
    setting(Compute, "dtype", Text),
    setting(Compute, "threads", Number).local(),
    setting(Compute, "vae-tiling", Text),
    setting(Compute, "attention", Text),
    switch(Compute, "low-memory", Switch, "no-low-memory"),
    setting(Compute, "quantize", Text),
    switch(General, "quiet", Switch, "no-quiet").rival("verbose").local(),
    switch(General, "verbose", Switch, "no-verbose").rival("quiet").local(),
    switch(General, "json", Switch, "no-json").local(),
    setting(General, "color", Text).local(),
    switch(General, "no-progress", Off, "progress").local(),
    switch(General, "offline", Switch, "no-offline").local(),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_one_settings_alone() {
        let (mut variables, mut keys) = (HashSet::new(), HashSet::new());
        for setting in SETTINGS {
            assert!(variables.insert(setting.variable()), "{}", setting.variable());
            for key in HashSet::from([
                setting.name(),
                format!("{}.{}", setting.section.name(), setting.option.replace('-', "_")),
            ]) {
                assert!(keys.insert(key.clone()), "{key}");
            }
            for other in setting.of.iter().chain(&setting.rival) {
                assert!(by_option(other).is_some(), "{other}");
            }
        }
    }

    #[test]
    fn the_documents_list_them() {
        let row = |s: &Setting| format!("| `{}` | `--{}` | `{}` |\n", s.name(), s.option, s.variable());
        let rows = SETTINGS.iter().map(row).collect::<Vec<_>>().concat();
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md");
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(&rows), "docs/config.md needs these rows:\n{rows}");
    }

    #[test]
    fn names_follow_from_options() {
        let named = |option| by_option(option).map(|s| (s.name(), s.variable(), s.undo)).unwrap();
        assert_eq!(named("steps"), ("sampling.steps".into(), "SDGEN_STEPS".into(), None));
        assert_eq!(named("clip-skip"), ("prompt.clip_skip".into(), "SDGEN_CLIP_SKIP".into(), None));
        assert_eq!(named("ema"), ("model.ema".into(), "SDGEN_EMA".into(), Some("no-ema")));
        let off = ("image.paste_back".into(), "SDGEN_PASTE_BACK".into(), Some("paste-back"));
        assert_eq!(named("no-paste-back"), off);
        assert!(by_option("scheduler").unwrap().is_called("scheduler"));
    }
}
