//! Pictures as text: each cell is an upper half block, whose colour is the pixel above and whose background is the one below.

use std::fmt::Write;

use image::{Rgb, RgbImage};

/// Levels of a channel among the 216 colours of the cube that terminals with 256 colours have from number 16 on.
const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// A picture with an even number of rows, a cell for each two pixels.
pub(super) fn draw(picture: &RgbImage, true_color: bool) -> String {
    let mut text = String::new();
    for y in (0..picture.height()).step_by(2) {
        for x in 0..picture.width() {
            let below = *picture.get_pixel(x, (y + 1).min(picture.height() - 1));
            let (front, back) = (color(*picture.get_pixel(x, y), true_color), color(below, true_color));
            let _ = write!(text, "\x1b[38;{front};48;{back}m▀");
        }
        text += "\x1b[0m\n";
    }
    text
}

/// A colour as a parameter of "select graphic rendition".
fn color(Rgb([r, g, b]): Rgb<u8>, true_color: bool) -> String {
    if true_color {
        return format!("2;{r};{g};{b}");
    }
    let level =
        |value: u8| LEVELS.iter().enumerate().min_by_key(|(_, level)| level.abs_diff(value)).map_or(0, |(i, _)| i);
    format!("5;{}", 16 + 36 * level(r) + 6 * level(g) + level(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_two_pixels() {
        let picture =
            RgbImage::from_fn(2, 2, |x, y| Rgb([if x == 0 { 255 } else { 0 }, if y == 0 { 0 } else { 200 }, 0]));
        let expected = "\x1b[38;2;255;0;0;48;2;255;200;0m▀\x1b[38;2;0;0;0;48;2;0;200;0m▀\x1b[0m\n";
        assert_eq!(draw(&picture, true), expected);
        assert_eq!(draw(&picture, false), "\x1b[38;5;196;48;5;220m▀\x1b[38;5;16;48;5;40m▀\x1b[0m\n");
    }
}
