//! Parsers of single values. Each says what is wrong with a value and what to give instead; `usage` adds the option's name.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::sampling::{Layers, SchedulerChoice, Seed};
use crate::image::input::Margins;
use crate::nn::AttentionMethod;
use crate::pipeline::DeviceChoice;
use crate::request::{check_strength, limits, Control, Preprocessing};
use crate::sampling::parse_scheduler;
use crate::{Error, Result};

/// The largest size or offset that SDXL is told; its embedding knows no limit, but its training had one well below.
const MAX_TOLD: usize = 65_536;

/// A whole number within a range.
pub fn whole(text: &str, range: RangeInclusive<usize>) -> Result<usize> {
    let (low, high) = (*range.start(), *range.end());
    let number =
        integer(text).ok_or_else(|| Error::usage(format!("`{text}` is not a whole number"), give(low, high)))?;
    match usize::try_from(number) {
        Ok(n) if range.contains(&n) => Ok(n),
        _ if number < low as i128 => Err(outside(text, "below", low, low, high)),
        _ => Err(outside(text, "above", high, low, high)),
    }
}

/// A whole number within a range that may go below zero.
pub fn signed(text: &str, range: RangeInclusive<i32>) -> Result<i32> {
    let (low, high) = (*range.start(), *range.end());
    let number =
        integer(text).ok_or_else(|| Error::usage(format!("`{text}` is not a whole number"), give(low, high)))?;
    match i32::try_from(number) {
        Ok(n) if range.contains(&n) => Ok(n),
        _ if number < low.into() => Err(outside(text, "below", low, low, high)),
        _ => Err(outside(text, "above", high, low, high)),
    }
}

/// A number within a range.
pub fn decimal(text: &str, range: RangeInclusive<f64>) -> Result<f64> {
    let (low, high) = (*range.start(), *range.end());
    match f64::from_str(text.trim()) {
        Ok(x) if range.contains(&x) => Ok(x),
        Ok(x) if x < low => Err(outside(text, "below", low, low, high)),
        Ok(x) if x > high => Err(outside(text, "above", high, low, high)),
        _ => Err(Error::usage(format!("`{text}` is not a number"), give(low, high))),
    }
}

/// A side of the picture.
pub fn side(text: &str) -> Result<usize> {
    let (low, high, step) = (*limits::SIDE.start() as i128, *limits::SIDE.end() as i128, limits::SIDE_STEP as i128);
    let rule = format!("give a multiple of {step} from {low} to {high}");
    let number = integer(text).ok_or_else(|| Error::usage(format!("`{text}` is not a whole number"), rule.clone()))?;
    let bounded = number.clamp(low, high);
    let nearest = (bounded + step / 2) / step * step;
    let what = match number {
        n if n < low => format!("{n} is below {low}"),
        n if n > high => format!("{n} is above {high}"),
        n if n % step != 0 => format!("{n} is not a multiple of {step}"),
        n => return usize::try_from(n).map_err(|_| Error::usage(format!("{n} is too large"), rule)),
    };
    Err(Error::usage(what, format!("{rule}; the nearest is {nearest}")))
}

/// A seed: a number or `random`.
pub fn seed(text: &str) -> Result<Seed> {
    if text.eq_ignore_ascii_case("random") {
        return Ok(Seed::Random);
    }
    text.trim().parse().map(Seed::Fixed).map_err(|_| {
        let what = match integer(text) {
            Some(n) if n < 0 => "is negative",
            Some(_) => "is too large",
            None => "is no seed",
        };
        Error::usage(
            format!("`{text}` {what}"),
            format!("give a number from 0 to {}, or `random` for a new one", u64::MAX),
        )
    })
}

/// A sampler's name, with or without a spacing of sigmas behind it.
pub fn scheduler(text: &str) -> Result<SchedulerChoice> {
    let (sampler, sigmas) = parse_scheduler(text)?;
    Ok(SchedulerChoice { sampler, sigmas })
}

/// One of the names of [`crate::sampling`].
pub fn name<T>(text: &str) -> Result<T>
where
    T: FromStr,
    Error: From<T::Err>,
{
    Ok(text.parse()?)
}

/// A device: `auto`, `cpu`, `cuda`, `cuda:N` or `metal`.
pub fn device(text: &str) -> Result<DeviceChoice> {
    match text.to_lowercase().as_str() {
        "auto" => Ok(DeviceChoice::Auto),
        "cpu" => Ok(DeviceChoice::Cpu),
        "cuda" | "gpu" => Ok(DeviceChoice::Cuda(0)),
        "metal" | "mps" => Ok(DeviceChoice::Metal),
        other => {
            other.strip_prefix("cuda:").and_then(|n| n.parse().ok()).map(DeviceChoice::Cuda).ok_or_else(|| {
                Error::usage(format!("unknown device `{text}`"), "one of: auto, cpu, cuda, cuda:N, metal")
            })
        }
    }
}

/// `auto`, `flash`, `sliced` or `sliced:N`.
pub fn attention(text: &str) -> Result<AttentionMethod> {
    let lower = text.to_lowercase();
    let sliced = |heads: &str| heads.parse().ok().filter(|heads| *heads > 0).map(AttentionMethod::Sliced);
    let method = match lower.as_str() {
        "auto" => Some(AttentionMethod::Auto),
        "flash" => Some(AttentionMethod::Flash),
        "sliced" => Some(AttentionMethod::Sliced(1)),
        other => other.strip_prefix("sliced:").and_then(sliced),
    };
    method.ok_or_else(|| {
        Error::usage(
            format!("unknown way of attention `{text}`"),
            "one of: auto, flash, sliced, sliced:N with N from 1",
        )
    })
}

/// A size as `1024x768`.
pub fn original_size(text: &str) -> Result<(usize, usize)> {
    pair(text, &['x', 'X'], 1).ok_or_else(|| {
        Error::usage(
            format!("`{text}` is no size"),
            format!("give width and height, 1 to {MAX_TOLD}, as in `1024x768`"),
        )
    })
}

/// Numbers of layers, as `7,8,9`.
pub fn layers(text: &str) -> Result<Layers> {
    let numbers: std::result::Result<_, _> = text.split(',').map(|number| number.trim().parse()).collect();
    let hint = "give their numbers, counted from 0, as in `7,8,9`";
    numbers.map(Layers).map_err(|_| Error::usage(format!("`{text}` is no list of layers"), hint))
}

/// A corner as `0,128`.
pub fn crop(text: &str) -> Result<(usize, usize)> {
    pair(text, &[','], 0).ok_or_else(|| {
        Error::usage(format!("`{text}` is no corner"), format!("give left and top, 0 to {MAX_TOLD}, as in `0,128`"))
    })
}

/// A strength: above 0 and up to 1.
pub fn strength(text: &str) -> Result<f64> {
    let number = f64::from_str(text.trim()).ok().filter(|x| !x.is_nan());
    let number = number.ok_or_else(|| {
        Error::usage(format!("`{text}` is not a number"), "give a number above 0 and up to 1, such as 0.6")
    })?;
    check_strength(number)?;
    Ok(number)
}

/// A ControlNet and its picture.
pub fn control(text: &str) -> Result<Control> {
    super::control::parse(text)
}

/// `auto`, `none`, or a preprocessor's name.
pub fn preprocessing(text: &str) -> Result<Preprocessing> {
    Preprocessing::parse(text)
}

/// New ground on the four sides of a picture, as `128,0,128,0`.
pub fn margins(text: &str) -> Result<Margins> {
    let most = *limits::EXTENSION.end();
    let hint = format!("give pixels to the left, above, to the right and below, up to {most}, as in `128,0,128,0`");
    let margins: Margins = text.parse().map_err(|what: String| Error::usage(what, hint.clone()))?;
    if margins.is_zero() {
        return Err(Error::usage(format!("`{text}` adds nothing to the picture"), hint));
    }
    match [margins.left, margins.top, margins.right, margins.bottom].iter().find(|side| **side > most) {
        Some(side) => Err(Error::usage(format!("{side} pixels of new ground are too many"), hint)),
        None => Ok(margins),
    }
}

fn pair(text: &str, separator: &[char], low: usize) -> Option<(usize, usize)> {
    let (a, b) = text.split_once(separator)?;
    let number = |s: &str| s.trim().parse().ok().filter(|n| (low..=MAX_TOLD).contains(n));
    Some((number(a)?, number(b)?))
}

/// An integer; one too long for the type counts as the type's extreme, so that it is "above" and not "no number".
fn integer(text: &str) -> Option<i128> {
    let text = text.trim();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(if text.starts_with('-') { i128::MIN } else { i128::MAX }))
}

fn outside<T: Display>(text: &str, which: &str, nearest: T, low: T, high: T) -> Error {
    let hint = format!("{}; the nearest is {nearest}", give(low, high));
    Error::usage(format!("{} is {which} {nearest}", text.trim()), hint)
}

fn give(low: impl Display, high: impl Display) -> String {
    format!("give {low} to {high}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::{Sampler, SigmaSpacing};

    fn refused<T: std::fmt::Debug>(result: Result<T>) -> (String, String) {
        let error = result.unwrap_err();
        assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
        (error.to_string(), error.hint().unwrap())
    }

    #[test]
    fn whole_numbers_keep_to_their_range() {
        assert_eq!(whole("1", 1..=150).unwrap(), 1);
        assert_eq!(whole(" 150 ", 1..=150).unwrap(), 150);
        assert_eq!(refused(whole("0", 1..=150)), ("0 is below 1".into(), "give 1 to 150; the nearest is 1".into()));
        assert_eq!(refused(whole("-7", 1..=150)).1, "give 1 to 150; the nearest is 1");
        assert_eq!(
            refused(whole("200", 1..=150)),
            ("200 is above 150".into(), "give 1 to 150; the nearest is 150".into())
        );
        assert_eq!(refused(whole(&"9".repeat(60), 1..=150)).1, "give 1 to 150; the nearest is 150");
        for text in ["", "x", "2.5", "1e2", "-", "٣"] {
            assert_eq!(refused(whole(text, 1..=150)).1, "give 1 to 150", "{text}");
        }
    }

    #[test]
    fn decimals_keep_to_their_range() {
        assert_eq!(decimal("7.5", 0.0..=20.0).unwrap(), 7.5);
        assert_eq!(decimal("0", 0.0..=20.0).unwrap(), 0.0);
        assert_eq!(
            refused(decimal("-1", 0.0..=20.0)),
            ("-1 is below 0".into(), "give 0 to 20; the nearest is 0".into())
        );
        assert_eq!(
            refused(decimal("25", 0.0..=20.0)),
            ("25 is above 20".into(), "give 0 to 20; the nearest is 20".into())
        );
        assert_eq!(refused(decimal("inf", 0.0..=20.0)).1, "give 0 to 20; the nearest is 20");
        for text in ["nan", "NaN", "", "seven", "7,5"] {
            assert_eq!(
                refused(decimal(text, 0.0..=20.0)),
                (format!("`{text}` is not a number"), "give 0 to 20".into())
            );
        }
    }

    #[test]
    fn strengths_are_above_zero_and_up_to_one() {
        assert_eq!((strength("0.6").unwrap(), strength("1").unwrap()), (0.6, 1.0));
        for (text, message) in [
            ("0", "as it is"),
            ("-0.0", "as it is"),
            ("1.5", "1.5 is above 1"),
            ("inf", "above 1"),
            ("-3", "below 0"),
            ("nan", "not a number"),
            ("60%", "not a number"),
        ] {
            let (said, hint) = refused(strength(text));
            assert!(said.contains(message) && hint.contains("above 0 and up to 1"), "{text}: {said} / {hint}");
        }
    }

    #[test]
    fn margins_are_four_numbers() {
        assert_eq!(margins("128, 0,64,8").unwrap(), Margins { left: 128, top: 0, right: 64, bottom: 8 });
        for text in ["", "8", "8,8,8", "8,8,8,8,8", "-8,0,0,0", "a,0,0,0", "0,0,0,0", "4097,0,0,0"] {
            assert!(refused(margins(text)).1.contains("128,0,128,0"), "{text}");
        }
    }

    #[test]
    fn signed_numbers_keep_to_their_range() {
        assert_eq!(signed("-5", -9..=9).unwrap(), -5);
        assert_eq!(
            refused(signed("-10", -9..=9)),
            ("-10 is below -9".into(), "give -9 to 9; the nearest is -9".into())
        );
        assert_eq!(refused(signed(&"9".repeat(60), -9..=9)).1, "give -9 to 9; the nearest is 9");
        assert_eq!(refused(signed("x", -9..=9)).1, "give -9 to 9");
    }

    #[test]
    fn sides_are_multiples_of_eight_and_the_nearest_is_named() {
        for good in [64, 104, 512, 4096] {
            assert_eq!(side(&good.to_string()).unwrap(), good);
        }
        for (bad, nearest) in
            [("513", 512), ("516", 520), ("0", 64), ("-8", 64), ("63", 64), ("4095", 4096), ("5000", 4096)]
        {
            let hint = refused(side(bad)).1;
            assert!(hint.ends_with(&format!("the nearest is {nearest}")), "{bad}: {hint}");
        }
        assert!(refused(side("512px")).0.contains("whole number"));
    }

    #[test]
    fn seeds_are_64_bits_or_random() {
        assert_eq!(seed("random").unwrap(), Seed::Random);
        assert_eq!(seed("4294979641").unwrap(), Seed::Fixed(4_294_979_641));
        assert_eq!(seed("18446744073709551615").unwrap(), Seed::Fixed(u64::MAX));
        assert!(refused(seed("-1")).0.contains("negative"));
        assert!(refused(seed("18446744073709551616")).0.contains("too large"));
        assert!(refused(seed("lucky")).1.contains("random"));
    }

    #[test]
    fn a_scheduler_may_end_in_karras() {
        let choice = |sampler, sigmas| SchedulerChoice { sampler, sigmas };
        assert_eq!(scheduler("dpm++2m").unwrap(), choice(Sampler::DpmPp2m, None));
        assert_eq!(scheduler("DPM++2M-Karras").unwrap(), choice(Sampler::DpmPp2m, Some(SigmaSpacing::Karras)));
        assert_eq!(scheduler("euler-a").unwrap(), choice(Sampler::EulerA, None));
        assert!(refused(scheduler("eulr")).1.contains("`euler`"));
        assert!(refused(scheduler("xyz")).1.contains("dpm++2m"));
    }

    #[test]
    fn devices_have_numbers() {
        assert_eq!(device("auto").unwrap(), DeviceChoice::Auto);
        assert_eq!(device("CUDA").unwrap(), DeviceChoice::Cuda(0));
        assert_eq!(device("cuda:3").unwrap(), DeviceChoice::Cuda(3));
        for text in ["cuda:", "cuda:x", "cuda:-1", "rocm", ""] {
            assert!(refused(device(text)).1.contains("cuda:N"), "{text}");
        }
    }

    #[test]
    fn attention_is_sliced_by_heads() {
        assert_eq!(attention("auto").unwrap(), AttentionMethod::Auto);
        assert_eq!(attention("Flash").unwrap(), AttentionMethod::Flash);
        assert_eq!(attention("sliced").unwrap(), AttentionMethod::Sliced(1));
        assert_eq!(attention("sliced:4").unwrap(), AttentionMethod::Sliced(4));
        for text in ["sliced:0", "sliced:", "sliced:-1", "xformers", ""] {
            assert!(refused(attention(text)).1.contains("sliced:N"), "{text}");
        }
    }

    #[test]
    fn sizes_and_corners_are_pairs() {
        assert_eq!(original_size("1024x768").unwrap(), (1024, 768));
        assert_eq!(crop("0,128").unwrap(), (0, 128));
        for text in ["1024", "0x768", "1024x", "axb", "-1x5", "1x2x3"] {
            refused(original_size(text));
        }
        for text in ["5", "-1,0", "1,2,3", "1x2"] {
            refused(crop(text));
        }
    }
}
