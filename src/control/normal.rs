//! Surface normals from depth, as controlnet_aux makes them of MiDaS' depth.

use std::f64::consts::PI;

use image::RgbImage;

use super::pixels::{mirrored, Plane};

/// How flat surfaces look: the normal's part towards the eye, where depth has levels of a step each.
pub(super) const FLATNESS: f64 = 2.0 * PI;

/// Of the depth from the farthest 0 to the nearest 1, what is background, which faces the eye.
pub(super) const BACKGROUND: f64 = 0.1;

/// Normals of a depth plane, larger values nearer: components of -1..1 as 0..255, towards the eye in red, down in green, right in
/// blue (the reference stores them in this order).
pub(super) fn normals(depth: &Plane, flatness: f64, background: f64) -> RgbImage {
    let Plane { width, height, .. } = *depth;
    let (least, most) =
        depth.values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    let range = most - least;
    let at = |x: isize, y: isize| depth.values[mirrored(y, height) * width + mirrored(x, width)];
    let mut normals = Vec::with_capacity(width * height * 3);
    for (y, row) in depth.values.chunks_exact(width).enumerate() {
        for (x, value) in row.iter().enumerate() {
            // Of a flat depth nothing is background: there is nothing before it.
            let is_background = range > 0.0 && f64::from((value - least) / range) < background;
            let (x, y) = (x as isize, y as isize);
            let column = |x| at(x, y - 1) + 2.0 * at(x, y) + at(x, y + 1);
            let line = |y| at(x - 1, y) + 2.0 * at(x, y) + at(x + 1, y);
            let (dx, dy) =
                if is_background { (0.0, 0.0) } else { (column(x + 1) - column(x - 1), line(y + 1) - line(y - 1)) };
            let towards = flatness as f32;
            let length = (dx * dx + dy * dy + towards * towards).sqrt();
            normals.extend([towards, dy, dx].map(|part| part / length * 127.5 + 127.5));
        }
    }
    Plane::new(width, height, 3, normals).cut_to_picture()
}

/// Normals of a picture that is a depth map, bright for near; its levels are the depth.
pub(super) fn normals_of_map(picture: &RgbImage, flatness: f64, background: f64) -> RgbImage {
    let depth = Plane::of(picture).map(|pixel| pixel.iter().sum::<f32>() / 3.0);
    normals(&depth, flatness, background)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::{difference, plane, reference};

    #[test]
    fn normals_are_the_references() {
        for (depth, flatness, background, file) in
            [("depth_1", 2.0 * PI, 0.1, "n1_6.28_0.1"), ("depth_2", PI, 0.4, "n2_3.14_0.4")]
        {
            let found = normals(&plane("normal/depths.safetensors", depth), flatness, background);
            assert!(difference(&found, &reference(&format!("normal/{file}.png"))) <= 1, "{file}");
        }
    }

    #[test]
    fn a_wall_faces_the_eye() {
        let wall = RgbImage::from_pixel(9, 7, image::Rgb([80; 3]));
        let map = normals_of_map(&wall, FLATNESS, BACKGROUND);
        assert!(map.pixels().all(|pixel| pixel.0 == [255, 127, 127]));
    }
}
