//! Against Pillow and diffusers: `tests/fixtures/images/`, from Pillow 13.0.0 and diffusers 0.42.1. Beside that, what is no
//! picture (`damage`), and what has no reference (`masks`).

mod damage;
mod masks;

use std::path::{Path, PathBuf};

use ::image::{GrayImage, RgbImage};
use serde_json::Value;

use super::*;
use crate::testing;

fn folder() -> PathBuf {
    testing::fixture("images")
}

fn table(name: &str) -> Value {
    testing::json(&format!("images/{name}"))
}

fn rows(value: &Value) -> &[Value] {
    let rows = value.as_array().unwrap();
    assert!(!rows.is_empty());
    rows
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap()
}

fn size(row: &Value) -> (u32, u32) {
    (row["size"][0].as_u64().unwrap() as u32, row["size"][1].as_u64().unwrap() as u32)
}

fn open(file: &str) -> ::image::DynamicImage {
    ::image::open(folder().join(file)).unwrap()
}

fn source(file: &str) -> Source {
    Source::File(folder().join(file))
}

/// The largest difference of two pictures of one size.
fn difference<P: ::image::Pixel<Subpixel = u8>>(a: &resample::Bytes<P>, b: &resample::Bytes<P>) -> u8 {
    assert_eq!(a.dimensions(), b.dimensions());
    a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn resizing_is_pillows() {
    for row in rows(&table("resize.json")["cases"]) {
        let filter = match text(row, "filter") {
            "nearest" => Filter::Nearest,
            "box" => Filter::Box,
            "bilinear" => Filter::Bilinear,
            "bicubic" => Filter::Bicubic,
            "lanczos" => Filter::Lanczos,
            other => panic!("{other}"),
        };
        let (width, height) = size(row);
        let (input, output) = (open(text(row, "input")), open(text(row, "output")));
        let largest = match text(row, "mode") {
            "RGB" => difference(&resize(&input.into_rgb8(), width, height, filter), &output.into_rgb8()),
            "L" => difference(&resize(&input.into_luma8(), width, height, filter), &output.into_luma8()),
            "RGBA" => difference(&resize(&input.into_rgba8(), width, height, filter), &output.into_rgba8()),
            other => panic!("{other}"),
        };
        assert_eq!(largest, 0, "{row}");
    }
}

#[test]
fn resize_modes_are_diffusers() {
    for row in rows(&table("modes.json")["cases"]) {
        let how = match text(row, "resize_mode") {
            "default" => Resize::Stretch,
            "crop" => Resize::Crop,
            "fill" => Resize::Fill,
            other => panic!("{other}"),
        };
        let made = fit(&open(text(row, "input")).into_rgb8(), size(row), how);
        assert_eq!(difference(&made, &open(text(row, "output")).into_rgb8()), 0, "{row}");
    }
}

/// Compares what is read with Pillow's reading, within `bound`.
fn check_reading(row: &Value, bound: u8) {
    let input = source(text(row, "input"));
    // Pillow clips 16-bit grey at 255, which leaves nothing of it: the high byte is what is meant.
    let rgb = row.get("high_byte").unwrap_or(&row["rgb"]).as_str().unwrap();
    let dropped = load(&input, Alpha::Drop).unwrap();
    let largest = difference(&dropped.rgb, &open(rgb).into_rgb8());
    assert!(largest <= bound, "{largest}: {row}");
    assert!(dropped.mask.is_none());
    let white = load(&input, Alpha::White).unwrap();
    let masked = load(&input, Alpha::Mask).unwrap();
    match row.get("on_white").and_then(Value::as_str) {
        Some(on_white) => {
            assert_eq!(difference(&white.rgb, &open(on_white).into_rgb8()), 0, "{row}");
            let alpha: GrayImage = open(text(row, "alpha")).into_luma8();
            // Where all of it is opaque, there is nothing to be the mask.
            let mask = masked.mask.map(|mask| mask.invert().values().clone());
            assert_eq!(mask, Some(alpha).filter(|alpha| alpha.iter().any(|value| *value < 255)), "{row}");
        }
        None => {
            assert_eq!(white.rgb, dropped.rgb);
            assert!(masked.mask.is_none());
        }
    }
}

#[test]
fn odd_pixel_formats_are_read_as_by_pillow() {
    for row in rows(&table("convert.json")["cases"]) {
        check_reading(row, 0);
    }
}

#[test]
fn kinds_of_files_are_read_as_by_pillow() {
    for row in rows(&table("kinds.json")["cases"]) {
        // Decoders of JPEG round differently.
        let jpeg = Path::new(text(row, "input")).extension() == Some("jpg".as_ref());
        check_reading(row, if jpeg { 3 } else { 0 });
    }
}

#[test]
fn orientations_turn_pictures_upright() {
    for row in rows(&table("orientation.json")["cases"]) {
        let upright: RgbImage = open(text(row, "output")).into_rgb8();
        let read = load(&source(text(row, "input")), Alpha::White).unwrap().rgb;
        // Decoders of JPEG differ.
        let bound = if Path::new(text(row, "input")).extension() == Some("jpg".as_ref()) { 3 } else { 0 };
        let largest = difference(&read, &upright);
        assert!(largest <= bound, "{largest}: {row}");
    }
}

#[test]
fn masks_are_diffusers() {
    for row in rows(&table("masks.json")["cases"]) {
        let loaded = load_mask(&source(text(row, "input"))).unwrap();
        let (mask, _) = loaded.fitted(loaded.dimensions(), size(row), Resize::Stretch);
        let binary = open(text(row, "binary")).into_luma8();
        assert_eq!(difference(mask.binarise().values(), &binary), 0, "{row}");
    }
}

#[test]
fn blur_is_pillows() {
    for row in rows(&table("masks.json")["blur"]) {
        let mask = Mask::new(open(text(row, "input")).into_luma8());
        let blurred = mask.blur(row["radius"].as_f64().unwrap() as f32);
        assert_eq!(difference(blurred.values(), &open(text(row, "output")).into_luma8()), 0, "{row}");
    }
}

#[test]
fn crop_regions_are_diffusers() {
    for row in rows(&table("masks.json")["crop_region"]) {
        let mask = Mask::new(open(text(row, "mask")).into_luma8());
        let region = Region::around(&mask, size(row), row["pad"].as_u64().unwrap() as u32).unwrap();
        let edges = [region.left, region.top, region.left + region.width, region.top + region.height];
        assert_eq!(serde_json::json!(edges), row["box"], "{row}");
    }
}
