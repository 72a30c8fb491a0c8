//! The coloured skeleton that ControlNets for poses were trained on.

use image::RgbImage;

use super::people::{Body, LIMBS};
use crate::control::draw::{disc, ellipse, thick_line};

/// Half the width of a limb, and the size of a joint.
const STICK: i64 = 4;
const JOINT: i64 = 4;
/// The size of a point of a face.
const POINT: i64 = 3;
/// Limbs that are drawn.
const DRAWN: usize = 17;

/// The colours of limbs, which are drawn darker, and of joints.
const COLORS: [[u8; 3]; 18] = [
    [255, 0, 0],
    [255, 85, 0],
    [255, 170, 0],
    [255, 255, 0],
    [170, 255, 0],
    [85, 255, 0],
    [0, 255, 0],
    [0, 255, 85],
    [0, 255, 170],
    [0, 255, 255],
    [0, 170, 255],
    [0, 85, 255],
    [0, 0, 255],
    [85, 0, 255],
    [170, 0, 255],
    [255, 0, 255],
    [255, 0, 170],
    [255, 0, 85],
];

/// Points as fractions of the picture's sides; what is unknown is negative.
pub(super) type Points = Vec<(f32, f32)>;

/// Draws limbs, and joints on them.
pub(super) fn draw_body(canvas: &mut RgbImage, body: &Body) {
    let (width, height) = (f64::from(canvas.width()), f64::from(canvas.height()));
    // There and back as the reference keeps them: a pixel may be lost on the way.
    let place =
        |part: usize| body.parts[part].map(|peak| (peak.x as f64 / width * width, peak.y as f64 / height * height));
    for (limb, color) in LIMBS.iter().zip(COLORS).take(DRAWN) {
        let [Some(from), Some(to)] = limb.map(place) else { continue };
        let center = (((from.0 + to.0) / 2.0) as i64, ((from.1 + to.1) / 2.0) as i64);
        let (dx, dy) = (from.0 - to.0, from.1 - to.1);
        let length = (dx * dx + dy * dy).sqrt();
        let angle = dy.atan2(dx).to_degrees() as i64;
        let darker = color.map(|value| (f64::from(value) * 0.6) as u8);
        ellipse(canvas, center, ((length / 2.0) as i64, STICK), angle, darker);
    }
    for (part, color) in COLORS.iter().enumerate() {
        if let Some((x, y)) = place(part) {
            disc(canvas, (x as i64, y as i64), JOINT, *color);
        }
    }
}

/// Draws the five fingers of a hand and their joints.
pub(super) fn draw_hand(canvas: &mut RgbImage, points: &Points) {
    let places = places(canvas, points);
    let bones = (0..5).flat_map(|finger| (0..4).map(move |bone| (finger, bone)));
    for (number, (finger, bone)) in bones.enumerate() {
        let from = if bone == 0 { 0 } else { finger * 4 + bone };
        if let (Some(Some(from)), Some(Some(to))) = (places.get(from), places.get(finger * 4 + bone + 1)) {
            thick_line(canvas, *from, *to, hue(number as f64 / 20.0));
        }
    }
    for place in places.into_iter().flatten() {
        disc(canvas, place, JOINT, [0, 0, 255]);
    }
}

/// Draws the points of a face.
pub(super) fn draw_face(canvas: &mut RgbImage, points: &Points) {
    for place in places(canvas, points).into_iter().flatten() {
        disc(canvas, place, POINT, [255; 3]);
    }
}

/// Pixels of points; none for those at the left or upper border, where what was not found is.
fn places(canvas: &RgbImage, points: &Points) -> Vec<Option<(i64, i64)>> {
    let (width, height) = (canvas.width() as f32, canvas.height() as f32);
    let place = |(x, y): &(f32, f32)| Some(((x * width) as i64, (y * height) as i64)).filter(|(x, y)| *x > 0 && *y > 0);
    points.iter().map(place).collect()
}

/// The pure colour of a hue of 0..1.
fn hue(hue: f64) -> [u8; 3] {
    let sixth = hue * 6.0;
    let rest = sixth - sixth.floor();
    let color = match sixth as u8 {
        0 => [1.0, rest, 0.0],
        1 => [1.0 - rest, 1.0, 0.0],
        2 => [0.0, 1.0, rest],
        3 => [0.0, 1.0 - rest, 1.0],
        4 => [rest, 0.0, 1.0],
        _ => [1.0, 0.0, 1.0 - rest],
    };
    color.map(|value| (value * 255.0_f64).round_ties_even() as u8)
}
