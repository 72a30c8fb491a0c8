//! How much room a terminal has for a picture.

use terminal_size::{terminal_size_of, Height, Width};

/// Rows kept for the bar, the picture's path and the shell's prompt.
const KEPT_ROWS: u32 = 3;

/// Rows of a picture, where there is room for them.
const LEAST_ROWS: u32 = 10;

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Cells in a row.
    pub(super) columns: u32,
    /// Rows.
    pub(super) rows: u32,
    /// Pixels of a cell.
    pub(super) cell: (u32, u32),
}

/// What is assumed of a terminal that does not tell.
const USUAL: Room = Room { columns: 80, rows: 24, cell: (8, 16) };

/// The terminal that standard error is.
pub(super) fn of_terminal() -> Room {
    match terminal_size_of(std::io::stderr()) {
        Some((Width(columns), Height(rows))) if columns > 0 && rows > 0 => {
            let (columns, rows) = (columns.into(), rows.into());
            Room { columns, rows, cell: cell(columns, rows).unwrap_or(USUAL.cell) }
        }
        _ => USUAL,
    }
}

/// Pixels of a cell, where the terminal tells them.
#[cfg(unix)]
fn cell(columns: u32, rows: u32) -> Option<(u32, u32)> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    let cell = (u32::from(size.ws_xpixel) / columns, u32::from(size.ws_ypixel) / rows);
    (cell.0 > 0 && cell.1 > 0).then_some(cell)
}

#[cfg(not(unix))]
fn cell(_columns: u32, _rows: u32) -> Option<(u32, u32)> {
    None
}

impl Room {
    /// Cells for a picture of this many pixels: its own size, unless that is too small to see much, or there is no room for it.
    pub(super) fn cells_of(&self, (width, height): (u32, u32)) -> (u32, u32) {
        let most = (self.columns.max(1), self.rows.saturating_sub(KEPT_ROWS).max(1));
        let own = (f64::from(width) / f64::from(self.cell.0), f64::from(height) / f64::from(self.cell.1));
        let enlarged = (f64::from(LEAST_ROWS) / own.1).max(1.0);
        let scale = (f64::from(most.0) / own.0).min(f64::from(most.1) / own.1).min(enlarged);
        let cells = |own: f64, most: u32| ((own * scale).round() as u32).clamp(1, most);
        (cells(own.0, most.0), cells(own.1, most.1))
    }

    /// Pixels of so many cells.
    pub(super) fn pixels(&self, (columns, rows): (u32, u32)) -> (u32, u32) {
        (columns * self.cell.0, rows * self.cell.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_keep_their_shape_and_stay_on_the_screen() {
        assert_eq!([USUAL.cells_of((128, 128)), USUAL.cells_of((256, 256))], [(20, 10), (32, 16)]);
        assert_eq!(USUAL.cells_of((1024, 1024)), (42, 21));
        assert_eq!(USUAL.cells_of((2048, 512)), (80, 10));
        assert_eq!([USUAL.cells_of((1, 4096)), USUAL.cells_of((4096, 1))], [(1, 21), (80, 1)]);
        assert_eq!(Room { rows: 2, ..USUAL }.cells_of((512, 512)), (2, 1));
    }
}
