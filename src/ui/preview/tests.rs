//! What a terminal is told.

use image::Rgb;

use super::*;
use crate::ui::tests::{seen, OPTIONS};
use crate::ui::UiOptions;

const ROOM: fn() -> Room = || Room { columns: 40, rows: 7, cell: (8, 16) };

fn picture() -> RgbImage {
    RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8 * 4, y as u8 * 4, 128]))
}

/// What stands on standard error after `act`, with previews of this choice in a terminal of this kind.
fn shown(choice: PreviewChoice, term: &str, terminal: bool, act: impl FnOnce(&mut Ui)) -> String {
    let environment = Environment::of(&[("TERM", term)]);
    let (out, err) = seen(OPTIONS, terminal, |ui| {
        ui.show_previews_on(choice, &environment, ROOM);
        act(ui);
    });
    assert_eq!(out, "", "standard output is for data");
    err
}

#[test]
fn piped_there_is_a_note_and_not_one_control_character() {
    for choice in [PreviewChoice::Auto, PreviewChoice::Kitty, PreviewChoice::Blocks] {
        let text = shown(choice, "xterm-kitty", false, |ui| ui.preview(&picture(), true));
        assert_eq!(text, "note: no preview: standard error is no terminal\n");
    }
}

#[test]
fn blocks_are_a_line_for_two_rows_of_pixels() {
    let text = shown(PreviewChoice::Auto, "xterm-256color", true, |ui| ui.preview(&picture(), true));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "three rows are kept");
    assert!(lines.iter().all(|line| line.matches('▀').count() == 8 && line.ends_with("\x1b[0m")), "{text:?}");
}

#[test]
fn an_unfinished_picture_is_drawn_over_unless_something_was_printed_below() {
    let text = shown(PreviewChoice::Blocks, "xterm", true, |ui| {
        ui.preview(&picture(), false);
        ui.preview(&picture(), false);
        ui.preview(&picture(), true);
        ui.preview(&picture(), true);
    });
    assert_eq!(text.matches("\x1b[4A\x1b[J").count(), 2, "the second and the third");
    let text = shown(PreviewChoice::Blocks, "xterm", true, |ui| {
        ui.preview(&picture(), false);
        ui.warning("x");
        ui.preview(&picture(), false);
    });
    assert!(!text.contains("\x1b[4A"), "{text:?}");
}

#[test]
fn graphics_leave_the_cursor_below_the_picture() {
    for (choice, sign) in [
        (PreviewChoice::Kitty, "\x1b_G"),
        (PreviewChoice::Iterm, "\x1b]1337;File="),
        (PreviewChoice::Sixel, "\x1bP0;1;0q"),
    ] {
        let text = shown(choice, "xterm", true, |ui| ui.preview(&picture(), true));
        assert!(text.starts_with("\n\n\n\n\x1b[4A\x1b7") && text.ends_with("\x1b8\x1b[4B\r"), "{choice:?}: {text:?}");
        assert!(text.contains(sign), "{choice:?}: {text:?}");
    }
}

#[test]
fn tmux_passes_commands_through() {
    let environment = Environment::of(&[("TERM", "tmux-256color"), ("TMUX", "socket,1,0")]);
    let (_, text) = seen(OPTIONS, true, |ui| {
        ui.show_previews_on(PreviewChoice::Kitty, &environment, ROOM);
        ui.preview(&picture(), true);
    });
    assert!(text.contains("allow-passthrough"), "{text:?}");
    assert!(text.contains("\x1bPtmux;\x1b\x1b_Ga=T,") && text.contains("\x1b\x1b\\\x1b\\"), "{text:?}");
}

#[test]
fn steps_are_shown_where_there_is_a_bar() {
    let steps = |options: UiOptions| {
        let mut steps = false;
        seen(options, true, |ui| {
            ui.show_previews_on(PreviewChoice::Blocks, &Environment::default(), ROOM);
            steps = ui.shows_steps();
        });
        steps
    };
    assert!(steps(OPTIONS));
    assert!(!steps(UiOptions { progress: false, ..OPTIONS }) && !steps(UiOptions { quiet: true, ..OPTIONS }));
}
