//! Filled shapes as OpenCV rasterises them: convex polygons, discs, thick lines. Coordinates are fixed-point numbers with 16 bits
//! behind the point; a pixel is hit where its middle is, and outlines belong to a shape.

use image::{Rgb, RgbImage};

/// Bits behind the point, one, and a half.
const BITS: u32 = 16;
const ONE: i64 = 1 << BITS;
const HALF: i64 = ONE / 2;

/// A place between pixels.
type Point = (i64, i64);

/// A polygon around an ellipse of these half axes, turned by whole degrees, filled.
pub(super) fn ellipse(picture: &mut RgbImage, center: (i64, i64), axes: (i64, i64), degrees: i64, color: [u8; 3]) {
    let (cos, sin) = (cosine(degrees), sine(degrees));
    let mut corners: Vec<Point> = Vec::with_capacity(361);
    for degrees in 0..=360 {
        let (x, y) = (axes.0 as f64 * cosine(degrees), axes.1 as f64 * sine(degrees));
        let turned = (center.0 as f64 + x * cos - y * sin, center.1 as f64 + x * sin + y * cos);
        let corner = (turned.0.round_ties_even() as i64, turned.1.round_ties_even() as i64);
        if corners.last() != Some(&corner) {
            corners.push(corner);
        }
    }
    let mut before = corners.last().copied();
    for corner in &corners {
        if let Some(before) = before.replace(*corner) {
            line(picture, before, *corner, color);
        }
    }
    let corners: Vec<Point> = corners.into_iter().map(|(x, y)| (x << BITS, y << BITS)).collect();
    fill(picture, &corners, color);
}

/// Of whole degrees, with the seven digits of OpenCV's table.
fn sine(degrees: i64) -> f64 {
    let exact = (degrees.rem_euclid(360) as f64).to_radians().sin();
    f64::from(((exact * 1e7).round() / 1e7) as f32)
}

fn cosine(degrees: i64) -> f64 {
    sine(degrees + 90)
}

/// A disc.
pub(super) fn disc(picture: &mut RgbImage, center: (i64, i64), radius: i64, color: [u8; 3]) {
    let (mut dx, mut dy, mut error) = (radius, 0, 0);
    let (mut plus, mut minus) = (1, 2 * radius - 1);
    while dx >= dy {
        for (rows, half) in [(dy, dx), (dx, dy)] {
            for y in [center.1 - rows, center.1 + rows] {
                span(picture, y, center.0 - half, center.0 + half, color);
            }
        }
        dy += 1;
        error += plus;
        plus += 2;
        if error > 0 {
            error -= minus;
            dx -= 1;
            minus -= 2;
        }
    }
}

/// A line of two pixels with round ends.
pub(super) fn thick_line(picture: &mut RgbImage, from: (i64, i64), to: (i64, i64), color: [u8; 3]) {
    let (dx, dy) = ((from.0 - to.0) as f64, (to.1 - from.1) as f64);
    let length = (dx * dx + dy * dy).sqrt();
    if length > 0.0 {
        let side = |part: f64| (part * ONE as f64 / length).round_ties_even() as i64;
        let (across, down) = (side(dy), side(dx));
        let corner = |(x, y): (i64, i64), sign: i64| ((x << BITS) + sign * across, (y << BITS) + sign * down);
        let corners = [corner(from, 1), corner(from, -1), corner(to, -1), corner(to, 1)];
        for (i, to) in corners.iter().enumerate() {
            fine_line(picture, corners[(i + 3) % 4], *to, color);
        }
        fill(picture, &corners, color);
    }
    disc(picture, from, 1, color);
    disc(picture, to, 1, color);
}

/// The inside of a convex polygon.
fn fill(picture: &mut RgbImage, corners: &[Point], color: [u8; 3]) {
    let row = |y: i64| (y + HALF) >> BITS;
    let rows = corners.iter().map(|corner| row(corner.1));
    let (Some(top), Some(bottom)) = (rows.clone().min(), rows.max()) else { return };
    for y in top.max(0)..=bottom.min(i64::from(picture.height()) - 1) {
        let mut ends: Option<(i64, i64)> = None;
        for (i, a) in corners.iter().enumerate() {
            let b = &corners[(i + 1) % corners.len()];
            let (upper, lower) = if a.1 <= b.1 { (a, b) } else { (b, a) };
            let (start, end) = (row(upper.1), row(lower.1));
            if (start..end).contains(&y) {
                let slope = ((lower.0 - upper.0) * 2 + (end - start)) / (2 * (end - start));
                let x = (upper.0 + (y - start) * slope + HALF) >> BITS;
                ends = Some(ends.map_or((x, x), |(left, right)| (left.min(x), right.max(x))));
            }
        }
        if let Some((left, right)) = ends {
            span(picture, y, left, right, color);
        }
    }
}

/// A line from pixel to pixel (Bresenham 1965).
fn line(picture: &mut RgbImage, from: (i64, i64), to: (i64, i64), color: [u8; 3]) {
    let (from, to) = if to.0 < from.0 { (to, from) } else { (from, to) };
    let (dx, dy, down) = (to.0 - from.0, (to.1 - from.1).abs(), (to.1 - from.1).signum());
    let (long, short) = (dx.max(dy), dx.min(dy));
    let (mut x, mut y, mut error) = (from.0, from.1, long - 2 * short);
    for _ in 0..=long {
        span(picture, y, x, x, color);
        let both = error < 0;
        error += if both { 2 * long - 2 * short } else { -2 * short };
        if dy > dx {
            y += down;
            x += i64::from(both);
        } else {
            x += 1;
            y += if both { down } else { 0 };
        }
    }
}

/// A line between places that are no pixels.
fn fine_line(picture: &mut RgbImage, from: Point, to: Point, color: [u8; 3]) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let flat = dx.abs() > dy.abs();
    let turned = |(x, y): Point| if flat { (x, y) } else { (y, x) };
    let (mut from, mut to) = (turned(from), turned(to));
    if to.0 < from.0 {
        std::mem::swap(&mut from, &mut to);
    }
    let slope = ((to.1 - from.1) << BITS) / ((to.0 - from.0) | 1);
    let mut put = |along: i64, across: i64| {
        let (x, y) = turned((along, across));
        span(picture, y, x, x, color);
    };
    put((to.0 + HALF) >> BITS, (to.1 + HALF) >> BITS);
    for step in 0..=(to.0 - from.0) >> BITS {
        put(((from.0 + HALF) >> BITS) + step, (from.1 + HALF + step * slope) >> BITS);
    }
}

/// A row's pixels from `left` to `right`, as far as they are in the picture.
fn span(picture: &mut RgbImage, y: i64, left: i64, right: i64, color: [u8; 3]) {
    if !(0..i64::from(picture.height())).contains(&y) {
        return;
    }
    for x in left.max(0)..=right.min(i64::from(picture.width()) - 1) {
        picture.put_pixel(x as u32, y as u32, Rgb(color));
    }
}
