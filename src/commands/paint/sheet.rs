//! `sdgen sheet`: a picture for each value of one or two settings, all in one.

use std::collections::HashSet;
use std::time::Instant;

use image::RgbImage;
use serde_json::json;

use super::series::first_plan;
use super::stream::ends_all;
use super::{dry_run, output, planned, remarks, tell_line};
use crate::cli::axis::Axis;
use crate::cli::SheetArgs;
use crate::commands::studio::labels;
use crate::image::{encode, metadata, stored, undrawn, MetadataMode, Number, Provenance, Sheet, TextChunk, Work};
use crate::pipeline::{self, Engine, Event, Events, Machine, Plan, Watch};
use crate::ui::{install_interrupt, Announcement, Ui};
use crate::{Error, Request, Result};

/// The keyword of what a sheet says about itself.
const KEYWORD: &str = "sdgen-sheet";

/// The most pictures of a sheet.
const MOST_CELLS: usize = 1000;

/// What is painted in a cell.
struct Cell {
    column: usize,
    row: usize,
    plan: Plan,
}

/// Makes a sheet. A cell whose picture cannot be made is grey.
///
/// # Errors
/// Before any work for cells that cannot be; [`Error::Partial`] when some could not be made; otherwise what ended the work.
pub fn sheet(args: &SheetArgs, ui: &mut Ui) -> Result<()> {
    let start = Instant::now();
    let paint = &args.paint;
    remarks::check_wildcards(&paint.prompt)?;
    let asked = args.request()?;
    let cells = cells(&asked, args)?;
    let Some(first) = cells.first() else { return Ok(()) };
    if paint.recipe.dry_run {
        let machine = Machine::new(paint.compute.options())?;
        for Cell { column, row, plan } in &cells {
            let mut cell = dry_run(plan, &machine, ui);
            (cell["column"], cell["row"]) = ((*column).into(), (*row).into());
            tell_line(cell, ui);
        }
        ui.done(0, start.elapsed().as_secs_f64());
        return Ok(());
    }
    install_interrupt(ui);
    let output = output(paint, None, 1, Work::Sheet)?;
    let machine = Machine::new(paint.compute.options())?;
    remarks::introduce(&first.plan, &machine, paint, ui);
    remarks::of_plan(&first.plan, &asked, paint, ui);
    let mut sheet = prepared(&cells, args, ui)?;
    let made = paint_cells(&cells, args, machine, &mut sheet, ui)?;
    if let Some((Cell { plan, .. }, provenance)) = made.first() {
        let picture = sheet.finish();
        let png = encode(&picture, &texts(args, plan, provenance))?;
        let request = &plan.request;
        let written = output.write(&png, request, &plan.files.name(), Number::default())?;
        written.note.iter().for_each(|note| ui.note(note));
        let seed = request.sampling.seed.unwrap_or_default();
        let (width, height) = picture.dimensions();
        let (path, seconds) = (written.path.as_deref(), start.elapsed().as_secs_f64());
        ui.written(&Announcement { path, index: 0, seed, width, height, seconds });
    }
    if made.len() < cells.len() {
        return Err(Error::Partial { failed: cells.len() - made.len(), total: cells.len() });
    }
    ui.done(1, start.elapsed().as_secs_f64());
    Ok(())
}

/// The cells, planned, so that what cannot be is told before any work; in an order that loads no weights twice in a row.
fn cells(asked: &Request, args: &SheetArgs) -> Result<Vec<Cell>> {
    let (columns, rows) = (args.x.labels().len(), args.y.as_ref().map_or(1, |y| y.labels().len()));
    if columns * rows > MOST_CELLS {
        let message = format!("{columns} times {rows} pictures are too many for a sheet");
        return Err(Error::usage(message, format!("give values for up to {MOST_CELLS}")));
    }
    let mut base = asked.clone();
    base.sampling.seed.get_or_insert_with(pipeline::random_seed);
    let by_rows = (0..rows).flat_map(|row| (0..columns).map(move |column| (column, row)));
    let mut places: Vec<(usize, usize)> = by_rows.collect();
    if args.x.changes_weights() && !args.y.as_ref().is_some_and(Axis::changes_weights) {
        places.sort_by_key(|(column, row)| (*column, *row));
    }
    let cell = |(column, row)| {
        let mut request = base.clone();
        if let Some(y) = &args.y {
            y.apply(row, &mut request)?;
        }
        args.x.apply(column, &mut request)?;
        Ok(Cell { column, row, plan: first_plan(&request, &args.paint)? })
    };
    places.into_iter().map(cell).collect()
}

/// The sheet with its labels.
fn prepared(cells: &[Cell], args: &SheetArgs, ui: &mut Ui) -> Result<Sheet> {
    let sizes = || cells.iter().map(|cell| cell.plan.size());
    let width = sizes().map(|(width, _)| width).max().unwrap_or(1);
    let height = sizes().map(|(_, height)| height).max().unwrap_or(1);
    let (columns, rows) = (args.x.labels(), args.y.as_ref().map(Axis::labels).unwrap_or_default());
    let missing = undrawn(&[&columns[..], &rows].concat())?;
    if !missing.is_empty() {
        let missing: String = missing.into_iter().collect();
        ui.warning(&format!("the labels' font has no `{missing}`: boxes stand for it; the metadata have all of it"));
    }
    let sheet = Sheet::labelled(&columns, &rows, (width as u32, height as u32))?;
    ui.note(&format!("{} pictures in one", cells.len()));
    if sheet.shrinks() {
        ui.note("they are made smaller in the sheet, which would be too large");
    }
    Ok(sheet)
}

/// Paints each cell; returns those that could be painted, with what made them.
fn paint_cells<'c>(
    cells: &'c [Cell],
    args: &SheetArgs,
    machine: Machine,
    sheet: &mut Sheet,
    ui: &mut Ui,
) -> Result<Vec<(&'c Cell, Provenance)>> {
    let mut engine = Engine::new(machine);
    engine.strict_loras = args.paint.lora.strict;
    let mut watcher = Watcher { ui, said: HashSet::new(), picture: None };
    let mut made = Vec::new();
    for cell in cells {
        let Cell { column, row, plan } = cell;
        watcher.ui.plan(&planned(plan));
        match pipeline::run(plan, &mut engine, Watch::default(), &mut watcher) {
            Err(e) if ends_all(&e) => return Err(e),
            Err(e) => {
                watcher.ui.note(&format!("column {}, row {}, from 1, stays grey", column + 1, row + 1));
                watcher.ui.failure(&e);
                sheet.cross_out(*column, *row);
            }
            Ok(()) => {
                if let Some((picture, provenance)) = watcher.picture.take() {
                    sheet.place(*column, *row, &picture);
                    made.push((cell, provenance));
                }
            }
        }
    }
    Ok(made)
}

/// Shows progress, says everything once, and keeps the last picture.
struct Watcher<'a> {
    ui: &'a mut Ui,
    said: HashSet<String>,
    picture: Option<(RgbImage, Provenance)>,
}

impl Events for Watcher<'_> {
    fn on(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Picture { picture, provenance, .. } => self.picture = Some((picture.clone(), provenance.clone())),
            Event::Note(text) | Event::Warning(text) if !self.said.insert(text.into()) => {}
            event => self.ui.on(event)?,
        }
        Ok(())
    }
}

/// As A1111: what made the first picture; and what all share, with the axes.
fn texts(args: &SheetArgs, first: &Plan, provenance: &Provenance) -> Vec<TextChunk> {
    let mode = args.paint.output.metadata;
    if mode == MetadataMode::None {
        return Vec::new();
    }
    let request = &first.request;
    let mut texts = metadata(MetadataMode::A1111, request, 0, &labels(request), provenance);
    if mode == MetadataMode::Full {
        let loras: Vec<&str> = first.loras.iter().map(|lora| lora.label.as_str()).collect();
        let axis = |axis: &Axis| json!({ "axis": axis.name, "values": axis.shown() });
        let chunk = json!({
            "schema": 1,
            "x": axis(&args.x),
            "y": args.y.as_ref().map(axis),
            "request": stored(request, &provenance.model_name, &loras),
        });
        texts.push(TextChunk::new(KEYWORD, chunk.to_string()));
    }
    texts
}
