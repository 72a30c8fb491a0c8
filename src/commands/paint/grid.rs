//! `--grid`: one picture that shows all of a run.

use std::path::PathBuf;

use image::{ImageReader, RgbImage};
use serde_json::json;

use crate::image::{encode, read_texts, MetadataMode, Output, Sheet, TextChunk};
use crate::ui::Ui;
use crate::{Error, Result};

/// The keyword of what a grid says about itself.
const KEYWORD: &str = "sdgen-grid";

/// Shows pictures that were written in one, in so many columns or about as many as rows. They are read again, so that no more
/// than one of them is in memory.
///
/// # Errors
/// When one cannot be read, or the grid not written.
pub fn write(
    paths: &[PathBuf],
    columns: Option<usize>,
    metadata: MetadataMode,
    output: &Output,
    ui: &mut Ui,
) -> Result<()> {
    let [first, _, ..] = paths else {
        ui.warning("`--grid` writes nothing: there are no two pictures to show");
        return Ok(());
    };
    let square = (paths.len() as f64).sqrt().ceil() as usize;
    let columns = columns.unwrap_or(square).clamp(1, paths.len());
    let rows = paths.len().div_ceil(columns);
    let mut cell = (1, 1);
    for path in paths {
        let reader = ImageReader::open(path).map_err(Error::io("read", path))?;
        let (width, height) = reader.into_dimensions().map_err(|e| gone(path, &e))?;
        cell = (width.max(cell.0), height.max(cell.1));
    }
    let mut sheet = Sheet::plain(columns, rows, cell);
    if sheet.shrinks() {
        ui.note("the pictures of the grid are smaller than those that it shows: it would be too large");
    }
    for (place, path) in paths.iter().enumerate() {
        sheet.place(place % columns, place / columns, &open(path)?);
    }
    let (grid, texts) = (sheet.finish(), texts(paths, (columns, rows), metadata));
    let path = output.write_grid(&encode(&grid, &texts)?, first)?;
    let (width, height) = grid.dimensions();
    if !ui.is_json() {
        ui.data(&path.to_string_lossy());
    }
    let fields =
        json!({ "path": path.to_string_lossy(), "columns": columns, "rows": rows, "width": width, "height": height });
    ui.event("grid", fields);
    Ok(())
}

fn open(path: &PathBuf) -> Result<RgbImage> {
    let reader = ImageReader::open(path).map_err(Error::io("read", path))?;
    Ok(reader.decode().map_err(|e| gone(path, &e))?.into_rgb8())
}

fn gone(path: &std::path::Path, e: &image::ImageError) -> Error {
    let message = format!("`{}` cannot be shown in the grid: {e}", path.display());
    Error::picture(message, "something else has changed it meanwhile: make it again")
}

/// As A1111: what made the first picture; and the names of all.
fn texts(paths: &[PathBuf], (columns, rows): (usize, usize), metadata: MetadataMode) -> Vec<TextChunk> {
    if metadata == MetadataMode::None {
        return Vec::new();
    }
    let bytes = paths.first().and_then(|path| crate::files::read_small(path).ok()).unwrap_or_default();
    let mut texts = read_texts(&bytes).unwrap_or_default();
    texts.retain(|text| matches!(text.keyword.as_str(), "parameters" | "Software"));
    if metadata == MetadataMode::Full {
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let pictures: Vec<String> = paths.iter().map(name).collect();
        let chunk = json!({ "schema": 1, "columns": columns, "rows": rows, "pictures": pictures });
        texts.push(TextChunk::new(KEYWORD, chunk.to_string()));
    }
    texts
}
