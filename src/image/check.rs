//! A picture without content is an error, not a file: not-a-number values (half precision that overflowed) and one flat
//! colour (what becomes of them when nobody looks).

use ::image::RgbImage;
use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// A picture is flat when no channel's standard deviation reaches this many of 255 levels. The least of the reference's 156
/// pictures is 20; a clamped overflow is exactly 0.
const FLAT_BELOW: f64 = 1.0;

/// How near (in levels) a flat picture's mean is to a colour for it to get its name.
const NEAR: f64 = 8.0;

/// Refuses not-a-number and infinite values in what a decoder returned (any shape, any float dtype).
///
/// # Errors
/// [`Error::BrokenPicture`] with the number of such values, or the device's failure.
pub fn check_decoded(decoded: &Tensor) -> Result<()> {
    let values = decoded.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
    let nan = values.iter().filter(|v| v.is_nan()).count();
    let infinite = values.iter().filter(|v| v.is_infinite()).count();
    let what = match (nan, infinite) {
        (0, 0) => return Ok(()),
        (nan, 0) => format!("{} of its values are not a number", share(nan, values.len())),
        (0, infinite) => format!("{} of its values are infinite", share(infinite, values.len())),
        (nan, infinite) => {
            format!("{} of its values are not a number or infinite", share(nan + infinite, values.len()))
        }
    };
    Err(Error::BrokenPicture { what })
}

/// "all", or a percentage that is never rounded to nothing.
fn share(part: usize, whole: usize) -> String {
    let percent = 100.0 * part as f64 / whole as f64;
    match part {
        _ if part == whole => "all".into(),
        _ if percent < 1.0 => "less than 1 %".into(),
        _ => format!("{percent:.0} %"),
    }
}

/// Refuses a picture of one flat colour: no channel varies by a standard deviation of one of 255 levels.
///
/// # Errors
/// [`Error::BrokenPicture`], naming black, white, grey or the colour.
pub fn check_picture(picture: &RgbImage) -> Result<()> {
    let statistics = [0, 1, 2].map(|channel| mean_and_deviation(picture, channel));
    if statistics.iter().any(|(_, deviation)| *deviation >= FLAT_BELOW) {
        return Ok(());
    }
    let colour = colour_name(statistics.map(|(mean, _)| mean));
    Err(Error::BrokenPicture { what: format!("all of it is {colour}") })
}

fn mean_and_deviation(picture: &RgbImage, channel: usize) -> (f64, f64) {
    let count = f64::from(picture.width()) * f64::from(picture.height());
    let values = || picture.pixels().map(|pixel| f64::from(pixel.0[channel]));
    let mean = values().sum::<f64>() / count;
    let variance = values().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

fn colour_name(mean: [f64; 3]) -> String {
    let lowest = mean.into_iter().fold(f64::INFINITY, f64::min);
    let highest = mean.into_iter().fold(f64::NEG_INFINITY, f64::max);
    if highest <= NEAR {
        "black".into()
    } else if lowest >= 255.0 - NEAR {
        "white".into()
    } else if highest - lowest <= NEAR {
        "one grey".into()
    } else {
        let [r, g, b] = mean.map(|v| v.round() as u8);
        format!("one colour (#{r:02x}{g:02x}{b:02x})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::image::Rgb;
    use candle_core::Device;

    fn broken(result: Result<()>) -> String {
        match result {
            Err(Error::BrokenPicture { what }) => what,
            other => panic!("{other:?}"),
        }
    }

    fn decoded(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    #[test]
    fn not_a_number_and_infinities_are_found() {
        assert!(check_decoded(&decoded(&[0.0, -3.0, f32::MAX])).is_ok());
        assert_eq!(broken(check_decoded(&decoded(&[f32::NAN; 4]))), "all of its values are not a number");
        let mut many = vec![0.0; 1000];
        many[999] = f32::NAN;
        assert_eq!(broken(check_decoded(&decoded(&many))), "less than 1 % of its values are not a number");
        let infinite = [0.0, f32::INFINITY, 0.0, f32::NEG_INFINITY];
        assert_eq!(broken(check_decoded(&decoded(&infinite))), "50 % of its values are infinite");
        let both = [0.0, f32::INFINITY, 0.0, f32::NAN];
        assert_eq!(broken(check_decoded(&decoded(&both))), "50 % of its values are not a number or infinite");
    }

    #[test]
    fn an_overflow_of_half_precision_is_found_in_its_own_dtype() {
        let half = decoded(&[1.0, 70000.0]).to_dtype(DType::F16).unwrap();
        assert_eq!(broken(check_decoded(&half)), "50 % of its values are infinite");
    }

    #[test]
    fn flat_pictures_are_named() {
        for (colour, name) in [
            ([0, 0, 0], "black"),
            ([3, 1, 0], "black"),
            ([255, 255, 255], "white"),
            ([128, 127, 128], "one grey"),
            ([200, 16, 30], "one colour (#c8101e)"),
        ] {
            let picture = RgbImage::from_pixel(8, 8, Rgb(colour));
            assert_eq!(broken(check_picture(&picture)), format!("all of it is {name}"));
        }
    }

    #[test]
    fn flat_means_nearly_flat_and_no_more() {
        let noise =
            |levels: u8| RgbImage::from_fn(16, 16, |x, y| Rgb([100 + (((x + y) % 2) as u8) * levels, 100, 100]));
        assert!(check_picture(&noise(1)).is_err(), "a deviation of 0.5");
        assert!(check_picture(&noise(2)).is_ok(), "a deviation of 1");
        let mut one_bright_pixel = RgbImage::new(64, 64);
        one_bright_pixel.put_pixel(5, 5, Rgb([255, 255, 255]));
        assert!(check_picture(&one_bright_pixel).is_ok(), "a star in the night");
    }
}
