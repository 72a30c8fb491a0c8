//! What is said before pictures are made.

use crate::cli::prompt::PromptArgs;
use crate::cli::PaintArgs;
use crate::pipeline::{Machine, Plan};
use crate::request::Weighting;
use crate::text::wildcards::Wildcards;
use crate::ui::Ui;
use crate::{Error, Request, Result};

/// A folder of wildcards that is not there is told even when no prompt asks for one.
///
/// # Errors
/// [`Error::Model`] when it is not there.
pub fn check_wildcards(args: &PromptArgs) -> Result<()> {
    match &args.wildcards {
        Some(folder) if !folder.is_dir() => Err(Error::model(
            format!("there is no wildcard folder `{}`", folder.display()),
            "give a folder that holds `name.txt` for each `__name__`",
        )),
        _ => Ok(()),
    }
}

/// Once a run: what paints, on what, and what was asked for and will not happen.
pub fn introduce(plan: &Plan, machine: &Machine, args: &PaintArgs, ui: &mut Ui) {
    let (width, height) = plan.size();
    if plan.files.is_built_in() && args.model.model.is_none() {
        ui.note(&format!("built-in {} model, {width}x{height}; `--model` for another", plan.files.name()));
    }
    plan.files.found().iter().for_each(|found| ui.note(found));
    machine.notes().for_each(|note| ui.note(&note));
    if args.prompt.wildcards.is_some() && plan.request.prompt.weighting == Weighting::None {
        ui.warning("the wildcards have no effect: with `--weighting none` the prompt is taken as it is");
    }
    if args.output.intermediates.is_some() && args.output.every.unwrap_or(1) >= plan.schedule.steps() {
        ui.warning(
            "`--intermediates` writes nothing: the first step that counts is the last, whose picture is the result",
        );
    }
}

/// Of each request, as it was `asked` for: what was chosen for it, and what of it will not happen.
pub fn of_plan(plan: &Plan, asked: &Request, args: &PaintArgs, ui: &mut Ui) {
    if asked.sampling.seed.is_none() {
        ui.note(&format!("seed {}", plan.request.sampling.seed.unwrap_or_default()));
    }
    if plan.request.prompt.text.is_empty() && plan.redux.is_none() {
        ui.note("the prompt is empty: the model paints what it likes");
    }
    for note in &plan.notes {
        ui.note(note);
    }
    ui.detail(&format!("timesteps: {}", join(plan.schedule.timesteps())));
    let prompt = &asked.prompt;
    let others = [&prompt.text_2, &prompt.negative, &prompt.negative_2].into_iter().flatten();
    let named = std::iter::once(&prompt.text).chain(others).find_map(|text| Wildcards::named_in(text));
    if let (None, Weighting::A1111, Some(name)) = (&args.prompt.wildcards, prompt.weighting, named) {
        ui.warning(&format!("`__{name}__` stays as it is: no folder of wildcards is given with `--wildcards`"));
    }
    if args.lora.strict && plan.loras.is_empty() {
        ui.warning("`--strict` has no effect: there is no LoRA");
    }
}

fn join(numbers: &[f64]) -> String {
    numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(", ")
}
