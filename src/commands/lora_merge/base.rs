//! LoRAs into a model: a folder part by part, a single file under its own names.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use candle_core::DType;

use super::{tell, tell_merged, Ingredient};
use crate::cli::save::{FloatType, Layout};
use crate::cli::LoraMergeArgs;
use crate::commands::save::file::{self, Numbers, Report};
use crate::commands::save::output::Output;
use crate::commands::save::{folder, single, Model};
use crate::hub::{self, ModelFiles};
use crate::image::Unfinished;
use crate::nn::ParamSource;
use crate::pipeline::{stack_loras, Family};
use crate::request::{Lora, BUILT_IN_MODEL};
use crate::ui::{install_interrupt, Ui};
use crate::weights::detect::{self, Component, Detected, Part};
use crate::weights::lora::{self, Adapter, Stack, Sums};
use crate::weights::names::{Renamed, Restored};
use crate::weights::write::Format;
use crate::weights::{self, WeightFile};
use crate::{Error, Result};

/// Merges LoRAs into a model.
///
/// # Errors
/// As [`super::lora_merge`].
pub fn merge(args: &LoraMergeArgs, ui: &mut Ui) -> Result<()> {
    let start = Instant::now();
    let name = args.model()?.unwrap_or_else(|| BUILT_IN_MODEL.into());
    let base = Base::open(&name, args)?;
    let ingredients = Ingredient::all(args, base.path())?;
    let output = Output {
        path: &args.output,
        layout: args.save.layout.unwrap_or(base.layout()),
        overwrite: args.save.overwrite,
    };
    output.check_apart(base.path().map(PathBuf::from).into_iter().chain(Ingredient::paths(&ingredients)))?;
    let format = output.check()?;
    let work = Work { args, ingredients: &ingredients, numbers: base.numbers(args, ui) };
    install_interrupt(ui);
    let place = Unfinished::beside(&args.output);
    let report = match (base, format) {
        (Base::File { file, detected, .. }, Some(format)) => {
            work.in_place(place.path(), format, &file, &detected, ui)?
        }
        (Base::File { path, .. }, None) => {
            let files = hub::resolve(&path.to_string_lossy(), &args.bare.parts()?)?;
            work.by_parts(place.path(), None, &files, ui)?
        }
        (Base::Files(files), format) => work.by_parts(place.path(), format, &files, ui)?,
    };
    place.finish()?;
    tell(args, &report, &ingredients, start, ui);
    Ok(())
}

/// The model as it was given.
enum Base {
    /// A file, with what was found in it.
    File { path: PathBuf, file: WeightFile, detected: Box<Detected> },
    /// Anything else in the layout of diffusers.
    Files(Box<ModelFiles>),
}

impl Base {
    /// A file need not be a whole model: LoRAs change what it has.
    fn open(name: &str, args: &LoraMergeArgs) -> Result<Self> {
        let path = if Path::new(name).is_file() {
            PathBuf::from(name)
        } else {
            let files = hub::resolve(name, &args.bare.parts()?)?;
            match files.file() {
                Some(path) => path.into(),
                None => return Ok(Base::Files(Box::new(files))),
            }
        };
        let (file, detected) = detect::detect(&path)?;
        Ok(Base::File { path, file, detected: Box::new(detected) })
    }

    fn layout(&self) -> Layout {
        match self {
            Base::File { .. } => Layout::Single,
            Base::Files(_) => Layout::Diffusers,
        }
    }

    /// The file or folder that it is.
    fn path(&self) -> Option<&Path> {
        match self {
            Base::File { path, .. } => Some(path),
            Base::Files(files) => files.folder(),
        }
    }

    /// The types of the result's numbers: those of the model. Of quantised ones there is no exact sum, so that they are not kept.
    fn numbers(&self, args: &LoraMergeArgs, ui: &mut Ui) -> Numbers {
        let asked = args.dtype.map(FloatType::dtype);
        let quantised = match self {
            Base::File { detected, .. } => detected.stored.iter().find(|kind| weights::Kind::is_quantised(kind)),
            Base::Files(_) => None,
        };
        if let (Some(kind), None) = (quantised, asked) {
            ui.note(&format!(
                "the model's numbers are quantised ({kind}): written as f16, `--dtype` gives another type"
            ));
        }
        Numbers { dtype: asked.or(quantised.map(|_| DType::F16)), quantize: None }
    }
}

/// What is merged how.
struct Work<'a> {
    args: &'a LoraMergeArgs,
    ingredients: &'a [Ingredient],
    numbers: Numbers,
}

impl Work<'_> {
    /// The LoRAs on the components of a model.
    fn stack(&self, components: Vec<lora::Component>, family: Option<lora::Family>, ui: &mut Ui) -> Result<Stack> {
        let loras: Vec<(&Lora, &Adapter)> =
            self.ingredients.iter().map(|ingredient| (&ingredient.planned.lora, &ingredient.adapter)).collect();
        stack_loras(components, family, &loras, self.args.strict, ui)
    }

    /// A single file under its own names.
    fn in_place(
        &self,
        path: &Path,
        format: Format,
        input: &WeightFile,
        detected: &Detected,
        ui: &mut Ui,
    ) -> Result<Report> {
        let place = |part: &Part| Some((place(part.component, detected.family)?, part.view(&input.source)));
        let parts: Vec<(&'static str, Renamed)> = detected.parts.iter().filter_map(place).collect();
        if parts.is_empty() {
            let message =
                format!("`{}` is nothing to merge a LoRA into: it is {}", input.source.label(), detected.title());
            return Err(Error::model(message, "give a model of Stable Diffusion or FLUX.1 with `--model`"));
        }
        if detected.averaged {
            ui.note("the averaged weights (EMA) in the file are left as they are");
        }
        let views: Vec<(&'static str, Arc<Renamed>)> =
            parts.into_iter().map(|(name, view)| (name, Arc::new(view))).collect();
        let components = views.iter().map(|(name, view)| (*name, view.clone() as Arc<dyn ParamSource>)).collect();
        let stack = self.stack(components, lora::Family::of_model(detected), ui)?;
        let changed = changed(&stack);
        let adapted = stack.into_components(self.sums());
        let mut restored = Restored::new(input.source.clone());
        for ((component, view), (_, source)) in views.iter().zip(&adapted) {
            restored.add(view, source, |name| changed[component].contains(name));
        }
        let mut words = input.metadata.clone();
        let stem = path_stem(&input.source.label());
        tell_merged(&mut words, Some(&stem), self.ingredients);
        let source: Arc<dyn ParamSource> = Arc::new(restored);
        let history = file::history(&source, self.numbers, None);
        file::write(path, format, &source, words, &history, self.numbers, ui)
    }

    /// The type of the sums: where another than the stored one is written, they are rounded once, to that.
    fn sums(&self) -> Sums {
        if self.numbers.dtype.is_some() {
            Sums::F32
        } else {
            Sums::Stored
        }
    }

    /// A model in the layout of diffusers, as a folder, or as one file of this format.
    fn by_parts(&self, path: &Path, format: Option<Format>, files: &ModelFiles, ui: &mut Ui) -> Result<Report> {
        let family = Family::detect(files)?;
        let components = family.adaptable(files)?;
        let published = (!files.is_built_in()).then(|| family.published());
        let stack = self.stack(components, published, ui)?;
        let changed = changed(&stack);
        let adapted: HashMap<&str, Arc<dyn ParamSource>> = stack.into_components(self.sums()).into_iter().collect();
        let name = files.name();
        let model = Model {
            files,
            change: &|part, source| adapted.get(part).cloned().unwrap_or(source),
            tell: &|part, words| {
                if format.is_some() || changed.get(part).is_some_and(|names| !names.is_empty()) {
                    tell_merged(words, Some(&name), self.ingredients);
                }
            },
        };
        match format {
            Some(format) => single::write(path, format, &model, self.numbers, ui),
            None => folder::write(path, &model, self.numbers, ui),
        }
    }
}

/// The tensors of each component that are changed.
fn changed(stack: &Stack) -> BTreeMap<&'static str, HashSet<String>> {
    stack.components().iter().map(|(component, _)| (*component, stack.changed(component))).collect()
}

/// What diffusers calls a component that LoRAs change, in a model of this family.
fn place(component: Component, family: Option<detect::Family>) -> Option<&'static str> {
    match component {
        Component::Unet => Some("unet"),
        Component::Transformer => Some("transformer"),
        Component::T5 if family == Some(detect::Family::Sd3) => Some("text_encoder_3"),
        Component::T5 => Some("text_encoder_2"),
        Component::ClipL | Component::ClipH => Some("text_encoder"),
        Component::ClipG => Some("text_encoder_2"),
        Component::Vae | Component::ControlNet | Component::Adapter => None,
    }
}

fn path_stem(path: &str) -> String {
    Path::new(path).file_stem().map_or_else(|| path.into(), |stem| stem.to_string_lossy().into_owned())
}
