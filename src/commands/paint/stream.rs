//! The pictures of a file of prompts, line by line as they come.

use std::path::Path;

use serde_json::Value;

use super::lines::{Content, Line, Lines};
use super::series::{first_plan, Painter};
use super::{dry_run, output, remarks, tell_line};
use crate::cli::control::ControlArgs;
use crate::cli::shard::{Shard, ShardArg};
use crate::cli::PaintArgs;
use crate::commands::studio::Tally;
use crate::error::exit_code;
use crate::image::Work;
use crate::pipeline::{Machine, Plan};
use crate::ui::{install_interrupt, Ui};
use crate::{Error, Request, Result};

/// Makes the pictures of each line of a file, which is laid over `base`. A line that fails is told with its number, and the others
/// go on. Of shards, the lines go round; names do not depend on them.
///
/// # Errors
/// What no line could mend: a base that cannot be planned, a file that cannot be read, pictures that cannot be written.
pub fn stream(base: &Request, file: &Path, args: (&PaintArgs, Option<&ControlArgs>), ui: &mut Ui) -> Result<Tally> {
    let (paint, control) = args;
    let mut lines = Lines::open(file)?;
    check_inputs(base)?;
    let plan = Plan::new(base)?;
    let shard = paint.prompt.shard.map(|shard| shard.of(|name| std::env::var(name).ok())).transpose()?;
    if paint.recipe.dry_run {
        return dry_runs(base, &mut lines, shard, paint, ui);
    }
    install_interrupt(ui);
    let output = output(paint, control, plan.batch(), Work::Lines)?;
    let machine = Machine::new(paint.compute.options())?;
    remarks::introduce(&plan, &machine, paint, ui);
    if let (Some(shard), Some(ShardArg::Auto)) = (shard, paint.prompt.shard) {
        ui.note(&format!("shard {shard} of the lines"));
    }
    let mut painter = Painter::new(args, &output, machine, ui);
    let mut asked = 0;
    for_each_line(base, &mut lines, (shard, paint), |line, request| {
        let batch = request.as_ref().map_or(base.image.batch, |request| request.image.batch).unwrap_or(1);
        let pictures = batch * paint.output.count;
        let next = painter.next() + pictures;
        if let Some(number) = line {
            asked += pictures;
            painter.ui().at_line(Some(number));
            match request.and_then(|request| paint_line(&request, number, &mut painter, paint)) {
                Err(e) if ends_all(&e) => return Err(e),
                Err(e) => painter.ui().failure(&e),
                Ok(()) => {}
            }
            painter.ui().at_line(None);
        }
        painter.go_on_at(next);
        Ok(())
    })?;
    if asked == 0 {
        warn_of_none(shard, &lines, painter.ui());
    }
    painter.grid()?;
    let tally = painter.tally();
    tally.missing = asked - tally.made - tally.there;
    Ok(*tally)
}

/// Calls `act` for each line that asks for something, with its request, and its number if it belongs to the shard.
fn for_each_line(
    base: &Request,
    lines: &mut Lines,
    (shard, args): (Option<Shard>, &PaintArgs),
    mut act: impl FnMut(Option<usize>, Result<Request>) -> Result<()>,
) -> Result<()> {
    let mut order = 0;
    while let Some(Line { number, content }) = lines.next()? {
        let mine = shard.is_none_or(|shard| shard.takes(order));
        act(mine.then_some(number), content.and_then(|content| of_line(base, &content, args)))?;
        order += 1;
    }
    Ok(())
}

/// Says that no line asked for anything.
fn warn_of_none(shard: Option<Shard>, lines: &Lines, ui: &mut Ui) {
    let of_shard = shard.map(|shard| format!(" for shard {shard}")).unwrap_or_default();
    ui.warning(&format!("there is no prompt{of_shard} in {}", lines.label()));
}

fn paint_line(request: &Request, number: usize, painter: &mut Painter<'_>, args: &PaintArgs) -> Result<()> {
    let plan = painter.plan(request)?;
    remarks::of_plan(&plan, request, args, painter.ui());
    painter.save_controls(&plan, Some(number))?;
    painter.series(&plan, &request.prompt, Some(number))
}

/// What each line would make, as JSON lines.
fn dry_runs(base: &Request, lines: &mut Lines, shard: Option<Shard>, args: &PaintArgs, ui: &mut Ui) -> Result<Tally> {
    let mut tally = Tally::default();
    let machine = Machine::new(args.compute.options())?;
    for_each_line(base, lines, (shard, args), |line, request| {
        let Some(number) = line else { return Ok(()) };
        ui.at_line(Some(number));
        match request.and_then(|request| first_plan(&request, args)) {
            Ok(plan) => {
                tally.made += 1;
                let mut planned = dry_run(&plan, &machine, ui);
                planned["line"] = number.into();
                tell_line(planned, ui);
            }
            Err(e) => {
                tally.missing += 1;
                ui.failure(&e);
            }
        }
        ui.at_line(None);
        Ok(())
    })?;
    if tally == Tally::default() {
        warn_of_none(shard, lines, ui);
    }
    Ok(tally)
}

/// The request of a line.
fn of_line(base: &Request, content: &Content, args: &PaintArgs) -> Result<Request> {
    let mut request = match content {
        Content::Prompt(text) => {
            let mut request = base.clone();
            request.prompt.text.clone_from(text);
            request
        }
        Content::Json(json) => {
            let request = base.overlaid(json)?;
            if request.prompt.text.is_empty() && !names_prompt(json) {
                return Err(Error::usage("the line has no prompt", r#"give one: `"prompt":"a red apple"`"#));
            }
            request
        }
    };
    request.prompt.text = args.prompt.dressed(&request.prompt.text);
    check_inputs(&request)?;
    request.validate()?;
    Ok(request)
}

/// An empty prompt is one too, but not one that was forgotten.
fn names_prompt(json: &str) -> bool {
    let prompt = serde_json::from_str::<Value>(json).map(|line| line["prompt"].clone()).unwrap_or_default();
    prompt.is_string() || prompt["text"].is_string()
}

/// Standard input is read once, and may be what the lines come from.
fn check_inputs(request: &Request) -> Result<()> {
    let input = request.input.iter().map(|input| &input.picture);
    let mask = request.inpaint.iter().filter_map(|inpaint| inpaint.mask.as_ref());
    let controls = request.controls.iter().map(|control| &control.picture);
    if input.chain(mask).chain(controls).any(|picture| picture.file == "-") {
        let message = "with `--prompt-file` no picture can come from standard input, which is read once";
        return Err(Error::usage(message, "give the picture as a file"));
    }
    Ok(())
}

/// Whether no line after this could do better: the disk, the folder, the device.
pub fn ends_all(e: &Error) -> bool {
    matches!(e.exit_code(), exit_code::FAILURE | exit_code::INTERRUPTED)
}
