//! An axis of a sheet: a setting and the values that it takes.

use super::sampling::{SchedulerChoice, Seed};
use super::values;
use crate::image::model_label;
use crate::request::limits;
use crate::sampling::SigmaSpacing;
use crate::{suggest, Error, Request, Result};

/// What `--x` and `--y` know.
const NAMES: &[&str] = &[
    "steps",
    "guidance",
    "guidance-rescale",
    "true-cfg",
    "seed",
    "scheduler",
    "sigmas",
    "eta",
    "strength",
    "clip-skip",
    "lora-scale",
    "lora:NAME",
    "prompt",
    "negative-prompt",
    "model",
    "size",
];

/// The most values of an axis.
const MOST_VALUES: usize = 100;

/// A setting and its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// As typed, without the values.
    pub name: String,
    values: Vec<(String, Change)>,
}

/// What a value does to a request.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    Steps(usize),
    Guidance(f64),
    GuidanceRescale(f64),
    TrueCfg(f64),
    Seed(u64),
    Scheduler(SchedulerChoice),
    Sigmas(SigmaSpacing),
    Eta(f64),
    Strength(f64),
    ClipSkip(usize),
    /// Of one LoRA, or of all.
    LoraScale(Option<String>, f64),
    /// A part of the prompts, and what stands in its place.
    Prompt(String, String),
    Negative(String),
    Model(String),
    Size(usize, usize),
}

impl Axis {
    /// What stands beside a row or above a column.
    #[must_use]
    pub fn labels(&self) -> Vec<String> {
        self.values.iter().map(|(label, _)| format!("{}: {label}", self.name)).collect()
    }

    /// The values as they are shown.
    #[must_use]
    pub fn shown(&self) -> Vec<&str> {
        self.values.iter().map(|(label, _)| label.as_str()).collect()
    }

    /// Whether another value wants other weights.
    #[must_use]
    pub fn changes_weights(&self) -> bool {
        self.values.iter().any(|(_, change)| matches!(change, Change::LoraScale(..) | Change::Model(_)))
    }

    /// Gives a request value `index` of the axis.
    ///
    /// # Errors
    /// [`Error::Usage`] when the request has nothing that it could change.
    pub fn apply(&self, index: usize, request: &mut Request) -> Result<()> {
        let sampling = &mut request.sampling;
        match self.values.get(index).map(|(_, change)| change) {
            Some(Change::Steps(steps)) => sampling.steps = Some(*steps),
            Some(Change::Guidance(scale)) => sampling.guidance = Some(*scale),
            Some(Change::GuidanceRescale(by)) => sampling.guidance_rescale = Some(*by),
            Some(Change::TrueCfg(scale)) => sampling.true_cfg = Some(*scale),
            Some(Change::Seed(seed)) => sampling.seed = Some(*seed),
            Some(Change::Scheduler(choice)) => {
                sampling.scheduler = Some(choice.sampler);
                sampling.sigmas = choice.sigmas.or(sampling.sigmas);
            }
            Some(Change::Sigmas(sigmas)) => sampling.sigmas = Some(*sigmas),
            Some(Change::Eta(eta)) => sampling.eta = Some(*eta),
            Some(Change::Strength(strength)) => match &mut request.input {
                Some(input) => input.strength = Some(*strength),
                None => return Err(nothing("strength", "say which picture to begin with: `--image photo.jpg`")),
            },
            Some(Change::ClipSkip(skip)) => request.prompt.clip_skip = Some(*skip),
            Some(Change::LoraScale(name, scale)) => scale_loras(request, name.as_deref(), *scale)?,
            Some(Change::Prompt(from, to)) => replace(request, from, to)?,
            Some(Change::Negative(text)) => request.prompt.negative = Some(text.clone()),
            Some(Change::Model(model)) => request.model.clone_from(model),
            Some(Change::Size(width, height)) => {
                (request.image.width, request.image.height) = (Some(*width), Some(*height));
            }
            None => {}
        }
        Ok(())
    }
}

fn nothing(axis: &str, hint: &str) -> Error {
    Error::usage(format!("there is nothing for the axis `{axis}` to change"), hint)
}

fn scale_loras(request: &mut Request, name: Option<&str>, scale: f64) -> Result<()> {
    let label = |file: &str| model_label(file).trim_end_matches(".safetensors").to_owned();
    let known: Vec<String> = request.loras.iter().map(|lora| label(&lora.file)).collect();
    let mut meant = known.iter().map(|label| name.is_none_or(|name| name.trim_end_matches(".safetensors") == label));
    let mut found = false;
    for lora in &mut request.loras {
        if meant.next() == Some(true) {
            (lora.scale, lora.text_scale, found) = (scale, None, true);
        }
    }
    if found {
        return Ok(());
    }
    let hint = if known.is_empty() { "add `--lora FILE`".into() } else { format!("one of: {}", known.join(", ")) };
    Err(nothing(&name.map_or("lora-scale".into(), |name| format!("lora:{name}")), &hint))
}

fn replace(request: &mut Request, from: &str, to: &str) -> Result<()> {
    let prompt = &mut request.prompt;
    let others = [&mut prompt.text_2, &mut prompt.negative, &mut prompt.negative_2].into_iter().flatten();
    let mut found = false;
    for text in std::iter::once(&mut prompt.text).chain(others) {
        found |= text.contains(from);
        *text = text.replace(from, to);
    }
    if found {
        return Ok(());
    }
    let message = format!("no prompt has `{from}` for the axis `prompt` to replace");
    Err(Error::usage(message, "give what stands in the prompt first: `prompt=cat,dog,bird` for \"a cat\""))
}

/// Reads `AXIS=VALUES`.
///
/// # Errors
/// [`Error::Usage`] for an axis that is none, or a value that its option would refuse.
pub fn parse(text: &str) -> Result<Axis> {
    let form = || format!("give AXIS=VALUE,VALUE,..., as in `steps=10,20,30`; axes: {}", NAMES.join(", "));
    let (name, values) = text.split_once('=').ok_or_else(|| Error::usage(format!("`{text}` is no axis"), form()))?;
    let (name, texts) = (name.trim(), split(values)?);
    if texts.iter().any(String::is_empty) && !matches!(name, "prompt" | "negative-prompt") {
        return Err(Error::usage(format!("an axis `{name}` with an empty value"), form()));
    }
    let values = match name {
        "steps" => numbers(texts, |s| values::whole(s, limits::STEPS).map(Change::Steps)),
        "guidance" => numbers(texts, |s| values::decimal(s, limits::GUIDANCE).map(Change::Guidance)),
        "guidance-rescale" => numbers(texts, |s| values::decimal(s, limits::FRACTION).map(Change::GuidanceRescale)),
        "true-cfg" => numbers(texts, |s| values::decimal(s, limits::LED_AWAY).map(Change::TrueCfg)),
        "seed" => numbers(texts, seed),
        "scheduler" => each(texts, |s| values::scheduler(s).map(Change::Scheduler)),
        "sigmas" => each(texts, |s| values::name(s).map(Change::Sigmas)),
        "eta" => numbers(texts, |s| values::decimal(s, limits::FRACTION).map(Change::Eta)),
        "strength" => numbers(texts, |s| values::strength(s).map(Change::Strength)),
        "clip-skip" => numbers(texts, |s| values::whole(s, 1..=32).map(Change::ClipSkip)),
        "lora-scale" => numbers(texts, |s| lora_scale(None, s)),
        "prompt" => prompts(texts),
        "negative-prompt" => each(texts, |s| Ok(Change::Negative(s.into()))),
        // No label names a folder: labels are stored in the sheet.
        "model" => Ok(texts.into_iter().map(|text| (model_label(&text), Change::Model(text))).collect()),
        "size" => each(texts, size),
        other => match other.strip_prefix("lora:").filter(|lora| !lora.is_empty()) {
            Some(lora) => numbers(texts, |s| lora_scale(Some(lora.into()), s)),
            None => {
                let near = suggest::nearest(other, NAMES).map(|name| format!("did you mean `{name}`?"));
                Err(Error::usage(format!("unknown axis `{other}`"), near.unwrap_or_else(form)))
            }
        },
    }?;
    if values.len() > MOST_VALUES {
        let message = format!("{} values are too many for an axis", values.len());
        return Err(Error::usage(message, format!("give up to {MOST_VALUES}")));
    }
    Ok(Axis { name: name.into(), values })
}

fn seed(text: &str) -> Result<Change> {
    match values::seed(text)? {
        Seed::Fixed(seed) => Ok(Change::Seed(seed)),
        Seed::Random => Err(Error::usage("`random` is no seed to compare", "give numbers, as in `seed=1..4`")),
    }
}

fn lora_scale(name: Option<String>, text: &str) -> Result<Change> {
    values::decimal(text, limits::LORA_SCALE).map(|scale| Change::LoraScale(name, scale))
}

fn size(text: &str) -> Result<Change> {
    let form = || Error::usage(format!("`{text}` is no size"), "give width and height, as in `512x768`");
    let (width, height) = text.split_once(['x', 'X']).ok_or_else(form)?;
    Ok(Change::Size(values::side(width)?, values::side(height)?))
}

/// As A1111's "Prompt S/R": the first is what stands in the prompt, and each takes its place in turn; or `OLD->NEW` for each.
fn prompts(texts: Vec<String>) -> Result<Vec<(String, Change)>> {
    let first = texts.first().cloned().unwrap_or_default();
    let pair = |text: &String| match text.split_once("->") {
        Some((from, to)) => (from.trim().to_owned(), to.trim().to_owned()),
        None => (first.clone(), text.clone()),
    };
    let changes = texts.iter().map(pair).map(|(from, to)| (to.clone(), Change::Prompt(from, to)));
    let changes: Vec<_> = changes.collect();
    if changes.iter().any(|(_, change)| matches!(change, Change::Prompt(from, _) if from.is_empty())) {
        let message = "the axis `prompt` does not say what to replace";
        return Err(Error::usage(message, "as in `prompt=cat,dog,bird`, or `prompt=cat->dog,red->blue`"));
    }
    Ok(changes)
}

fn each(texts: Vec<String>, change: impl Fn(&str) -> Result<Change>) -> Result<Vec<(String, Change)>> {
    texts.into_iter().map(|text| change(&text).map(|change| (text, change))).collect()
}

fn numbers(texts: Vec<String>, change: impl Fn(&str) -> Result<Change>) -> Result<Vec<(String, Change)>> {
    let mut all = Vec::new();
    for text in texts {
        match text.split_once("..") {
            Some((from, to)) => all.extend(range(&text, from, to)?),
            None => all.push(text),
        }
    }
    each(all, change)
}

/// `10..30/5`, or `1..4` with a step of 1.
fn range(text: &str, from: &str, to: &str) -> Result<Vec<String>> {
    let form = || Error::usage(format!("`{text}` is no range"), "give FROM..TO/STEP, as in `10..30/5`");
    let (to, step) = to.split_once('/').unwrap_or((to, "1"));
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|x| x.is_finite());
    let [from, to, step] = [from, to, step].map(number);
    let (Some(from), Some(to), Some(step)) = (from, to, step) else { return Err(form()) };
    // Rounding must not lose the end.
    let gaps = ((to - from) / step + 1e-9).floor();
    if step <= 0.0 || gaps < 0.0 {
        return Err(form());
    }
    if gaps >= MOST_VALUES as f64 {
        return Err(Error::usage(format!("`{text}` has too many values"), format!("give up to {MOST_VALUES}")));
    }
    // Nine digits: without them 0.1 + 0.2 would be shown as it is.
    Ok((0..=gaps as usize).map(|i| (((from + i as f64 * step) * 1e9).round() / 1e9).to_string()).collect())
}

/// The texts between commas; one with commas stands in quotes.
fn split(text: &str) -> Result<Vec<String>> {
    let (mut texts, mut current, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => current.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => texts.push(std::mem::take(&mut current)),
            c => current.push(c),
        }
    }
    if quoted {
        return Err(Error::usage(format!("`{text}` has a quote without its partner"), r#"write `""` for a quote"#));
    }
    texts.push(current);
    Ok(texts.into_iter().map(|text| text.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests;
