//! Pictures in the terminal, on standard error: half blocks anywhere, or the protocols of kitty, iTerm2 and sixel. A picture that is being
//! made is drawn over the last one; a finished one stays.

mod blocks;
mod inline;
mod kitty;
mod protocol;
mod room;
mod sixel;

use std::fmt::Write;

use image::imageops::FilterType;
use image::RgbImage;

use self::protocol::Environment;
use self::room::Room;
use super::Ui;

pub use self::protocol::PreviewChoice;

/// How a terminal shows pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Kitty,
    Iterm,
    Sixel,
    Blocks { true_color: bool },
}

/// A terminal that pictures are drawn on.
pub(super) struct Screen {
    protocol: Protocol,
    /// Whether tmux stands between, to which pictures have to be passed through.
    in_tmux: bool,
    room: fn() -> Room,
    /// Rows of the picture that is being made, if it is the last thing on the terminal.
    live: Option<u32>,
}

impl Screen {
    fn new(protocol: Protocol, in_tmux: bool, room: fn() -> Room) -> Self {
        Screen { protocol, in_tmux, room, live: None }
    }

    /// What draws a picture, from the first column of a line to that of the line below it.
    fn draw(&mut self, picture: &RgbImage, stays: bool) -> String {
        let room = match self.protocol {
            // A cell is two pixels.
            Protocol::Blocks { .. } => Room { cell: (1, 2), ..(self.room)() },
            _ => (self.room)(),
        };
        let (columns, rows) = room.cells_of(picture.dimensions());
        let mut text = String::new();
        if let Some(rows) = self.live.take() {
            let _ = write!(text, "\r\x1b[{rows}A\x1b[J");
        }
        if let Protocol::Blocks { true_color } = self.protocol {
            let small = resized(picture, columns, 2 * rows);
            text += &blocks::draw(&small, true_color);
        } else {
            // Line feeds make room at the bottom, and scroll where there is none.
            let _ = write!(text, "{}\x1b[{rows}A\x1b7", "\n".repeat(rows as usize));
            let (width, height) = room.pixels((columns, rows));
            let small = resized(picture, width.min(picture.width()), height.min(picture.height()));
            let commands = match self.protocol {
                Protocol::Kitty => kitty::commands(&small, (columns, rows), stays),
                Protocol::Iterm => inline::commands(&small, (columns, rows)),
                Protocol::Sixel | Protocol::Blocks { .. } => vec![sixel::command(&resized(picture, width, height))],
            };
            for command in commands {
                text += &if self.in_tmux { passed_through(&command) } else { command };
            }
            let _ = write!(text, "\x1b8\x1b[{rows}B\r");
        }
        self.live = (!stays).then_some(rows);
        text
    }
}

impl Ui {
    /// From now on pictures are shown, if standard error is a terminal that can; otherwise the user is told why not.
    pub fn show_previews(&mut self, choice: PreviewChoice) {
        let environment = Environment::of_process();
        self.show_previews_on(choice, &environment, room::of_terminal);
    }

    fn show_previews_on(&mut self, choice: PreviewChoice, environment: &Environment, room: fn() -> Room) {
        let allowed = self.streams.err_is_terminal.then_some(self.color);
        match protocol::choose(choice, environment, allowed) {
            Ok(protocol) => {
                let in_tmux = environment.in_tmux();
                if in_tmux && matches!(protocol, Protocol::Kitty | Protocol::Iterm) {
                    self.note("tmux shows this kind of preview only with `set -g allow-passthrough on`");
                }
                self.screen = Some(Screen::new(protocol, in_tmux, room));
            }
            Err(why) => self.note(&format!("no preview: {why}")),
        }
    }

    /// Whether pictures that are being made are shown.
    #[must_use]
    pub fn shows_steps(&self) -> bool {
        self.screen.is_some() && self.bars.is_some()
    }

    /// Shows a picture, if that is wanted and possible. One that does not stay is drawn over by the next.
    pub fn preview(&mut self, picture: &RgbImage, stays: bool) {
        let Some(screen) = &mut self.screen else { return };
        let text = screen.draw(picture, stays);
        match &self.bars {
            Some(bars) => bars.suspend(|| self.streams.error_bytes(text.as_bytes())),
            None => self.streams.error_bytes(text.as_bytes()),
        }
    }

    /// Something else was printed below the picture that is being made: it stays as it is.
    pub(super) fn leave_preview(&mut self) {
        if let Some(screen) = &mut self.screen {
            screen.live = None;
        }
    }
}

/// The picture at this size, or itself if it has that.
fn resized(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    if picture.dimensions() == (width, height) {
        return picture.clone();
    }
    image::imageops::resize(picture, width.max(1), height.max(1), FilterType::Triangle)
}

/// A command for the terminal behind tmux.
fn passed_through(command: &str) -> String {
    format!("\x1bPtmux;{}\x1b\\", command.replace('\x1b', "\x1b\x1b"))
}

#[cfg(test)]
mod tests;
