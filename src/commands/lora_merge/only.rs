//! Several LoRAs into one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use candle_core::{DType, Shape, Tensor};
use rayon::prelude::*;

use super::{tell, tell_merged, Ingredient};
use crate::cli::save::{FloatType, Layout};
use crate::cli::LoraMergeArgs;
use crate::commands::inspect::text;
use crate::commands::save::file::{self, Numbers};
use crate::commands::save::output::Output;
use crate::hub::{self, ModelFiles, Published};
use crate::image::Unfinished;
use crate::nn::ParamSource;
use crate::pipeline::{stack_loras, survey, Event, Events, Family, Phase};
use crate::request::Lora;
use crate::ui::{install_interrupt, Ui};
use crate::weights::lora::{self, Adapter, Fault, LoraError, Merged, Merger, SD35_LARGE_WIDTH};
use crate::weights::write::Format;
use crate::weights::WeightsError;
use crate::{Error, Result};

/// What kohya's scripts write for ranks that differ.
const DYNAMIC: &str = "Dynamic";
/// Words of the parts that hold for the result if all of them say the same.
const COMMON: [&str; 2] = ["ss_base_model_version", "modelspec.architecture"];

/// Merges LoRAs into one.
///
/// # Errors
/// As [`super::lora_merge`].
pub fn merge(args: &LoraMergeArgs, ui: &mut Ui) -> Result<()> {
    let start = Instant::now();
    args.check_lora_name()?;
    let model = args.model()?.map(|name| hub::resolve(&name, &args.bare.parts()?)).transpose()?;
    let ingredients = Ingredient::all(args, model.as_ref().and_then(ModelFiles::path))?;
    let output = Output { path: &args.output, layout: Layout::Single, overwrite: args.save.overwrite };
    output.check_apart(Ingredient::paths(&ingredients))?;
    output.check()?;
    let (components, family) = match &model {
        Some(files) => {
            let family = Family::detect(files)?;
            let parts = family.adaptable(files)?;
            (parts, (!files.is_built_in()).then(|| family.published()))
        }
        None => {
            let family = common_family(&ingredients)?;
            (names_of(published(family, &ingredients)?)?, Some(family))
        }
    };
    let loras: Vec<(&Lora, &Adapter)> =
        ingredients.iter().map(|ingredient| (&ingredient.planned.lora, &ingredient.adapter)).collect();
    let stack = stack_loras(components, family, &loras, args.strict, ui).map_err(|e| match e {
        Error::Lora(e @ LoraError::Module { fault: Fault::Shape { .. }, .. }) if model.is_none() => {
            Error::model(format!("{e}, which is the published one"), "give the model that it is for with `--model`")
        }
        e => e,
    })?;
    let merger = Merger::new(&stack, args.rank, model.is_some())?;
    if merger.count() == 0 {
        return Err(Error::usage("there is nothing to merge: all scales are 0", "give other scales: `style:0.8`"));
    }
    install_interrupt(ui);
    let made = Made::all(&merger, ui)?;
    ui.note(&made.summary(args.rank));
    let mut words = words(&ingredients, &made.ranks);
    tell_merged(&mut words, None, &ingredients);
    let numbers = Numbers { dtype: Some(dtype(args, &ingredients)), quantize: None };
    let source: Arc<dyn ParamSource> = Arc::new(made);
    let history = file::history(&source, numbers, None);
    let place = Unfinished::beside(&args.output);
    let report = file::write(place.path(), Format::Safetensors, &source, words, &history, numbers, ui)?;
    place.finish()?;
    tell(args, &report, &ingredients, start, ui);
    Ok(())
}

/// The published model that is like those that LoRAs of a family are for.
fn published(family: lora::Family, ingredients: &[Ingredient]) -> Result<Published> {
    Ok(match family {
        lora::Family::Sd1 => Published::Sd15,
        lora::Family::Sd2 => Published::Sd21,
        lora::Family::Sdxl => Published::Sdxl,
        lora::Family::Sd3 => Published::Sd3Medium,
        lora::Family::Sd35 => match ingredients.iter().find_map(|one| one.adapter.width_of_blocks()) {
            Some(SD35_LARGE_WIDTH) => Published::Sd35Large,
            Some(_) => Published::Sd35Medium,
            None => {
                let message = "which of SD 3.5 the LoRAs are for, medium or large, cannot be told from them";
                return Err(Error::model(message, "give a model that they are for with `--model`"));
            }
        },
        // Its layers are those of schnell too.
        lora::Family::Flux => Published::FluxDev,
    })
}

/// The names and shapes of a published model.
fn names_of(published: Published) -> Result<Vec<lora::Component>> {
    let files = hub::random(published);
    let parts = Family::detect(&files)?.adaptable(&files)?;
    for (component, source) in &parts {
        let config = files.text(&format!("{component}/config.json"))?;
        // Such weights learn their names and shapes from the network that wants them.
        let survey = survey(&config, None, source.clone())?;
        for (name, shape) in survey.into_iter().flat_map(|survey| survey.asked) {
            source.want(&name, &shape.into());
        }
    }
    Ok(parts)
}

/// The one family that all are for.
fn common_family(ingredients: &[Ingredient]) -> Result<lora::Family> {
    let known = || ingredients.iter().filter_map(|one| Some((&one.planned.name, one.adapter.family()?)));
    let Some((name, family)) = known().next() else {
        let message = "which family the LoRAs are for cannot be told from them";
        return Err(Error::model(message, "give a model that they are for with `--model`"));
    };
    match known().find(|(_, other)| *other != family) {
        Some((other, of)) => Err(Error::model(
            format!("`{name}` is for {}, and `{other}` for {}", family.label(), of.label()),
            "merge LoRAs of one family",
        )),
        None => Ok(family),
    }
}

/// The type that all of them fit into.
fn dtype(args: &LoraMergeArgs, ingredients: &[Ingredient]) -> DType {
    let stored: BTreeSet<String> = ingredients.iter().flat_map(|one| one.adapter.stored_types()).collect();
    let same = match stored.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["f16"] => DType::F16,
        ["bf16"] => DType::BF16,
        _ => DType::F32,
    };
    args.dtype.map_or(same, FloatType::dtype)
}

/// What kohya's scripts say of a network.
fn words(ingredients: &[Ingredient], ranks: &BTreeSet<usize>) -> BTreeMap<String, String> {
    let rank = match ranks.iter().collect::<Vec<_>>()[..] {
        [one] => one.to_string(),
        _ => DYNAMIC.into(),
    };
    let mut words = BTreeMap::from([
        ("ss_network_module".to_string(), "networks.lora".to_string()),
        ("ss_network_dim".into(), rank.clone()),
        ("ss_network_alpha".into(), rank),
    ]);
    for key in COMMON {
        let said: Option<BTreeSet<&String>> = ingredients.iter().map(|one| one.adapter.metadata().get(key)).collect();
        if let Some([one]) = said.map(|said| said.into_iter().collect::<Vec<_>>()).as_deref() {
            words.insert(key.into(), (*one).clone());
        }
    }
    words
}

/// The tensors of the result.
struct Made {
    tensors: BTreeMap<String, Tensor>,
    ranks: BTreeSet<usize>,
    /// Modules that are products of thin matrices.
    products: usize,
    /// Other changes.
    wholes: usize,
    /// The least share of a module's change that is kept.
    kept: f64,
}

impl Made {
    fn all(merger: &Merger<'_>, events: &mut dyn Events) -> Result<Self> {
        let start = Instant::now();
        let total = merger.count();
        events.on(Event::Begin { phase: Phase::Merge, total })?;
        let mut made = Made { tensors: BTreeMap::new(), ranks: BTreeSet::new(), products: 0, wholes: 0, kept: 1.0 };
        let some = rayon::current_num_threads();
        for first in (0..total).step_by(some) {
            let indices = first..total.min(first + some);
            let merged =
                indices.into_par_iter().map(|index| merger.merged(index)).collect::<Result<Vec<Merged>, _>>()?;
            events.on(Event::Progress { phase: Phase::Merge, done: total.min(first + some) })?;
            for module in merged {
                made.ranks.extend(module.rank);
                made.products += usize::from(module.rank.is_some());
                made.wholes += usize::from(module.rank.is_none());
                made.kept = made.kept.min(module.kept);
                made.tensors.extend(module.tensors);
            }
        }
        events.on(Event::End { phase: Phase::Merge, seconds: start.elapsed().as_secs_f64() })?;
        Ok(made)
    }

    fn summary(&self, rank: Option<usize>) -> String {
        let ranks = match (self.ranks.first(), self.ranks.last()) {
            (Some(low), Some(high)) if low == high => format!(", rank {low}"),
            (Some(low), Some(high)) => format!(", ranks {low} to {high}"),
            _ => String::new(),
        };
        let wholes = match self.wholes {
            0 => String::new(),
            wholes => format!(", {}", text::count(wholes, "whole difference")),
        };
        let kept = match rank {
            Some(_) => format!("; each module keeps at least {:.2} % of its change", self.kept * 100.0),
            None => String::new(),
        };
        format!("{}{ranks}{wholes}{kept}", text::count(self.products, "module"))
    }
}

impl ParamSource for Made {
    fn label(&self) -> String {
        "the merged LoRA".into()
    }

    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn info(&self, name: &str) -> Option<(Shape, DType)> {
        self.tensors.get(name).map(|tensor| (tensor.shape().clone(), tensor.dtype()))
    }

    fn read(&self, name: &str) -> Result<Tensor, WeightsError> {
        self.tensors.get(name).cloned().ok_or_else(|| WeightsError::BadTensor {
            file: self.label(),
            tensor: name.into(),
            reason: "it is not there".into(),
        })
    }
}
