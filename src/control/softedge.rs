//! Soft edges, and scribbles of them, as controlnet_aux makes them with the HED network.

use image::RgbImage;

use super::blur::{blur_bytes, blur_floats};
use super::network::{tensor, Loader};
use super::pixels::Plane;
use super::resize::{resize_plane, Interpolation};
use super::Network;
use crate::models::annotators::hed::Hed;
use crate::Result;

/// Steps of edges that are safe to show: no more can be told of the picture behind them.
const STEPS: f64 = 2.0;
/// Pixels of a scribble's blur, what of it is a line, and what of the line's blur.
const SIGMA: f64 = 3.0;
const LINE: f32 = 127.0;
const WIDE: f32 = 4.0;

/// White edges on black; with `safe` in three steps.
pub(super) fn softedge(picture: &RgbImage, safe: bool, load: &Loader<'_>) -> Result<RgbImage> {
    let network = load.build(Network::Hed, Hed::new)?;
    let edges = network.forward(&tensor(picture, [0.0; 3], [1.0; 3])?)?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut sum = vec![0f64; width * height];
    for edges in &edges {
        let (_, _, high, wide) = edges.dims4()?;
        let small = Plane::new(wide, high, 1, edges.flatten_all()?.to_vec1()?);
        let large = resize_plane(&small, (width, height), Interpolation::Linear);
        sum.iter_mut().zip(&large.values).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let count = edges.len() as f64;
    let strength = |sum: f64| {
        let edge = 1.0 / (1.0 + (-sum / count).exp());
        let edge = if safe { (edge * (STEPS + 1.0)).floor() / STEPS } else { edge };
        (edge * 255.0) as f32
    };
    Ok(Plane::new(width, height, 1, sum.into_iter().map(strength).collect()).cut_to_picture())
}

/// Bold lines where edges are strongest.
pub(super) fn scribble(edges: &RgbImage) -> RgbImage {
    let smooth = blur_floats(&Plane::of(edges).map(|pixel| pixel[0]), SIGMA);
    let (width, height) = (smooth.width as isize, smooth.height as isize);
    let at = |x: isize, y: isize| {
        let inside = (0..width).contains(&x) && (0..height).contains(&y);
        if inside {
            smooth.values[(y * width + x) as usize]
        } else {
            f32::NEG_INFINITY
        }
    };
    let mut lines = smooth.clone();
    for (i, value) in lines.values.iter_mut().enumerate() {
        let (x, y) = (i as isize % width, i as isize / width);
        // The strongest along the row, the column or a diagonal.
        let directions = [(1, 0), (0, 1), (1, 1), (1, -1)];
        let is_ridge = directions.iter().any(|(dx, dy)| *value >= at(x + dx, y + dy) && *value >= at(x - dx, y - dy));
        *value = if is_ridge && *value > LINE { 255.0 } else { 0.0 };
    }
    let wide = blur_bytes(&lines, SIGMA);
    wide.map(|value| if value[0].round_ties_even() > WIDE { 255.0 } else { 0.0 }).cut_to_picture()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::prepare::for_network;
    use crate::control::testing::{difference, reference, same_share, Fixtures};

    #[test]
    fn edges_are_the_references() {
        let picture = for_network(&reference("annotators/photo.png"), 128);
        for (safe, file) in [(false, "plain"), (true, "safe")] {
            let edges = softedge(&picture, safe, &Loader(&Fixtures)).unwrap();
            let expected = reference(&format!("hed/photo_{file}.png"));
            if safe {
                assert!(same_share(&edges, &expected) >= 0.995);
            } else {
                assert!(difference(&edges, &expected) <= 2);
                assert!(same_share(&scribble(&edges), &reference("hed/photo_scribble.png")) >= 0.99);
            }
        }
    }
}
