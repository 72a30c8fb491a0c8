//! Sixel graphics (DEC's VT340): six rows at a time, a pass for each colour in them. Colours are those of a fixed cube, dithered: terminals
//! have 256 of them, and the next picture has the same.

use std::fmt::Write;

use image::RgbImage;

/// Levels of red, green and blue: the eye tells most greens apart.
const LEVELS: [u32; 3] = [6, 7, 6];
/// Rows of a band.
const BAND: u32 = 6;
/// Bayer's matrix of 4x4, for ordered dithering.
const BAYER: [[u32; 4]; 4] = [[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]];

/// The command that shows a picture at its size.
pub(super) fn command(picture: &RgbImage) -> String {
    let (width, height) = picture.dimensions();
    let mut text = format!("\x1bP0;1;0q\"1;1;{width};{height}");
    let colors = LEVELS.iter().product::<u32>();
    for color in 0..colors {
        let [r, g, b] = percent(color);
        let _ = write!(text, "#{color};2;{r};{g};{b}");
    }
    let mut used = vec![false; colors as usize];
    for top in (0..height).step_by(BAND as usize) {
        let rows = top..(top + BAND).min(height);
        let band: Vec<Vec<u32>> = rows.map(|y| (0..width).map(|x| nearest(picture, x, y)).collect()).collect();
        used.fill(false);
        band.iter().flatten().for_each(|color| used[*color as usize] = true);
        for color in (0..colors).filter(|color| used[*color as usize]) {
            let _ = write!(text, "#{color}");
            row(&mut text, &band, color);
            text.push('$');
        }
        text.push('-');
    }
    text + "\x1b\\"
}

/// One pass over a band: which of the six pixels of each column have this colour.
fn row(text: &mut String, band: &[Vec<u32>], color: u32) {
    let columns = band.first().map_or(0, Vec::len);
    let bits = |x: usize| band.iter().enumerate().fold(0u8, |bits, (i, row)| bits | u8::from(row[x] == color) << i);
    let mut x = 0;
    while x < columns {
        let pattern = bits(x);
        let run = (x..columns).take_while(|x| bits(*x) == pattern).count();
        let sign = char::from(b'?' + pattern);
        match run {
            1..=3 => text.extend(std::iter::repeat_n(sign, run)),
            _ => {
                let _ = write!(text, "!{run}{sign}");
            }
        }
        x += run;
    }
}

/// The number of a pixel's colour.
fn nearest(picture: &RgbImage, x: u32, y: u32) -> u32 {
    let threshold = 2 * BAYER[(y % 4) as usize][(x % 4) as usize] + 1;
    let levels = picture.get_pixel(x, y).0.iter().zip(LEVELS);
    // Between two levels, 32 thresholds decide how often it is the upper one.
    levels.fold(0, |number, (value, levels)| {
        number * levels + (u32::from(*value) * (levels - 1) * 32 + threshold * 255) / (255 * 32)
    })
}

/// Red, green and blue of a colour's number, in percent.
fn percent(color: u32) -> [u32; 3] {
    let [_, greens, blues] = LEVELS;
    let indices = [color / (greens * blues), color / blues % greens, color % blues];
    [0, 1, 2].map(|channel| (indices[channel] * 200 / (LEVELS[channel] - 1)).div_ceil(2))
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// A decoder for what is written here.
    fn decode(text: &str) -> RgbImage {
        let body = text.strip_prefix("\x1bP0;1;0q\"1;1;").unwrap().strip_suffix("\x1b\\").unwrap();
        let (size, mut rest) = body.split_at(body.find('#').unwrap());
        let (width, height) = size.split_once(';').unwrap();
        let mut picture = RgbImage::new(width.parse().unwrap(), height.parse().unwrap());
        let (mut color, mut x, mut top) = (0, 0, 0);
        while let Some(sign) = rest.chars().next() {
            rest = &rest[1..];
            let number = |rest: &mut &str| {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let (digits, after) = rest.split_at(end);
                *rest = after;
                digits.parse::<u32>().unwrap()
            };
            let mut run = 1;
            let mut sign = sign;
            match sign {
                '#' => {
                    color = number(&mut rest);
                    if let Some(after) = rest.strip_prefix(";2;") {
                        rest = &after[after.find(['#', '$', '!']).unwrap()..];
                    }
                    continue;
                }
                '$' => {
                    x = 0;
                    continue;
                }
                '-' => {
                    (x, top) = (0, top + BAND);
                    continue;
                }
                '!' => {
                    run = number(&mut rest);
                    sign = rest.chars().next().unwrap();
                    rest = &rest[1..];
                }
                _ => {}
            }
            for x in x..x + run {
                for bit in (0..BAND).filter(|bit| (sign as u8 - b'?') >> bit & 1 == 1) {
                    picture.put_pixel(x, top + bit, Rgb(percent(color).map(|p| (p * 255 / 100) as u8)));
                }
            }
            x += run;
        }
        picture
    }

    #[test]
    fn the_colours_come_back_on_average() {
        let picture = RgbImage::from_fn(16, 15, |x, y| Rgb([if x < 8 { 200 } else { 20 }, (y / 5 * 100) as u8, 255]));
        let decoded = decode(&command(&picture));
        for (left, top) in [(0, 0), (8, 0), (0, 5), (8, 10)] {
            for channel in 0..3 {
                let sum = |of: &RgbImage| {
                    (0..16).map(|i| i32::from(of.get_pixel(left + i % 4, top + i / 4).0[channel])).sum::<i32>()
                };
                let difference = (sum(&decoded) - sum(&picture)).abs() / 16;
                assert!(difference <= 3, "{left},{top} channel {channel}: {difference}");
            }
        }
    }

    #[test]
    fn black_and_white_are_pure() {
        for value in [0, 255] {
            let picture = RgbImage::from_pixel(5, 7, Rgb([value; 3]));
            assert_eq!(decode(&command(&picture)), picture);
        }
    }
}
