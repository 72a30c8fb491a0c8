//! Words drawn into a picture, with the font in `assets/fonts`.

use ::image::{Rgb, RgbImage};
use ab_glyph::{point, Font, FontRef, PxScale, ScaleFont};

use crate::{Error, Result};

const FONT: &[u8] = include_bytes!("../../../assets/fonts/DejaVuSans-subset.ttf");
const INK: f32 = 32.0;

/// Lines of a label; what is longer ends in an ellipsis.
const MOST_LINES: usize = 4;

/// A font of one size.
pub(super) struct Words {
    font: FontRef<'static>,
    scale: PxScale,
}

impl Words {
    /// Letters of so many pixels.
    ///
    /// # Errors
    /// When the font cannot be read.
    pub(super) fn new(size: f32) -> Result<Self> {
        let font = FontRef::try_from_slice(FONT)
            .map_err(|e| Error::picture(format!("the font for labels is damaged: {e}"), "build sdgen anew"))?;
        Ok(Words { font, scale: PxScale::from(size) })
    }

    /// Whether there is a letter for a character; spaces need none.
    pub(super) fn has(&self, c: char) -> bool {
        c.is_whitespace() || self.font.glyph_id(c).0 != 0
    }

    /// Pixels from one line to the next.
    pub(super) fn line(&self) -> u32 {
        (self.scale.y * 1.25).ceil() as u32
    }

    /// Pixels that a line takes.
    pub(super) fn width(&self, line: &str) -> u32 {
        let font = self.font.as_scaled(self.scale);
        line.chars().map(|c| font.h_advance(font.glyph_id(c))).sum::<f32>().ceil() as u32
    }

    /// A text in lines of at most `width` pixels, broken between words where there are any.
    pub(super) fn wrapped(&self, text: &str, width: u32) -> Vec<String> {
        let mut lines = vec![String::new()];
        for word in text.split_whitespace() {
            let fits = |line: &str| self.width(line) <= width;
            let last = lines.len() - 1;
            let longer = if lines[last].is_empty() { word.to_owned() } else { format!("{} {word}", lines[last]) };
            if fits(&longer) {
                lines[last] = longer;
                continue;
            }
            let mut line = String::new();
            for c in word.chars() {
                line.push(c);
                if !fits(&line) && line.chars().count() > 1 {
                    line.pop();
                    lines.push(std::mem::replace(&mut line, c.to_string()));
                }
            }
            lines.push(line);
        }
        lines.retain(|line| !line.is_empty());
        if lines.len() > MOST_LINES {
            lines.truncate(MOST_LINES);
            if let Some(last) = lines.last_mut() {
                while self.width(&format!("{last}…")) > width && last.pop().is_some() {}
                last.push('…');
            }
        }
        lines
    }

    /// Draws lines from a corner downwards, each in the middle of `width` pixels.
    pub(super) fn draw(&self, canvas: &mut RgbImage, lines: &[String], (left, top): (u32, u32), width: u32) {
        let font = self.font.as_scaled(self.scale);
        for (index, line) in lines.iter().enumerate() {
            let mut x = (left + width.saturating_sub(self.width(line)) / 2) as f32;
            let y = (top + index as u32 * self.line()) as f32 + font.ascent();
            for c in line.chars() {
                let glyph = font.glyph_id(c);
                if let Some(outline) = font.outline_glyph(glyph.with_scale_and_position(self.scale, point(x, y))) {
                    let corner = outline.px_bounds().min;
                    outline.draw(|dx, dy, cover| blend(canvas, corner.x + dx as f32, corner.y + dy as f32, cover));
                }
                x += font.h_advance(glyph);
            }
        }
    }
}

fn blend(canvas: &mut RgbImage, x: f32, y: f32, cover: f32) {
    if x < 0.0 || y < 0.0 {
        return;
    }
    if let Some(Rgb(pixel)) = canvas.get_pixel_mut_checked(x as u32, y as u32) {
        *pixel = pixel.map(|value| (f32::from(value) * (1.0 - cover) + INK * cover).round() as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_end_in_an_ellipsis() {
        let words = Words::new(12.0).unwrap();
        assert_eq!(words.wrapped("steps: 10", 200), ["steps: 10"]);
        assert_eq!(words.wrapped("steps: 10", 40), ["steps:", "10"]);
        assert!(words.wrapped("", 40).is_empty());
        let long = words.wrapped(&"word ".repeat(50), 60);
        assert_eq!(long.len(), MOST_LINES);
        assert!(long[MOST_LINES - 1].ends_with('…'));
        let unbroken = words.wrapped(&"x".repeat(100), 60);
        assert!(unbroken.iter().chain(&long).all(|line| words.width(line) <= 60), "{unbroken:?}");
    }
}
