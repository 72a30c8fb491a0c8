//! The pictures of a file of prompts, line by line as they come.

use std::path::Path;

use serde_json::{json, Value};

use super::lines::{Content, Line, Lines};
use super::series::{first_plan, Painter};
use super::{dry_run, output, remarks};
use crate::cli::control::ControlArgs;
use crate::cli::PaintArgs;
use crate::error::exit_code;
use crate::pipeline::{Machine, Plan};
use crate::ui::{install_interrupt, Ui};
use crate::{Error, Request, Result};

/// Makes the pictures of each line of a file, which is laid over `base`: how many were made, and how many could not be. A line that
/// fails is told with its number, and the others go on.
///
/// # Errors
/// What no line could mend: a base that cannot be planned, a file that cannot be read, pictures that cannot be written.
pub fn stream(
    base: &Request,
    file: &Path,
    args: (&PaintArgs, Option<&ControlArgs>),
    ui: &mut Ui,
) -> Result<(usize, usize)> {
    let (paint, control) = args;
    let mut lines = Lines::open(file)?;
    check_inputs(base)?;
    let plan = Plan::new(base)?;
    if paint.recipe.dry_run {
        return dry_runs(base, &mut lines, paint, ui);
    }
    install_interrupt(ui.bar_handle());
    let output = output(paint, control, plan.batch(), true)?;
    let machine = Machine::new(paint.compute.options())?;
    remarks::introduce(&plan, &machine, paint, ui);
    let mut painter = Painter::new(args, &output, machine, ui);
    let mut asked = 0;
    while let Some(Line { number, content }) = lines.next()? {
        painter.ui().at_line(Some(number));
        let request = content.and_then(|content| of_line(base, &content));
        let batch = request.as_ref().map_or(base.image.batch, |request| request.image.batch).unwrap_or(1);
        let pictures = batch * paint.output.count;
        asked += pictures;
        let start = painter.next();
        match request.and_then(|request| paint_line(&request, number, &mut painter, paint)) {
            Err(e) if ends_all(&e) => return Err(e),
            Err(e) => painter.ui().failure(&e),
            Ok(()) => {}
        }
        painter.go_on_at(start + pictures);
    }
    painter.ui().at_line(None);
    if asked == 0 {
        painter.ui().warning(&format!("there is no prompt in {}", lines.label()));
    }
    let made = painter.made();
    Ok((made, asked - made))
}

fn paint_line(request: &Request, number: usize, painter: &mut Painter<'_>, args: &PaintArgs) -> Result<()> {
    let plan = first_plan(request, args)?;
    remarks::of_plan(&plan, request, args, painter.ui());
    painter.save_controls(&plan, Some(number))?;
    painter.series(&plan, &request.prompt, Some(number))
}

/// What each line would make, as JSON lines.
fn dry_runs(base: &Request, lines: &mut Lines, args: &PaintArgs, ui: &mut Ui) -> Result<(usize, usize)> {
    let (mut planned, mut failed) = (0, 0);
    while let Some(Line { number, content }) = lines.next()? {
        ui.at_line(Some(number));
        match content.and_then(|content| of_line(base, &content)).and_then(|request| first_plan(&request, args)) {
            Ok(plan) => {
                planned += 1;
                let mut line = json!({ "line": number });
                if let (Value::Object(line), Value::Object(plan)) = (&mut line, dry_run(&plan)) {
                    line.extend(plan);
                }
                ui.data(&line.to_string());
            }
            Err(e) => {
                failed += 1;
                ui.failure(&e);
            }
        }
    }
    ui.at_line(None);
    Ok((planned, failed))
}

/// The request of a line.
fn of_line(base: &Request, content: &Content) -> Result<Request> {
    let request = match content {
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
fn ends_all(e: &Error) -> bool {
    matches!(e.exit_code(), exit_code::FAILURE | exit_code::INTERRUPTED)
}
