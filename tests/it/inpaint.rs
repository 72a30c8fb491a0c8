use std::fs;
use std::path::Path;

use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use sdgen::error::exit_code;

use crate::support::{pixels, text_chunk, Outcome, Sandbox};

/// The arguments of a quick picture of which a part is painted anew.
const PART: &[&str] =
    &["inpaint", "a green apple", "-i", "in.png", "--seed", "3", "--steps", "4", "--device", "cpu", "--dtype", "f32"];

/// The columns and rows of the picture that `mask.png` has in white.
const MASKED: std::ops::Range<u32> = 40..90;

fn masked(x: u32, y: u32) -> bool {
    MASKED.contains(&x) && MASKED.contains(&y)
}

/// A sandbox with the picture of a red apple, and a mask of its middle.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden/a-red-apple-7.png");
    fs::copy(golden, sandbox.path("in.png")).unwrap();
    save_mask(&sandbox, "mask.png", |x, y| if masked(x, y) { 255 } else { 0 });
    sandbox
}

fn save_mask(sandbox: &Sandbox, name: &str, value: impl Fn(u32, u32) -> u8) {
    GrayImage::from_fn(128, 128, |x, y| Luma([value(x, y)])).save(sandbox.path(name)).unwrap();
}

fn original(sandbox: &Sandbox) -> RgbImage {
    pixels(&fs::read(sandbox.path("in.png")).unwrap())
}

fn run(sandbox: &Sandbox, more: &[&str]) -> Outcome {
    sandbox.run(PART.iter().chain(more))
}

fn picture(sandbox: &Sandbox, more: &[&str]) -> RgbImage {
    pixels(&run(sandbox, &[&["-o", "-"], more].concat()).succeeds().stdout)
}

/// With `mask.png`.
fn part(sandbox: &Sandbox, more: &[&str]) -> RgbImage {
    picture(sandbox, &[&["--mask", "mask.png"], more].concat())
}

/// The pixels that differ, as (x, y).
fn changed(a: &RgbImage, b: &RgbImage) -> Vec<(u32, u32)> {
    assert_eq!(a.dimensions(), b.dimensions());
    a.enumerate_pixels().filter(|(x, y, pixel)| *pixel != b.get_pixel(*x, *y)).map(|(x, y, _)| (x, y)).collect()
}

#[test]
fn only_what_is_masked_changes() {
    let sandbox = sandbox();
    let original = original(&sandbox);
    for more in [&[][..], &["--strength", "0.6"], &["--fill", "noise", "--strength", "0.8"], &["--scheduler", "heun"]] {
        let changed = changed(&part(&sandbox, more), &original);
        assert!(changed.iter().all(|(x, y)| masked(*x, *y)), "{more:?}");
        let all = MASKED.len() * MASKED.len();
        assert!(changed.len() * 10 > all * 9, "{more:?}: {} of {all} pixels", changed.len());
    }
}

#[test]
fn without_pasting_back_the_rest_is_near_and_not_the_same() {
    let sandbox = sandbox();
    let (free, pasted) = (part(&sandbox, &["--no-paste-back"]), part(&sandbox, &[]));
    assert!(changed(&free, &pasted).iter().all(|(x, y)| !masked(*x, *y)));
    let outside: Vec<u32> = free
        .enumerate_pixels()
        .filter(|(x, y, _)| !masked(*x, *y))
        .flat_map(|(x, y, p)| [0, 1, 2].map(|i| u32::from(p.0[i].abs_diff(pasted.get_pixel(x, y).0[i]))))
        .collect();
    let mean = f64::from(outside.iter().sum::<u32>()) / outside.len() as f64;
    // Measured: 3.8 of 255, what the autoencoder of this model loses.
    assert!(mean > 2.0 && mean < 6.0, "{mean}");
}

#[test]
fn a_blurred_mask_passes_into_the_rest_and_no_further() {
    let sandbox = sandbox();
    let reach = |(x, y): &(u32, u32)| {
        let beyond = |at: u32| MASKED.start.saturating_sub(at).max((at + 1).saturating_sub(MASKED.end));
        beyond(*x).max(beyond(*y))
    };
    let furthest = |more: &[&str]| changed(&part(&sandbox, more), &original(&sandbox)).iter().map(reach).max().unwrap();
    assert_eq!(furthest(&[]), 0);
    let soft = furthest(&["--mask-blur", "8"]);
    assert!((8..=9).contains(&soft), "{soft} pixels");
    assert_eq!(furthest(&["--mask-grow", "5"]), 5);
    assert_eq!(
        changed(&part(&sandbox, &["--mask-grow", "-10"]), &original(&sandbox)).iter().map(|p| p.0).min(),
        Some(50)
    );
}

#[test]
fn masks_come_from_a_file_its_inverse_or_the_picture() {
    let sandbox = sandbox();
    save_mask(&sandbox, "inverse.png", |x, y| if masked(x, y) { 0 } else { 255 });
    let plain = part(&sandbox, &[]);
    assert_eq!(picture(&sandbox, &["--mask", "inverse.png", "--invert-mask"]), plain);
    let original = original(&sandbox);
    let see_through = |x, y| {
        let Rgb([r, g, b]) = *original.get_pixel(x, y);
        Rgba([r, g, b, if masked(x, y) { 0 } else { 255 }])
    };
    let see_through = RgbaImage::from_fn(128, 128, see_through);
    see_through.save(sandbox.path("see-through.png")).unwrap();
    assert_eq!(picture(&sandbox, &["-i", "see-through.png", "--alpha", "mask"]), plain);
    // A mask of another size is resized, and that is said.
    let half = GrayImage::from_fn(64, 64, |x, y| Luma([if masked(2 * x, 2 * y) { 255 } else { 0 }]));
    half.save(sandbox.path("half.png")).unwrap();
    let outcome = run(&sandbox, &["--mask", "half.png", "-o", "-"]).succeeds().says(&["64x64", "128x128"]);
    assert_eq!(pixels(&outcome.stdout), plain);
}

#[test]
fn soft_masks_paint_where_hard_ones_do_not() {
    let sandbox = sandbox();
    save_mask(&sandbox, "steps.png", |x, _| [0, 80, 160, 255][x as usize / 32]);
    let paint = |more: &[&str]| picture(&sandbox, &[&["--mask", "steps.png"], more].concat());
    let stripes = |painted: &RgbImage| {
        let mut count = [0; 4];
        changed(painted, &original(&sandbox)).iter().for_each(|(x, _)| count[*x as usize / 32] += 1);
        count.map(|pixels| pixels > 3500)
    };
    assert_eq!(stripes(&paint(&[])), [false, false, true, true]);
    let soft = paint(&["--soft-mask"]);
    assert_eq!(stripes(&soft), [false, true, true, true]);
    assert!(changed(&soft, &original(&sandbox)).iter().all(|(x, _)| *x >= 32));
    // A hard mask that is blurred is a soft one: it reaches beyond the mask.
    let blurred = part(&sandbox, &["--soft-mask", "--mask-blur", "8"]);
    assert!(changed(&blurred, &original(&sandbox)).iter().any(|(x, y)| !masked(*x, *y)));
}

#[test]
fn only_the_masked_part_is_worked_on_when_asked() {
    let sandbox = sandbox();
    let tile = original(&sandbox);
    let whole = RgbImage::from_fn(300, 201, |x, y| *tile.get_pixel(x % 128, y % 128));
    whole.save(sandbox.path("in.png")).unwrap();
    let mask = GrayImage::from_fn(300, 201, |x, y| Luma([if (200..260).contains(&x) && y >= 150 { 255 } else { 0 }]));
    mask.save(sandbox.path("mask.png")).unwrap();
    let line = ["--mask", "mask.png", "--only-masked=16", "-o", "a.png"];
    run(&sandbox, &line).succeeds().says(&["300x201", "brought to 128x128"]);
    let painted = pixels(&fs::read(sandbox.path("a.png")).unwrap());
    let changed = changed(&painted, &whole);
    assert!(changed.iter().all(|(x, y)| (200..260).contains(x) && *y >= 150));
    assert!(changed.len() > 2500, "{}", changed.len());
    let parameters = text_chunk(&fs::read(sandbox.path("a.png")).unwrap(), "parameters").unwrap();
    assert!(parameters.contains("Inpaint area: Only masked, Masked area padding: 16"), "{parameters}");
}

#[test]
fn a_picture_grows_on_the_sides_that_are_named() {
    let sandbox = sandbox();
    let painted = picture(&sandbox, &["--extend", "32,0,16,8"]);
    assert_eq!(painted.dimensions(), (176, 136));
    let original = original(&sandbox);
    // Eight pixels next to new ground are painted with it.
    for (x, y) in [(8, 0), (60, 60), (119, 119), (8, 119)] {
        assert_eq!(painted.get_pixel(x + 32, y), original.get_pixel(x, y), "{x},{y}");
    }
    let new: Vec<_> =
        (0..32).flat_map(|x| (0..136).map(move |y| (x, y))).map(|(x, y)| painted.get_pixel(x, y)).collect();
    assert!(new.iter().any(|pixel| *pixel != new[0]), "nothing is painted");
}

#[test]
fn models_made_for_inpainting_see_the_mask() {
    let sandbox = sandbox();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/sd15-inpaint");
    let model = ["--model", model.to_str().unwrap(), "--mask", "mask.png"];
    let original = original(&sandbox);
    for more in [&[][..], &["--strength", "0.6"], &["--soft-mask"]] {
        let changed = changed(&picture(&sandbox, &[&model[..], more].concat()), &original);
        assert!(!changed.is_empty() && changed.iter().all(|(x, y)| masked(*x, *y)), "{more:?}");
    }
}

#[test]
fn what_is_doubtful_is_said() {
    let sandbox = sandbox();
    save_mask(&sandbox, "white.png", |_, _| 255);
    run(&sandbox, &["--mask", "white.png", "-o", "a.png"]).succeeds().says(&["whole picture"]);
    run(&sandbox, &["--mask", "mask.png", "--fill", "blur", "-o", "b.png"]).succeeds().says(&["fill has no effect"]);
    let part = run(&sandbox, &["--mask", "mask.png", "--fill", "blur", "--strength", "0.5", "-o", "c.png"]).succeeds();
    assert!(!part.stderr.contains("no effect") && part.stderr.contains("2 of 4 steps"), "{}", part.stderr);
    let blur = ["--mask", "mask.png", "--mask-blur", "8", "-o", "d.png"];
    run(&sandbox, &[&blur[..], &["--no-paste-back"]].concat()).succeeds().says(&["the mask blur has no effect"]);
    for used in [&["--no-paste-back", "--soft-mask"][..], &[]] {
        let used = run(&sandbox, &[&blur[..], used].concat()).succeeds();
        assert!(!used.stderr.contains("no effect"), "{}", used.stderr);
    }
    // A line that is finer than a latent is painted too.
    save_mask(&sandbox, "line.png", |x, _| if x == 67 { 255 } else { 0 });
    let line = picture(&sandbox, &["--mask", "line.png"]);
    let changed = changed(&line, &original(&sandbox));
    assert!(changed.len() > 64 && changed.iter().all(|(x, _)| *x == 67), "{}", changed.len());
}

#[test]
fn the_request_holds_the_mask() {
    let sandbox = sandbox();
    let line = ["--mask", "mask.png", "--mask-blur", "4", "--mask-grow", "2", "--invert-mask", "--fill", "noise"];
    let outcome = run(&sandbox, &[&line[..], &["--strength", "0.5", "-o", "a.png"]].concat()).succeeds();
    assert_eq!(outcome.text(), "a.png\n");
    let png = fs::read(sandbox.path("a.png")).unwrap();
    let chunk: serde_json::Value = serde_json::from_str(&text_chunk(&png, "sdgen").unwrap()).unwrap();
    let inpaint = &chunk["request"]["inpaint"];
    assert_eq!(inpaint["mask"]["file"], "mask.png");
    assert_eq!(inpaint["mask"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!((&inpaint["blur"], &inpaint["grow"], &inpaint["invert"]), (&4.0.into(), &2.into(), &true.into()));
    let parameters = text_chunk(&png, "parameters").unwrap();
    for field in
        ["Denoising strength: 0.5", "Mask blur: 4", "Mask mode: Inpaint not masked", "Masked content: latent noise"]
    {
        assert!(parameters.contains(field), "{parameters}");
    }
}

#[test]
fn wrong_masks_are_told_apart_and_nothing_is_written() {
    let sandbox = sandbox();
    save_mask(&sandbox, "black.png", |_, _| 0);
    save_mask(&sandbox, "grey.png", |_, _| 100);
    fs::write(sandbox.path("text.png"), "no mask").unwrap();
    DynamicImage::from(original(&sandbox)).into_rgba8().save(sandbox.path("opaque.png")).unwrap();
    let before = sandbox.files();
    for (line, code, words) in [
        (&[][..], exit_code::USAGE, &["nothing says", "--mask", "--extend", "--alpha mask"][..]),
        (&["--mask", "no.png"], exit_code::MODEL, &["no.png"]),
        (&["--mask", "text.png"], exit_code::MODEL, &["text.png", "not a picture"]),
        (&["--mask", "black.png"], exit_code::MODEL, &["all black", "--invert-mask"]),
        (&["--mask", "black.png", "--soft-mask"], exit_code::MODEL, &["all black"]),
        (&["--mask", "grey.png"], exit_code::MODEL, &["no white", "100 of 255", "--soft-mask"]),
        (&["--mask", "mask.png", "--mask-grow", "-40"], exit_code::MODEL, &["shrank by 40"]),
        (&["--alpha", "mask"], exit_code::MODEL, &["in.png", "no transparency"]),
        (&["--alpha", "mask", "-i", "opaque.png"], exit_code::MODEL, &["opaque.png", "no transparency"]),
        (&["--mask", "mask.png", "--alpha", "mask"], exit_code::USAGE, &["two masks"]),
        (&["--mask", "-", "-i", "-"], exit_code::USAGE, &["standard input"]),
        (&["--extend", "8,0,0,0", "--invert-mask"], exit_code::USAGE, &["no mask"]),
        (&["--extend", "8,0,0"], exit_code::USAGE, &["--extend", "128,0,128,0"]),
        (&["--extend", "0,0,0,0"], exit_code::USAGE, &["adds nothing"]),
        (&["--extend", "5000,0,0,0"], exit_code::USAGE, &["5000", "4096"]),
        (&["--mask", "mask.png", "--mask-blur", "-1"], exit_code::USAGE, &["--mask-blur", "0"]),
        (&["--mask", "mask.png", "--mask-grow", "9999"], exit_code::USAGE, &["--mask-grow", "512"]),
        (&["--mask", "mask.png", "--only-masked", "--resize", "fit"], exit_code::USAGE, &["--only-masked"]),
        (&["--mask", "mask.png", "--strength", "0.1"], exit_code::USAGE, &["none of the 4 steps"]),
        (&["--mask", "mask.png", "--fill", "green"], exit_code::USAGE, &["original", "noise", "blur"]),
    ] {
        run(&sandbox, line).fails(code).says(words);
    }
    assert_eq!(sandbox.files(), before);
}
