//! Many pictures in one: rows and columns, with or without words beside them ([`words`]).

mod words;

use ::image::{imageops, Rgb, RgbImage};

use self::words::Words;
use super::input::{resize, Filter};
use crate::Result;

/// The most pixels of all cells, and the longest side: beyond, pictures are made smaller. Viewers take no more.
const MOST_PIXELS: f64 = (64 << 20) as f64;
const LONGEST_SIDE: f64 = 32_767.0;

const GROUND: Rgb<u8> = Rgb([255; 3]);
const MISSING: Rgb<u8> = Rgb([224; 3]);

/// Pictures in rows and columns, filled one by one.
#[derive(Debug)]
pub struct Sheet {
    canvas: RgbImage,
    /// Pixels of a cell.
    cell: (u32, u32),
    /// How much smaller pictures become.
    scale: f64,
    /// The first cell's corner.
    origin: (u32, u32),
    /// Pixels between cells.
    gap: u32,
}

impl Sheet {
    /// One for so many columns and rows of pictures of at most `cell` pixels, without words and without gaps.
    #[must_use]
    pub fn plain(columns: usize, rows: usize, cell: (u32, u32)) -> Self {
        let scale = scale(columns, rows, cell);
        Self::new(columns, rows, scaled(cell, scale), scale, (0, 0), 0)
    }

    /// One with a word above each column and, where `rows` has any, beside each row.
    ///
    /// # Errors
    /// When the font cannot be read.
    pub fn labelled(columns: &[String], rows: &[String], cell: (u32, u32)) -> Result<Self> {
        let (across, down) = (columns.len(), rows.len().max(1));
        let scale = scale(across, down, cell);
        let cell = scaled(cell, scale);
        let words = Words::new((cell.0 as f32 / 14.0).clamp(12.0, 36.0))?;
        let gap = (cell.0 / 32).clamp(2, 16);
        let above: Vec<Vec<String>> = columns.iter().map(|label| words.wrapped(label, cell.0)).collect();
        let beside: Vec<Vec<String>> = rows.iter().map(|label| words.wrapped(label, (cell.0 / 2).max(72))).collect();
        let top = above.iter().map(Vec::len).max().unwrap_or(0) as u32 * words.line() + gap;
        let left = beside.iter().flatten().map(|line| words.width(line)).max().map_or(0, |width| width + 2 * gap);
        let mut sheet = Self::new(across, down, cell, scale, (left, top), gap);
        for (column, lines) in above.iter().enumerate() {
            let (x, _) = sheet.corner(column, 0);
            let y = top.saturating_sub(gap / 2 + lines.len() as u32 * words.line());
            words.draw(&mut sheet.canvas, lines, (x, y), cell.0);
        }
        for (row, lines) in beside.iter().enumerate() {
            let (_, y) = sheet.corner(0, row);
            let y = y + (cell.1 / 2).saturating_sub(lines.len() as u32 * words.line() / 2);
            words.draw(&mut sheet.canvas, lines, (0, y), left);
        }
        Ok(sheet)
    }

    fn new(columns: usize, rows: usize, cell: (u32, u32), scale: f64, origin: (u32, u32), gap: u32) -> Self {
        let side = |origin: u32, cells: usize, cell: u32| {
            let cells = cells as u32;
            origin + cells * cell + cells.saturating_sub(1) * gap
        };
        let size = (side(origin.0, columns, cell.0), side(origin.1, rows, cell.1));
        Sheet { canvas: RgbImage::from_pixel(size.0, size.1, GROUND), cell, scale, origin, gap }
    }

    /// Whether pictures become smaller.
    #[must_use]
    pub fn shrinks(&self) -> bool {
        self.scale < 1.0
    }

    /// Puts a picture into the middle of a cell, counted from 0.
    pub fn place(&mut self, column: usize, row: usize, picture: &RgbImage) {
        let (width, height) = scaled(picture.dimensions(), self.scale);
        let smaller = (self.scale < 1.0).then(|| resize(picture, width, height, Filter::Lanczos));
        let (x, y) = self.corner(column, row);
        let (x, y) = (x + (self.cell.0.saturating_sub(width)) / 2, y + (self.cell.1.saturating_sub(height)) / 2);
        imageops::replace(&mut self.canvas, smaller.as_ref().unwrap_or(picture), x.into(), y.into());
    }

    /// Greys a cell whose picture could not be made.
    pub fn cross_out(&mut self, column: usize, row: usize) {
        let (x, y) = self.corner(column, row);
        let cell = RgbImage::from_pixel(self.cell.0, self.cell.1, MISSING);
        imageops::replace(&mut self.canvas, &cell, x.into(), y.into());
    }

    /// The sheet as one picture.
    #[must_use]
    pub fn finish(self) -> RgbImage {
        self.canvas
    }

    fn corner(&self, column: usize, row: usize) -> (u32, u32) {
        let (column, row) = (column as u32, row as u32);
        (self.origin.0 + column * (self.cell.0 + self.gap), self.origin.1 + row * (self.cell.1 + self.gap))
    }
}

/// The characters of labels that the font does not have: they are drawn as a box.
///
/// # Errors
/// When the font cannot be read.
pub fn undrawn(labels: &[String]) -> Result<Vec<char>> {
    let words = Words::new(12.0)?;
    let mut missing: Vec<char> = labels.iter().flat_map(|label| label.chars()).filter(|c| !words.has(*c)).collect();
    missing.sort_unstable();
    missing.dedup();
    Ok(missing)
}

fn scale(columns: usize, rows: usize, cell: (u32, u32)) -> f64 {
    let (width, height) = (columns as f64 * f64::from(cell.0), rows as f64 * f64::from(cell.1));
    let by_side = LONGEST_SIDE / width.max(height).max(1.0);
    (MOST_PIXELS / (width * height).max(1.0)).sqrt().min(by_side).min(1.0)
}

fn scaled((width, height): (u32, u32), scale: f64) -> (u32, u32) {
    let side = |side: u32| ((f64::from(side) * scale) as u32).max(1);
    (side(width), side(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32, value: u8) -> RgbImage {
        RgbImage::from_pixel(width, height, Rgb([value; 3]))
    }

    #[test]
    fn pictures_lie_in_their_cells() {
        let mut sheet = Sheet::plain(2, 2, (8, 6));
        sheet.place(0, 0, &grey(8, 6, 10));
        sheet.place(1, 0, &grey(4, 2, 20));
        sheet.cross_out(0, 1);
        assert!(!sheet.shrinks());
        let canvas = sheet.finish();
        assert_eq!(canvas.dimensions(), (16, 12));
        let at = |x, y| canvas.get_pixel(x, y).0[0];
        assert_eq!((at(0, 0), at(7, 5)), (10, 10));
        assert_eq!((at(9, 2), at(10, 2), at(13, 3), at(14, 3)), (255, 20, 20, 255));
        assert_eq!((at(0, 6), at(8, 6)), (MISSING.0[0], 255));
    }

    #[test]
    fn what_is_too_large_is_made_smaller() {
        let mut sheet = Sheet::plain(100, 100, (512, 512));
        assert!(sheet.shrinks());
        sheet.place(99, 99, &grey(512, 512, 10));
        let canvas = sheet.finish();
        assert_eq!(canvas.dimensions(), (8100, 8100));
        assert_eq!(canvas.get_pixel(8099, 8099).0[0], 10);
        assert_eq!(Sheet::plain(1000, 1, (64, 64)).finish().width(), 32_000);
    }

    #[test]
    fn words_stand_above_and_beside() {
        let labels = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let (columns, rows) = (labels(&["steps: 10", "steps: 20"]), labels(&["a very long prompt about nothing"]));
        let sheet = Sheet::labelled(&columns, &rows, (128, 128)).unwrap();
        let (left, top) = sheet.origin;
        assert!(left > 20 && left < 128 && top > 12 && top < 60, "{left} {top}");
        let canvas = sheet.finish();
        assert_eq!(canvas.dimensions(), (left + 2 * 128 + 4, top + 128));
        let ink = |x: u32, y: u32, width: u32, height: u32| {
            let part = imageops::crop_imm(&canvas, x, y, width, height).to_image();
            part.pixels().filter(|pixel| pixel.0[0] < 128).count()
        };
        assert!(ink(left, 0, 128, top) > 20 && ink(left + 132, 0, 128, top) > 20);
        assert!(ink(0, top, left, 128) > 50);
        assert_eq!((ink(0, 0, left, top), ink(left, top, 260, 128)), (0, 0), "nothing in the corner or on pictures");
        assert_eq!(undrawn(&labels(&["größer → красный ≤ λ", "日本 🍎 日"])).unwrap(), ['日', '本', '🍎']);
    }
}
