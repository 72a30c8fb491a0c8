//! `--vae-tiling`: large pictures decoded in strips.

use crate::support::{pixels, Sandbox, QUICK};

/// Strips are a way of computing: measured, no pixel differs by more than 1 of 255. At this size the decoder has three of them.
#[test]
fn strips_leave_no_seams() {
    let sandbox = Sandbox::new();
    let paint = |tiling| {
        let more = ["-W", "768", "-H", "768", "--steps", "1", "-g", "1", "--vae-tiling", tiling, "-o", "-"];
        pixels(&sandbox.run(QUICK.iter().copied().chain(more)).succeeds().stdout)
    };
    let (whole, strips) = (paint("off"), paint("on"));
    let differences = whole.as_raw().iter().zip(strips.as_raw()).map(|(a, b)| a.abs_diff(*b));
    assert!(differences.clone().max().unwrap() < 2);
    assert!(differences.filter(|difference| *difference > 0).count() < whole.as_raw().len() / 1000);
}

#[test]
fn other_words_are_refused() {
    Sandbox::new().quick(&["--vae-tiling", "tiles"]).fails(2).says(&["--vae-tiling", "auto", "on", "off"]);
}
