//! What all commands do that make pictures: from a request to files. What differs between them is in the request. [`series`] is the
//! pictures of one prompt, [`stream`] those of a file of them ([`lines`]), [`grid`] all of
//! them in one picture, [`sheet`] a picture for each pair of settings, [`remarks`] what is said besides.

mod grid;
mod lines;
mod remarks;
mod series;
mod sheet;
mod stream;

use std::time::Instant;

use serde_json::{json, Value};

pub use self::sheet::sheet;

use self::series::Painter;
use super::studio::Tally;
use crate::cli::control::ControlArgs;
use crate::cli::PaintArgs;
use crate::image::{Output, OutputOptions, Work};
use crate::pipeline::{Machine, MemoryPlan, Plan};
use crate::ui::{install_interrupt, Ui};
use crate::{Error, Request, Result};

/// Makes the pictures that a request asks for; `control` is what was said about ControlNets where that can be said.
///
/// # Errors
/// [`Error::Usage`] before any work when something asked for is not possible; [`Error::Partial`] when only some of several
/// pictures could be made; otherwise what ended the work.
pub fn paint(request: &Request, args: &PaintArgs, control: Option<&ControlArgs>, ui: &mut Ui) -> Result<()> {
    remarks::check_wildcards(&args.prompt)?;
    let start = Instant::now();
    let Tally { made, there, missing } = match &args.prompt.prompt_file {
        Some(file) => stream::stream(request, file, (args, control), ui)?,
        None => single(request, (args, control), ui)?,
    };
    if there > 0 {
        ui.note(&format!("{there} of {} pictures were there already", made + there + missing));
    }
    if missing > 0 {
        return Err(Error::Partial { failed: missing, total: made + there + missing });
    }
    // A dry run counts what it planned.
    let written = if args.recipe.dry_run { 0 } else { made };
    ui.done(written, start.elapsed().as_secs_f64());
    Ok(())
}

/// The pictures of one prompt.
fn single(request: &Request, args: (&PaintArgs, Option<&ControlArgs>), ui: &mut Ui) -> Result<Tally> {
    let (paint, control) = args;
    let plan = series::first_plan(request, paint)?;
    if paint.recipe.dry_run {
        let machine = Machine::new(paint.compute.options())?;
        let planned = dry_run(&plan, &machine, ui);
        if ui.is_json() {
            tell_line(planned, ui);
        } else {
            let text = serde_json::to_string_pretty(&planned);
            ui.text(&text.map_err(|e| Error::usage(format!("the request is no JSON: {e}"), "report this"))?);
        }
        return Ok(Tally::default());
    }
    install_interrupt(ui);
    let output = output(paint, control, plan.batch(), Work::Pictures)?;
    let machine = Machine::new(paint.compute.options())?;
    remarks::introduce(&plan, &machine, paint, ui);
    remarks::of_plan(&plan, request, paint, ui);
    let mut painter = Painter::new(args, &output, machine, ui);
    painter.save_controls(&plan, None)?;
    painter.series(&plan, &request.prompt, None)?;
    painter.grid()?;
    let tally = painter.tally();
    tally.missing = paint.output.count * plan.batch() - tally.made - tally.there;
    Ok(*tally)
}

/// The place for pictures and for what comes with them, checked before any work.
fn output(args: &PaintArgs, control: Option<&ControlArgs>, batch: usize, work: Work) -> Result<Output> {
    let options = &args.output;
    let (template, overwrite, count) = (options.output.as_deref(), options.overwrite, options.count);
    let output = Output::prepare(&OutputOptions { template, overwrite, count, batch, work })?;
    if options.resume {
        output.check_lasting()?;
    }
    if options.grid.is_some() {
        output.check_files("--grid")?;
    }
    if let Some(folder) = &options.intermediates {
        output.prepare_beside(folder.as_deref(), "pictures of steps go", "--intermediates=DIR")?;
    }
    if let Some(folder) = control.and_then(|control| control.save_control.as_ref()) {
        output.prepare_beside(folder.as_deref(), "control maps go", "--save-control=DIR")?;
    }
    Ok(output)
}

/// The complete request and its schedule.
fn planned(plan: &Plan) -> Value {
    json!({
        "request": plan.request,
        "schedule": { "timesteps": plan.schedule.timesteps(), "sigmas": plan.schedule.sigmas() },
    })
}

/// The same with the memory that it takes, and what there is to say of it.
fn dry_run(plan: &Plan, machine: &Machine, ui: &mut Ui) -> Value {
    let memory =
        MemoryPlan::of(plan, machine).map_err(|e| ui.note(&format!("the memory that it takes is not known: {e}")));
    let mut planned = planned(plan);
    planned["memory"] = json!(memory.ok());
    planned["notes"] = plan.notes.clone().into();
    planned["warnings"] = plan.warnings.clone().into();
    planned
}

/// Tells the plan of a picture that is not made: a line of JSON, which with `--json` is an event.
fn tell_line(planned: Value, ui: &mut Ui) {
    if ui.is_json() {
        ui.event("plan", planned);
    } else {
        ui.data(&planned.to_string());
    }
}
