//! The settings: what they are called in files, which option they are, and so which variable.

use std::borrow::Cow;

/// What a value of a setting is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text, a name.
    Text,
    /// A number, or a word that stands for one.
    Number,
    /// A file or folder, or the name of one; `./`, `../` and `~/` are read as seen from the file with the setting.
    Path,
    /// True or false.
    Switch,
    /// True or false, for an option that turns off.
    Off,
    /// True, false, or the value of an option that can do without.
    Optional,
    /// Texts.
    Texts,
    /// Files or folders.
    Paths,
    /// LoRAs: `"file:0.8"`, or tables with `path`, `weight` and `text_weight`.
    Loras,
}

/// The tables of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Which model paints, and what changes it.
    Model,
    /// What to paint.
    Prompt,
    /// How to get from noise to the picture.
    Sampling,
    /// The picture's size, and pictures that come in.
    Image,
    /// ControlNets.
    Control,
    /// Where pictures go.
    Output,
    /// On what the work is done.
    Compute,
    /// What the program says.
    General,
}

impl Section {
    /// All of them.
    pub const ALL: [Section; 8] = [
        Section::Model,
        Section::Prompt,
        Section::Sampling,
        Section::Image,
        Section::Control,
        Section::Output,
        Section::Compute,
        Section::General,
    ];

    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Section::Model => "model",
            Section::Prompt => "prompt",
            Section::Sampling => "sampling",
            Section::Image => "image",
            Section::Control => "control",
            Section::Output => "output",
            Section::Compute => "compute",
            Section::General => "general",
        }
    }
}

/// A setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its table in files.
    pub section: Section,
    /// The option that it is, without dashes: where it lands in the request or the machine's options is what the option does.
    pub option: &'static str,
    /// Its key in files, where that is not the option's name with underscores.
    key: Option<&'static str>,
    /// What a value is.
    pub kind: Kind,
    /// The setting about which it says more. Where a file gives both, it is given up with it.
    pub of: Option<&'static str>,
    /// The setting that says otherwise: one that comes from nearer ends this one.
    pub rival: Option<&'static str>,
    /// The option that takes a switch back, without dashes.
    pub undo: Option<&'static str>,
    /// Whether it is about this machine or terminal, and has no place in a preset.
    pub local: bool,
}

const fn setting(section: Section, option: &'static str, kind: Kind) -> Setting {
    Setting { section, option, key: None, kind, of: None, rival: None, undo: None, local: false }
}

const fn switch(section: Section, option: &'static str, kind: Kind, undo: &'static str) -> Setting {
    Setting { undo: Some(undo), ..setting(section, option, kind) }
}

impl Setting {
    const fn key_is(self, key: &'static str) -> Self {
        Setting { key: Some(key), ..self }
    }

    const fn of(self, of: &'static str) -> Self {
        Setting { of: Some(of), ..self }
    }

    const fn rival(self, rival: &'static str) -> Self {
        Setting { rival: Some(rival), ..self }
    }

    const fn local(self) -> Self {
        Setting { local: true, ..self }
    }

    /// Its key in files.
    #[must_use]
    pub fn key(&self) -> Cow<'static, str> {
        self.key.map_or_else(|| self.positive().replace('-', "_").into(), Cow::Borrowed)
    }

    /// The option, or for one that turns off, what it turns off.
    fn positive(&self) -> &'static str {
        match (self.kind, self.undo) {
            (Kind::Off, Some(undo)) => undo,
            _ => self.option,
        }
    }

    /// Its name: section and key.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.section.name(), self.key())
    }

    /// Whether a file may call it so: by its key, or by the option's name.
    #[must_use]
    pub fn is_called(&self, key: &str) -> bool {
        self.key() == key || (self.kind != Kind::Off && self.option.replace('-', "_") == key)
    }

    /// Its variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("SDGEN_{}", self.positive().to_uppercase().replace('-', "_"))
    }

    /// Whether it takes several values.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self.kind, Kind::Texts | Kind::Paths | Kind::Loras)
    }
}

/// The setting of an option.
#[must_use]
pub fn by_option(option: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.option == option)
}

use Kind::{Loras, Number, Off, Optional, Path, Paths, Switch, Text, Texts};
use Section::{Compute, Control, General, Image, Model, Output, Prompt, Sampling};

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
        let row = |s: &Setting| {
            format!(
                "| `{}` | `--{}` | `{}` |
",
                s.name(),
                s.option,
                s.variable()
            )
        };
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
