//! The pictures of one prompt, one after the other, each of its own seed.

use std::path::{Path, PathBuf};

use super::{grid, planned};
use crate::cli::control::ControlArgs;
use crate::cli::PaintArgs;
use crate::commands::studio::{Intermediates, Studio, Tally};
use crate::image::{encode, Number, Output};
use crate::pipeline::{self, Engine, Machine, Plan, Watch};
use crate::request::{Prompt, Weighting};
use crate::text::wildcards::Wildcards;
use crate::ui::Ui;
use crate::{Error, Request, Result};

/// What makes pictures and writes them; the model stays loaded from one prompt to the next.
pub struct Painter<'a> {
    args: &'a PaintArgs,
    control: Option<&'a ControlArgs>,
    output: &'a Output,
    engine: Engine,
    studio: Studio<'a>,
    /// The number of the next picture of the run, from 0.
    next: usize,
    /// The last plan, and the request that it is of.
    last: Option<(Request, Plan)>,
}

impl<'a> Painter<'a> {
    /// One with nothing loaded.
    pub fn new(
        (args, control): (&'a PaintArgs, Option<&'a ControlArgs>),
        output: &'a Output,
        machine: Machine,
        ui: &'a mut Ui,
    ) -> Self {
        let intermediates = args.output.intermediates.clone();
        let intermediates = intermediates.map(|folder| Intermediates { folder, every: args.output.every.unwrap_or(1) });
        if let Some(choice) = args.output.preview.preview {
            ui.show_previews(choice);
        }
        let mut engine = Engine::new(machine);
        engine.strict_loras = args.lora.strict;
        let mut studio = Studio::new(ui, output, args.output.metadata, intermediates);
        if args.output.grid.is_some() {
            studio.remember_files();
        }
        Painter { args, control, output, engine, studio, next: 0, last: None }
    }

    /// What is said besides the pictures.
    pub fn ui(&mut self) -> &mut Ui {
        self.studio.ui()
    }

    /// What became of the pictures so far.
    pub fn tally(&mut self) -> &mut Tally {
        self.studio.tally()
    }

    /// The number of the next picture of the run, from 0.
    pub fn next(&self) -> usize {
        self.next
    }

    /// Another number for the next picture.
    pub fn go_on_at(&mut self, number: usize) {
        self.next = number;
    }

    /// The plan of a request's first picture.
    ///
    /// # Errors
    /// As [`first_plan`].
    pub fn plan(&mut self, request: &Request) -> Result<Plan> {
        let first = first_request(request, self.args)?;
        let repeated = self.last.as_ref().and_then(|(asked, plan)| plan.repeated(asked, &first));
        let plan = repeated.map_or_else(|| Plan::new(&first), Ok)?;
        self.last = Some((first, plan.clone()));
        Ok(plan)
    }

    /// Makes the pictures of a plan, whose choices are not made in `prompt`, for a line of a file if there is one. A broken
    /// picture does not end the series: its error is told at once. When there is no other picture, or all are broken, the last
    /// error is the result. With `--resume`, those that are there are left as they are.
    ///
    /// # Errors
    /// What ended the series.
    pub fn series(&mut self, first: &Plan, prompt: &Prompt, line: Option<usize>) -> Result<()> {
        let preview = self.args.output.preview.method()?.filter(|_| self.ui().shows_steps());
        let watch = Watch { every: self.studio.every(), preview: preview.as_ref() };
        let (count, resume) = (self.args.output.count, self.args.output.resume);
        let wildcards = self.args.prompt.wildcards.as_deref();
        let mut broken = 0;
        for number in 0..count {
            let plan = with_seed(first, prompt, number, wildcards)?;
            let text = &plan.request.prompt.text;
            if *text != prompt.text {
                self.ui().note(&format!("prompt: {text}"));
            }
            self.studio.begin(&plan, Number { index: self.next + number * first.batch(), line }, resume);
            if self.studio.is_done() {
                continue;
            }
            self.ui().plan(&planned(&plan));
            match pipeline::run(&plan, &mut self.engine, watch, &mut self.studio) {
                Err(e @ Error::BrokenPicture { .. }) => {
                    broken += 1;
                    if broken == count {
                        return Err(e);
                    }
                    self.ui().failure(&e);
                }
                result => result?,
            }
        }
        Ok(())
    }

    /// Writes the grid of all pictures, if that is asked for.
    ///
    /// # Errors
    /// As [`grid::write`].
    pub fn grid(&mut self) -> Result<()> {
        let Some(columns) = self.args.output.grid else { return Ok(()) };
        let files = self.studio.take_files();
        grid::write(&files, columns, self.args.output.metadata, self.output, self.studio.ui())
    }

    /// Writes what the ControlNets are shown, if that is asked for: once, since it is the same for all pictures of the series.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_controls(&mut self, plan: &Plan, line: Option<usize>) -> Result<()> {
        let Some(folder) = self.control.and_then(|control| control.save_control.as_ref()) else { return Ok(()) };
        for (index, control) in plan.controls.iter().enumerate() {
            let what = if plan.controls.len() == 1 { "control".into() } else { format!("control-{index}") };
            let png = encode(&control.shown(), &[])?;
            let which = (&*plan.files.name(), Number { index: self.next, line });
            let path = self.output.write_beside(&png, &plan.request, which, &what, folder.as_deref())?;
            self.ui().control_map(&path, index);
        }
        Ok(())
    }
}

/// The plan of the first picture. Its seed decides what is drawn in the prompts, and they may decide the LoRAs.
///
/// # Errors
/// As [`Plan::new`], and when a choice of the prompt cannot be made.
pub fn first_plan(request: &Request, args: &PaintArgs) -> Result<Plan> {
    Plan::new(&first_request(request, args)?)
}

fn first_request(request: &Request, args: &PaintArgs) -> Result<Request> {
    if args.output.resume && request.sampling.seed.is_none() {
        let message = "`--resume` cannot find pictures of a random seed";
        return Err(Error::usage(message, "give one: `--seed 7`"));
    }
    let mut first = request.clone();
    let seed = *first.sampling.seed.get_or_insert_with(pipeline::random_seed);
    draw(&mut first.prompt, &request.prompt, seed, args.prompt.wildcards.as_deref())?;
    Ok(first)
}

/// The plan of a picture of the series: its seed, and the choices that it draws in `prompt`.
fn with_seed(first: &Plan, prompt: &Prompt, number: usize, wildcards: Option<&Path>) -> Result<Plan> {
    let mut plan = first.clone();
    let first = first.request.sampling.seed.unwrap_or_default();
    let seed = first.checked_add(number as u64).ok_or_else(|| {
        let message = format!("after seed {first} there are not enough for the pictures");
        Error::usage(message, "give a smaller seed, or fewer pictures")
    })?;
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
    let mut draw = Wildcards::new(seed, wildcards.map(PathBuf::from));
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
