//! The ControlNet in `assets/controlnet/`: pictures follow drawn lines.

use std::f64::consts::TAU;
use std::path::Path;

use image::{Rgb, RgbImage};

use crate::support::{pixels, Sandbox};

const SIDE: u32 = 128;

/// A line, one pixel wide, white on black, through the points at all parts of the way from 0 to 1.
fn drawing(point: impl Fn(f64) -> (f64, f64)) -> RgbImage {
    let mut map = RgbImage::new(SIDE, SIDE);
    for i in 0..4000 {
        let (x, y) = point(f64::from(i) / 4000.0);
        map.put_pixel(x.round() as u32, y.round() as u32, Rgb([255; 3]));
    }
    map
}

fn circle(way: f64) -> (f64, f64) {
    let (sin, cos) = (way * TAU).sin_cos();
    (64.0 + 40.0 * cos, 64.0 + 40.0 * sin)
}

/// Five points, and as many corners between them.
fn star(way: f64) -> (f64, f64) {
    let corner = |i: f64| {
        let (sin, cos) = (i * TAU / 10.0).sin_cos();
        let radius = if (i as u32).is_multiple_of(2) { 50.0 } else { 21.0 };
        (64.0 + radius * sin, 66.0 - radius * cos)
    };
    let (from, part) = ((way * 10.0).floor(), (way * 10.0).fract());
    let ((x, y), (to_x, to_y)) = (corner(from), corner(from + 1.0));
    (x + part * (to_x - x), y + part * (to_y - y))
}

fn heart(way: f64) -> (f64, f64) {
    let t = way * TAU;
    let y = 13.0 * t.cos() - 5.0 * (2.0 * t).cos() - 2.0 * (3.0 * t).cos() - (4.0 * t).cos();
    (64.0 + 2.9 * 16.0 * t.sin().powi(3), 62.0 - 2.9 * y)
}

/// The part of the bright pixels of `lines` that have one of `edges` within two pixels.
fn met(lines: &RgbImage, edges: &RgbImage) -> f64 {
    let bright = |picture: &RgbImage, x: i64, y: i64| {
        let inside = (0..i64::from(SIDE)).contains(&x) && (0..i64::from(SIDE)).contains(&y);
        inside && picture.get_pixel(x as u32, y as u32).0[0] > 127
    };
    let near = |x: i64, y: i64| (-2..=2).any(|dy| (-2..=2).any(|dx| bright(edges, x + dx, y + dy)));
    let places = (0..i64::from(SIDE * SIDE)).map(|i| (i % i64::from(SIDE), i / i64::from(SIDE)));
    let lines: Vec<(i64, i64)> = places.filter(|(x, y)| bright(lines, *x, *y)).collect();
    lines.iter().filter(|(x, y)| near(*x, *y)).count() as f64 / lines.len() as f64
}

/// How much of the drawing is edges of the picture that `command` makes.
fn agreement(sandbox: &Sandbox, map: &RgbImage, command: &[&str]) -> f64 {
    let fixed =
        ["--seed", "1", "--scheduler", "ddim", "--steps", "20", "--dtype", "f32", "-o", "made.png", "--overwrite"];
    sandbox.run(command.iter().chain(&fixed)).succeeds();
    let edges = ["preprocess", "canny", "-i", "made.png", "--low", "60", "--high", "150", "-o", "-"];
    met(map, &pixels(&sandbox.run(edges).succeeds().stdout))
}

/// Measured: 0.97 to 1 with the ControlNet, 0 to 0.66 without.
#[test]
fn pictures_follow_a_drawing() {
    let sandbox = Sandbox::new();
    let net = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/controlnet/canny");
    let control = format!("{}=drawing.png", net.display());
    type Line = fn(f64) -> (f64, f64);
    for (line, prompt) in [(circle as Line, "basketball"), (star, "star"), (heart, "red heart")] {
        let map = drawing(line);
        map.save(sandbox.path("drawing.png")).unwrap();
        let with = agreement(&sandbox, &map, &["controlnet", prompt, "--control", &control]);
        let without = agreement(&sandbox, &map, &["generate", prompt]);
        assert!(with > 0.95 && without < 0.7, "{prompt}: {with} with the ControlNet, {without} without");
    }
}
