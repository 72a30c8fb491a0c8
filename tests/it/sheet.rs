//! `--grid` and `sdgen sheet`.

use std::fs;

use image::{imageops, RgbImage};
use sdgen::error::exit_code;
use serde_json::Value;

use crate::support::{pixels, text_chunk, Sandbox};

const SMALL: &[&str] = &["-W", "64", "-H", "64", "--device", "cpu", "--dtype", "f32", "--seed", "7"];

fn part(sheet: &RgbImage, x: u32, y: u32, size: u32) -> RgbImage {
    imageops::crop_imm(sheet, x, y, size, size).to_image()
}

#[test]
fn a_grid_shows_the_pictures_in_their_order() {
    let sandbox = Sandbox::new();
    let make = |more: &[&str]| {
        let args = ["generate", "a red apple", "--steps", "2", "--count", "3", "-o", "{seed}.png"];
        sandbox.run(args.iter().chain(SMALL).chain(more)).succeeds()
    };
    let outcome = make(&["--grid"]);
    assert_eq!(outcome.paths(), ["7.png", "8.png", "9.png", "7-grid.png"]);
    let read = |name: &str| fs::read(sandbox.path(name)).unwrap();
    let grid = pixels(&read("7-grid.png"));
    assert_eq!(grid.dimensions(), (128, 128));
    for (name, x, y) in [("7.png", 0, 0), ("8.png", 64, 0), ("9.png", 0, 64)] {
        assert!(part(&grid, x, y, 64) == pixels(&read(name)), "{name}");
    }
    let about: Value = serde_json::from_str(&text_chunk(&read("7-grid.png"), "sdgen-grid").unwrap()).unwrap();
    assert_eq!(about["pictures"], serde_json::json!(["7.png", "8.png", "9.png"]));
    assert_eq!(text_chunk(&read("7-grid.png"), "parameters"), text_chunk(&read("7.png"), "parameters"));

    // Those that are there already are shown too.
    let outcome = make(&["--grid=3", "--resume", "--overwrite"]);
    assert_eq!(outcome.paths(), ["7-grid.png"]);
    assert_eq!(pixels(&read("7-grid.png")).dimensions(), (192, 64));
    sandbox.quick(&["--grid"]).succeeds().says(&["`--grid` writes nothing"]);
    sandbox.quick(&["--grid", "--count", "2", "-o", "/dev/null"]).fails(exit_code::USAGE).says(&["--grid"]);
}

#[test]
fn a_cell_of_a_sheet_is_the_picture_of_its_settings() {
    let sandbox = Sandbox::new();
    let sheet = |more: &[&str]| sandbox.run(["sheet", "a red apple"].iter().chain(SMALL).chain(more));
    let outcome = sheet(&["--x", "steps=1..3/2", "--y", "guidance=2,7.5", "--json"]).succeeds();
    let events: Vec<Value> = outcome.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let begun = |name: &str| events.iter().filter(|e| e["event"] == name && e["state"] == "begin").count();
    assert_eq!((begun("load"), begun("encode"), begun("decode")), (1, 1, 4), "loaded and encoded once");
    assert_eq!(sandbox.files(), ["a-red-apple-7-sheet.png"]);

    let png = fs::read(sandbox.path("a-red-apple-7-sheet.png")).unwrap();
    let picture = pixels(&png);
    let about: Value = serde_json::from_str(&text_chunk(&png, "sdgen-sheet").unwrap()).unwrap();
    assert_eq!(about["x"], serde_json::json!({ "axis": "steps", "values": ["1", "3"] }));
    assert_eq!(about["y"]["values"], serde_json::json!(["2", "7.5"]));
    assert_eq!(about["request"]["prompt"]["text"], "a red apple");
    // Cells lie at the right and at the bottom, two pixels apart; words are above and beside.
    let (left, top) = (picture.width() - 130, picture.height() - 130);
    assert!(left > 20 && top > 10, "{left} {top}");
    for (column, steps) in [(0, "1"), (1, "3")] {
        for (row, guidance) in [(0, "2"), (1, "7.5")] {
            let args = ["generate", "a red apple", "--steps", steps, "-g", guidance, "-o", "cell.png", "--overwrite"];
            sandbox.run(args.iter().chain(SMALL)).succeeds();
            let alone = pixels(&fs::read(sandbox.path("cell.png")).unwrap());
            assert!(part(&picture, left + 66 * column, top + 66 * row, 64) == alone, "{column} {row}");
        }
    }
}

#[test]
fn axes_are_checked_before_the_work() {
    let sandbox = Sandbox::new();
    let refused = |more: &[&str], words: &[&str]| {
        let outcome = sandbox.run(["sheet", "a cat"].iter().chain(more)).fails(exit_code::USAGE).says(words);
        assert!(!outcome.stderr.contains("computing"), "{}", outcome.stderr);
    };
    refused(&[], &["--x"]);
    refused(&["--x", "step=1,2"], &["did you mean `steps`?"]);
    refused(&["--x", "steps=1,200"], &["200 is above 150"]);
    refused(&["--x", "prompt=dog,bird"], &["`dog`"]);
    refused(&["--x", "strength=0.5,1"], &["--image"]);
    refused(&["--x", "strength=0.5,1", "-i", "-"], &["standard input is read once", "as a file"]);
    refused(&["--x", "steps=1,2", "--y", "steps=1,2"], &["both axes"]);
    refused(&["--x", "seed=1..100", "--y", "steps=1..20"], &["too many"]);
    refused(&["--x", "clip-skip=1,30", "--count", "2"], &["--count"]);
    assert!(sandbox.files().is_empty());
}

#[test]
fn a_cell_that_cannot_be_made_is_grey_and_told() {
    let sandbox = Sandbox::new();
    let args = ["sheet", "日本 apple", "--x", "clip-skip=1,30", "--steps", "1", "-o", "a.png"];
    let outcome = sandbox.run(args.iter().chain(SMALL));
    assert_eq!(outcome.code, Some(exit_code::PARTIAL.into()), "{}", outcome.stderr);
    assert_eq!(outcome.paths(), ["a.png"]);
    let picture = pixels(&fs::read(sandbox.path("a.png")).unwrap());
    let grey = part(&picture, picture.width() - 64, picture.height() - 64, 64);
    assert!(grey.pixels().all(|pixel| pixel.0 == [224; 3]));
    outcome.says(&["clip skip of 30", "column 2, row 1", "1 of 2 pictures"]);
    let outcome = sandbox.run(["sheet", "日本", "--x", "prompt=日本,apple", "--steps", "1"].iter().chain(SMALL));
    outcome.succeeds().says(&["the labels' font has no `日本`"]);
}
