//! What all commands do that make pictures: from a request to files. What differs between them is in the request.

use std::path::Path;
use std::time::Instant;

use serde_json::json;

use super::studio::{Intermediates, Studio};
use crate::cli::control::ControlArgs;
use crate::cli::output::OutputArgs;
use crate::cli::prompt::PromptArgs;
use crate::cli::PaintArgs;
use crate::image::{encode, Output, OutputOptions};
use crate::pipeline::{self, Engine, Machine, Plan, Watch};
use crate::request::{Prompt, Weighting};
use crate::text::wildcards::Wildcards;
use crate::ui::{install_interrupt, Ui};
use crate::{Error, Request, Result};

/// Makes the pictures that a request asks for; `control` is what was said about ControlNets where that can be said.
///
/// # Errors
/// [`Error::Usage`] before any work when something asked for is not possible; [`Error::Partial`] when only some of several
/// pictures could be made; otherwise what ended the work.
pub fn paint(request: &Request, args: &PaintArgs, control: Option<&ControlArgs>, ui: &mut Ui) -> Result<()> {
    let start = Instant::now();
    check_wildcards(&args.prompt)?;
    let plan = first_plan(request, args)?;
    if args.recipe.dry_run {
        ui.data(&dry_run(&plan)?);
        return Ok(());
    }
    install_interrupt(ui.bar_handle());
    let count = args.output.count;
    let pictures = count * plan.batch();
    let output = Output::prepare(&OutputOptions {
        template: args.output.output.as_deref(),
        overwrite: args.output.overwrite,
        pictures,
        batch: plan.batch(),
    })?;
    let intermediates = intermediates(&args.output);
    if let Some(intermediates) = &intermediates {
        output.prepare_beside(intermediates.folder.as_deref(), "pictures of steps go", "--intermediates=DIR")?;
    }
    if let Some(folder) = control.and_then(|control| control.save_control.as_ref()) {
        save_controls(&plan, &output, folder.as_deref(), ui)?;
    }
    let machine = Machine::new(args.compute.options())?;
    introduce(&plan, &machine, args, ui);
    warn(&plan, &request.prompt, args, ui);

    let mut engine = Engine::new(machine);
    engine.strict_loras = args.lora.strict;
    let mut studio = Studio::new(ui, &output, args.output.metadata, intermediates, plan.files.name());
    let failed = series(&plan, &request.prompt, args, &mut engine, &mut studio)?;
    if failed > 0 {
        return Err(Error::Partial { failed: failed * plan.batch(), total: pictures });
    }
    ui.done(pictures, start.elapsed().as_secs_f64());
    Ok(())
}

/// Writes what the ControlNets are shown: once, since it is the same for all pictures of the series.
fn save_controls(plan: &Plan, output: &Output, folder: Option<&Path>, ui: &mut Ui) -> Result<()> {
    output.prepare_beside(folder, "control maps go", "--save-control=DIR")?;
    for (index, control) in plan.controls.iter().enumerate() {
        let what = if plan.controls.len() == 1 { "control".into() } else { format!("control-{index}") };
        let png = encode(&control.shown(), &[])?;
        let path = output.write_beside(&png, &plan.request, (&plan.files.name(), 0), &what, folder)?;
        ui.control_map(&path, index);
    }
    Ok(())
}

/// The plan of the first picture. Its seed decides what is drawn in the prompts, and they may decide the LoRAs.
fn first_plan(request: &Request, args: &PaintArgs) -> Result<Plan> {
    let mut first = request.clone();
    let seed = *first.sampling.seed.get_or_insert_with(pipeline::random_seed);
    draw(&mut first.prompt, &request.prompt, seed, args.prompt.wildcards.as_deref())?;
    Plan::new(&first)
}

/// The plan of a picture of the series: its seed, and the choices that it draws in `prompt`.
fn with_seed(first: &Plan, prompt: &Prompt, number: usize, wildcards: Option<&Path>) -> Result<Plan> {
    let mut plan = first.clone();
    let seed = first.request.sampling.seed.unwrap_or_default().wrapping_add(number as u64);
    plan.request.sampling.seed = Some(seed);
    draw(&mut plan.request.prompt, prompt, seed, wildcards)?;
    plan.find_loras()?;
    Ok(plan)
}

/// Gives `drawn` the texts of `prompt` with all choices made.
fn draw(drawn: &mut Prompt, prompt: &Prompt, seed: u64, wildcards: Option<&Path>) -> Result<()> {
    if prompt.weighting != Weighting::A1111 {
        return Ok(());
    }
    let mut draw = Wildcards::new(seed, wildcards.map(Path::to_path_buf));
    drawn.text = draw.resolve(&prompt.text)?;
    let others = [
        (&mut drawn.text_2, &prompt.text_2),
        (&mut drawn.negative, &prompt.negative),
        (&mut drawn.negative_2, &prompt.negative_2),
    ];
    for (drawn, text) in others {
        *drawn = text.as_ref().map(|text| draw.resolve(text)).transpose()?;
    }
    Ok(())
}

/// One picture after the other, each of its own seed. A broken picture does not end the series: its error is told at once, and
/// the number of failures returned. When there is no other picture, or all are broken, the last error is the result.
fn series(
    first: &Plan,
    prompt: &Prompt,
    args: &PaintArgs,
    engine: &mut Engine,
    studio: &mut Studio<'_>,
) -> Result<usize> {
    let watch = Watch { every: studio.every() };
    let count = args.output.count;
    let mut failed = 0;
    for number in 0..count {
        let plan = with_seed(first, prompt, number, args.prompt.wildcards.as_deref())?;
        let text = &plan.request.prompt.text;
        if *text != prompt.text {
            studio.ui().note(&format!("prompt: {text}"));
        }
        studio.begin(&plan.request);
        match pipeline::run(&plan, engine, watch, studio) {
            Err(e @ Error::BrokenPicture { .. }) => {
                failed += 1;
                if failed == count {
                    return Err(e);
                }
                studio.ui().error(&e);
            }
            result => result?,
        }
        studio.end();
    }
    Ok(failed)
}

/// A folder of wildcards that is not there is told even when no prompt asks for one.
fn check_wildcards(args: &PromptArgs) -> Result<()> {
    match &args.wildcards {
        Some(folder) if !folder.is_dir() => Err(Error::model(
            format!("there is no wildcard folder `{}`", folder.display()),
            "give a folder that holds `name.txt` for each `__name__`",
        )),
        _ => Ok(()),
    }
}

fn introduce(plan: &Plan, machine: &Machine, args: &PaintArgs, ui: &mut Ui) {
    let (width, height) = plan.size();
    if plan.files.is_built_in() && args.model.model.is_none() {
        ui.note(&format!("built-in {} model, {width}x{height}; `--model` for another", plan.files.name()));
    }
    plan.files.found().iter().for_each(|found| ui.note(found));
    if args.request_seed().is_none() {
        ui.note(&format!("seed {}", plan.request.sampling.seed.unwrap_or_default()));
    }
    if plan.request.prompt.text.is_empty() {
        ui.note("the prompt is empty: the model paints what it likes");
    }
    for note in &plan.notes {
        ui.note(note);
    }
    ui.note(&format!("computing on {} in {}", machine.device_name, machine.precision));
    ui.detail(&format!("timesteps: {}", join(plan.schedule.timesteps())));
}

/// What was asked for and will not happen.
fn warn(plan: &Plan, prompt: &Prompt, args: &PaintArgs, ui: &mut Ui) {
    match (&args.prompt.wildcards, prompt.weighting, Wildcards::named_in(&prompt.text)) {
        (None, Weighting::A1111, Some(name)) => {
            ui.warning(&format!("`__{name}__` stays as it is: no folder of wildcards is given with `--wildcards`"));
        }
        (Some(_), Weighting::None, _) => {
            ui.warning("the wildcards have no effect: with `--weighting none` the prompt is taken as it is");
        }
        _ => {}
    }
    if args.lora.strict && plan.loras.is_empty() {
        ui.warning("`--strict` has no effect: there is no LoRA");
    }
    if args.output.intermediates.is_some() && args.output.every.unwrap_or(1) >= plan.schedule.steps() {
        ui.warning(
            "`--intermediates` writes nothing: the first step that counts is the last, whose picture is the result",
        );
    }
}

fn intermediates(args: &OutputArgs) -> Option<Intermediates> {
    args.intermediates.clone().map(|folder| Intermediates { folder, every: args.every.unwrap_or(1) })
}

/// The complete request and its schedule, as JSON.
fn dry_run(plan: &Plan) -> Result<String> {
    let value = json!({
        "request": plan.request,
        "schedule": { "timesteps": plan.schedule.timesteps(), "sigmas": plan.schedule.sigmas() },
        "notes": plan.notes,
        "warnings": plan.warnings,
    });
    serde_json::to_string_pretty(&value)
        .map_err(|e| Error::usage(format!("the request is no JSON: {e}"), "report this"))
}

fn join(numbers: &[f64]) -> String {
    numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(", ")
}
