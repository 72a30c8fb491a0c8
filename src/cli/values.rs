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
mod tests;
