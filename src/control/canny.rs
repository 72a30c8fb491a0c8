//! Edges by Canny's method (Canny 1986), pixel for pixel as OpenCV's `Canny` with an aperture of 3 and the L1 norm finds them:
//! on colour pictures the strongest channel counts at each pixel, directions are told apart with the tangents of 22.5 and 67.5
//! degrees in fixed-point numbers, borders are repeated.

use image::RgbImage;
use rayon::prelude::*;

/// The tangent of 22.5 degrees with 15 bits behind the point.
const TANGENT: i64 = 13573;

/// What is known of a pixel while edges are traced.
const NO_EDGE: u8 = 0;
const CANDIDATE: u8 = 1;
const EDGE: u8 = 2;

/// The gradient at a pixel: along the row, along the column, and the sum of their sizes.
#[derive(Debug, Clone, Copy, Default)]
struct Gradient {
    dx: i32,
    dy: i32,
    size: i32,
}

/// White edges on black, of the picture's size. `low` and `high` are strengths, of 0 to 2040: an edge begins where it is above
/// the higher one and goes on while it is above the lower one. Their order does not matter, and fractions are dropped.
pub(super) fn canny(picture: &RgbImage, low: f64, high: f64) -> RgbImage {
    let (low, high) = (low.min(high).floor() as i32, low.max(high).floor() as i32);
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let gradients = gradients(picture.as_raw(), width, height);
    let mut marks = ridges(&gradients, width, height, low, high);
    trace(&mut marks, width, height);
    let bytes = marks.iter().flat_map(|mark| [if *mark == EDGE { 255 } else { 0 }; 3]).collect();
    RgbImage::from_raw(picture.width(), picture.height(), bytes).unwrap_or_default()
}

fn gradients(bytes: &[u8], width: usize, height: usize) -> Vec<Gradient> {
    let mut all = vec![Gradient::default(); width * height];
    all.par_chunks_exact_mut(width.max(1)).enumerate().for_each(|(y, row)| {
        let line = |y: usize| &bytes[y * width * 3..][..width * 3];
        let (above, here, below) = (line(y.saturating_sub(1)), line(y), line((y + 1).min(height - 1)));
        let lines = above.iter().zip(here).zip(below).map(|((a, b), c)| (i16::from(*a), i16::from(*b), i16::from(*c)));
        // Of each column: its smoothed value, and its slope downwards.
        let columns: Vec<(i16, i16)> = lines.map(|(a, b, c)| (a + 2 * b + c, c - a)).collect();
        for (x, strongest) in row.iter_mut().enumerate() {
            let pixel = |x: usize| &columns[x * 3..x * 3 + 3];
            let (left, middle, right) = (pixel(x.saturating_sub(1)), pixel(x), pixel((x + 1).min(width - 1)));
            for channel in 0..3 {
                let dx = i32::from(right[channel].0 - left[channel].0);
                let dy = i32::from(left[channel].1 + 2 * middle[channel].1 + right[channel].1);
                let size = dx.abs() + dy.abs();
                if channel == 0 || size > strongest.size {
                    *strongest = Gradient { dx, dy, size };
                }
            }
        }
    });
    all
}

/// Pixels that are stronger than their neighbours across the edge: [`EDGE`] above `high`, [`CANDIDATE`] above `low`.
fn ridges(gradients: &[Gradient], width: usize, height: usize, low: i32, high: i32) -> Vec<u8> {
    let mut marks = vec![NO_EDGE; width * height];
    let size = |x: isize, y: isize| {
        let inside = (0..width as isize).contains(&x) && (0..height as isize).contains(&y);
        if inside {
            gradients[y as usize * width + x as usize].size
        } else {
            0
        }
    };
    marks.par_chunks_exact_mut(width.max(1)).enumerate().for_each(|(y, row)| {
        for (x, mark) in row.iter_mut().enumerate() {
            let Gradient { dx, dy, size: here } = gradients[y * width + x];
            if here <= low {
                continue;
            }
            let (x, y) = (x as isize, y as isize);
            let (across, along) = (i64::from(dx.abs()), i64::from(dy.abs()) << 15);
            let flat = across * TANGENT;
            let is_ridge = if along < flat {
                here > size(x - 1, y) && here >= size(x + 1, y)
            } else if along > flat + (across << 16) {
                here > size(x, y - 1) && here >= size(x, y + 1)
            } else {
                let side = if (dx ^ dy) < 0 { -1 } else { 1 };
                here > size(x - side, y - 1) && here > size(x + side, y + 1)
            };
            if is_ridge {
                *mark = if here > high { EDGE } else { CANDIDATE };
            }
        }
    });
    marks
}

/// Candidates that touch an edge, at a corner or a side, become edges.
fn trace(marks: &mut [u8], width: usize, height: usize) {
    let mut open: Vec<usize> = (0..marks.len()).filter(|at| marks[*at] == EDGE).collect();
    while let Some(at) = open.pop() {
        let (x, y) = (at % width, at / width);
        for y in y.saturating_sub(1)..=(y + 1).min(height - 1) {
            for x in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                let near = y * width + x;
                if marks[near] == CANDIDATE {
                    marks[near] = EDGE;
                    open.push(near);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::control::testing::{picture, reference};
    use crate::testing::fixture;

    #[test]
    fn every_pixel_is_opencvs() {
        let folder = fixture("control/canny");
        let mut cases = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_string();
            // `odd_100_200`: the input, the thresholds.
            let [input, low, high] = name.split('_').collect::<Vec<_>>()[..] else { continue };
            let found = canny(&reference(&format!("canny/{input}.png")), low.parse().unwrap(), high.parse().unwrap());
            assert_eq!(found, picture(&path), "{name}");
            cases += 1;
        }
        assert_eq!(cases, 20);
    }
}
