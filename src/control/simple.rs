//! Maps that come from the colours of a picture alone, as the ControlNet extension of A1111 defines them.

use image::RgbImage;

use super::blur::{blur_bytes, blur_floats};
use super::pixels::{white_where, Plane};
use super::resize::{resize, Interpolation};

/// Dark for bright: 255 - x.
pub(super) fn invert(picture: &RgbImage) -> RgbImage {
    let mut map = picture.clone();
    map.pixels_mut().for_each(|pixel| pixel.0 = pixel.0.map(|value| 255 - value));
    map
}

/// White where all channels are above `threshold`.
pub(super) fn threshold(picture: &RgbImage, threshold: f64) -> RgbImage {
    white_where(picture, |pixel| f64::from(least(pixel)) > threshold)
}

/// A drawing of dark lines on bright paper as white lines on black: white where a channel is below `threshold`.
pub(super) fn scribble(picture: &RgbImage, threshold: f64) -> RgbImage {
    white_where(picture, |pixel| f64::from(least(pixel)) < threshold)
}

/// White where the picture is darker than its surroundings, by the difference of two Gaussians (Winnemöller 2011) of 0.5 and
/// 5 pixels; a lower threshold draws more. The reference doubles the difference in eight bits, which overflow, so that its
/// lines of black on white have holes; here they are whole.
pub(super) fn scribble_xdog(picture: &RgbImage, threshold: f64) -> RgbImage {
    let picture = Plane::of(picture);
    let difference = blur_floats(&picture, 5.0).zip(&blur_floats(&picture, 0.5), |wide, narrow| wide - narrow);
    let darker = difference.map(|pixel| {
        let least = pixel.iter().copied().fold(f32::INFINITY, f32::min);
        // As many levels as 8 bits tell apart.
        255.0 - (255.0 - least).clamp(0.0, 255.0).floor()
    });
    let lines = darker.map(|value| if f64::from(2.0 * value[0]) > threshold { 255.0 } else { 0.0 });
    lines.cut_to_picture()
}

/// Soft white lines where the picture is darker than its surroundings of 6 pixels, scaled by their middle strength.
pub(super) fn lineart_standard(picture: &RgbImage) -> RgbImage {
    let picture = Plane::of(picture);
    let darker = blur_floats(&picture, 6.0).zip(&picture, |around, here| around - here);
    let darker = darker.map(|pixel| pixel.iter().copied().fold(f32::INFINITY, f32::min).clamp(0.0, 255.0));
    let mut strong: Vec<f32> = darker.values.iter().copied().filter(|value| *value > 8.0).collect();
    let scale = median(&mut strong).unwrap_or(0.0).max(16.0);
    darker.map(|value| value[0] / scale * 127.0).cut_to_picture()
}

fn median(values: &mut [f32]) -> Option<f32> {
    values.sort_unstable_by(f32::total_cmp);
    let middle = values.len() / 2;
    let above = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { above } else { (values[middle - 1] + above) / 2.0 })
}

/// The picture behind frosted glass: a Gaussian of so many pixels.
pub(super) fn blur(picture: &RgbImage, sigma: f64) -> RgbImage {
    blur_bytes(&Plane::of(picture), sigma).round_to_picture()
}

/// The picture with both sides divided by `rate`, for ControlNets that add detail. A rate below 1.1 changes nothing.
pub(super) fn tile(picture: &RgbImage, rate: f64) -> RgbImage {
    if rate < 1.1 {
        return picture.clone();
    }
    let side = |side: u32| ((f64::from(side) / rate) as u32).max(1);
    resize(picture, (side(picture.width()), side(picture.height())), Interpolation::Area)
}

/// Squares of one colour, some 64 pixels wide.
pub(super) fn color_grid(picture: &RgbImage) -> RgbImage {
    let squares = |side: u32| (side / 64).max(1);
    let small = resize(picture, (squares(picture.width()), squares(picture.height())), Interpolation::Cubic);
    resize(&small, picture.dimensions(), Interpolation::Nearest)
}

/// Brightness as CIE L, to the power of `gamma`. As in the reference, which takes red for blue here: the ControlNets for
/// colouring were trained on these maps.
pub(super) fn recolor_luminance(picture: &RgbImage, gamma: f64) -> RgbImage {
    // OpenCV keeps the light in steps of 2040 and rounds 116 by 255 / 100 up: a dark level shows it.
    const STEPS: f64 = 2040.0;
    let light: Vec<f64> = (0..256).map(|byte| (linear(f64::from(byte) / 255.0) * STEPS).round()).collect();
    let lightness = |[r, g, b]: [u8; 3]| {
        let [r, g, b] = [r, g, b].map(|byte| light[usize::from(byte)]);
        let y = (0.072169 * r + 0.715160 * g + 0.212671 * b).round() / STEPS;
        let root = if y > 0.008856 { y.cbrt() } else { 7.787 * y + 16.0 / 116.0 };
        (296.0 * root - 40.8).round()
    };
    grey(picture, lightness, gamma)
}

/// Brightness as the strongest channel, to the power of `gamma`.
pub(super) fn recolor_intensity(picture: &RgbImage, gamma: f64) -> RgbImage {
    grey(picture, |[r, g, b]| f64::from(r.max(g).max(b)), gamma)
}

/// `brightness` is of 0..255.
fn grey(picture: &RgbImage, brightness: impl Fn([u8; 3]) -> f64, gamma: f64) -> RgbImage {
    let mut map = picture.clone();
    map.pixels_mut().for_each(|pixel| {
        // In f32 as in the reference: at a gamma of 1 levels come back as they were.
        let bright = (brightness(pixel.0) as f32 / 255.0).powf(gamma as f32) * 255.0;
        pixel.0 = [bright as u8; 3];
    });
    map
}

/// Of sRGB, the light.
fn linear(value: f64) -> f64 {
    if value > 0.04045 {
        ((value + 0.055) / 1.055).powf(2.4)
    } else {
        value / 12.92
    }
}

fn least(pixel: [u8; 3]) -> u8 {
    pixel.into_iter().min().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::control::testing::{difference, reference, same_share, NoNetworks};
    use crate::control::{control_map, Preprocessor, Settings};

    fn made(name: Preprocessor, settings: &Settings) -> RgbImage {
        let picture = reference("annotators/photo2.png");
        control_map(name, &picture, settings, &NoNetworks).unwrap().map
    }

    #[test]
    fn maps_of_tones_are_the_references() {
        let (small, one) = (Settings { resolution: Some(192), ..Settings::default() }, Settings::default());
        let gamma = Settings { gamma: Some(1.7), ..one.clone() };
        let sigma = Settings { sigma: Some(4.0), ..small.clone() };
        let rate = Settings { rate: Some(2.0), ..one.clone() };
        for (name, settings, file, bound) in [
            (Preprocessor::Invert, &one, "invert", 0),
            (Preprocessor::LineartStandard, &small, "lineart_standard", 1),
            (Preprocessor::RecolorLuminance, &one, "recolor_luminance_1", 1),
            (Preprocessor::RecolorLuminance, &gamma, "recolor_luminance_1.7", 2),
            (Preprocessor::RecolorIntensity, &one, "recolor_intensity_1", 1),
            (Preprocessor::Blur, &sigma, "blur_gaussian_4", 1),
            (Preprocessor::Tile, &rate, "tile_resample_2", 1),
            (Preprocessor::Color, &small, "color", 1),
        ] {
            let expected = reference(&format!("simple/photo2_{file}.png"));
            let found = difference(&made(name, settings), &expected);
            assert!(found <= bound, "{name}: {found}");
        }
    }

    #[test]
    fn maps_of_two_values_are_the_references() {
        let settings =
            |threshold, low, high| Settings { resolution: Some(192), threshold, low, high, ..Settings::default() };
        for (name, settings, file) in [
            (Preprocessor::Threshold, settings(Some(90.0), None, None), "threshold_90"),
            (Preprocessor::ScribbleXdog, settings(Some(12.0), None, None), "scribble_xdog_12"),
            (Preprocessor::Canny, settings(None, Some(60.0), Some(140.0)), "canny_60"),
        ] {
            let share = same_share(&made(name, &settings), &reference(&format!("simple/photo2_{file}.png")));
            assert!(share >= 0.999, "{name}: {share}");
        }
    }

    #[test]
    fn black_lines_on_white_are_whole() {
        let drawing = RgbImage::from_fn(64, 64, |x, _| if (30..33).contains(&x) { Rgb([0; 3]) } else { Rgb([255; 3]) });
        for map in [scribble_xdog(&drawing, 32.0), scribble(&drawing, 127.0)] {
            assert_eq!((map.get_pixel(31, 20).0, map.get_pixel(5, 20).0), ([255; 3], [0; 3]));
        }
    }

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&mut []), None);
    }
}
