//! Files that are no pictures, or no longer.

use std::path::Path;

use super::super::decode::decode;
use super::super::*;
use super::{folder, source};

const FILES: [&str; 14] = [
    "convert/palette_transparent.png",
    "convert/rgba16.png",
    "kinds/animated.png",
    "kinds/profile.png",
    "kinds/subsampled.jpg",
    "kinds/progressive.jpg",
    "kinds/cmyk.jpg",
    "kinds/lossy.webp",
    "kinds/alpha.webp",
    "kinds/animated.webp",
    "kinds/deflate.tiff",
    "kinds/pages.tiff",
    "kinds/palette.bmp",
    "convert/gray.bmp",
];

fn bytes(file: &str) -> Vec<u8> {
    std::fs::read(folder().join(file)).unwrap()
}

fn file() -> Source {
    Source::new("x.png")
}

/// Message and hint of what is refused, which always ends with exit code 3.
fn refusal(bytes: &[u8]) -> String {
    let Err(error) = decode(bytes, &file()) else { panic!("it was read") };
    assert_eq!(error.exit_code(), 3);
    format!("{error}; {}", error.hint().unwrap())
}

#[test]
fn what_is_no_picture_is_told_apart() {
    assert!(refusal(b"").contains("`x.png` is empty"));
    assert!(refusal(b"just some text\n").contains("`x.png` is not a picture; give a PNG, JPEG"));
    assert!(refusal(b"version https://git-lfs.github.com/spec/v1\noid").contains("Git LFS"));
    assert!(refusal(b"\0\0\0\x24ftypheic\0\0\0\0mif1").contains("not read: HEIC; save it as PNG"));
    assert!(refusal(&bytes("convert/palette.gif")).contains("GIF; save it as PNG"));
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let error = |source: &Source| {
        let error = load(source, Alpha::White).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        format!("{error}; {}", error.hint().unwrap())
    };
    let temporary = tempfile::tempdir().unwrap();
    assert!(error(&Source::new(temporary.path())).contains("name a file"));
    assert!(error(&Source::new(temporary.path().join("none.png"))).contains("check the path"));
}

#[cfg(unix)]
#[test]
fn devices_are_not_read() {
    let error = load(&Source::new("/dev/zero"), Alpha::White).unwrap_err();
    assert!(error.to_string().contains("not a file"), "{error}");
}

/// A PNG whose header says this size, with the checksum that belongs to it.
fn png_of(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = bytes("kinds/profile.png");
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut crc = !0u32;
    for &byte in &bytes[12..29] {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (!(crc & 1)).wrapping_add(1));
        }
    }
    bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
    bytes
}

#[test]
fn absurd_sizes_are_refused_before_decoding() {
    assert!(refusal(&png_of(60_000, 60_000)).contains("60000x60000 pixels, more than is read"));
    assert!(refusal(&png_of(40_000, 16)).contains("40000x16 pixels, more than is read"));
    assert!(refusal(&png_of(1, 1)).contains("1x1 pixels, which is too little to start from"));
    assert!(refusal(&png_of(7, 500)).contains("7x500"));
    // Also when nothing follows the header.
    assert!(refusal(&png_of(60_000, 60_000)[..33]).contains("60000x60000"));
    // The size is believed, and the pixels are missing.
    assert!(refusal(&png_of(32, 33)).contains("damaged PNG"));
    let mut jpeg = bytes("kinds/subsampled.jpg");
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xEA, 0x60, 0xEA, 0x60]);
    assert!(refusal(&jpeg).contains("60000x60000"));
    // Also when its last bytes are missing.
    jpeg.truncate(jpeg.len() - 20);
    assert!(refusal(&jpeg).contains("60000x60000"));
    let mut bmp = bytes("convert/gray.bmp");
    bmp[18..22].copy_from_slice(&60_000u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000u32.to_le_bytes());
    assert!(refusal(&bmp).contains("60000x60000"));
}

#[test]
fn a_file_that_is_cut_off_is_never_taken() {
    for name in FILES {
        let whole = bytes(name);
        // Before the last bytes of some files the pixels are all there: the end of a PNG, padding, a second picture.
        let needed = match Path::new(name).extension().unwrap().to_str().unwrap() {
            _ if name.contains("animated") || name.contains("pages") => whole.len() / 3,
            "png" => whole.len() - 16,
            "tiff" | "webp" => whole.len() - 16,
            _ => whole.len() - 2,
        };
        for length in 0..needed {
            assert!(decode(&whole[..length], &file()).is_err(), "{name} cut to {length} of {}", whole.len());
        }
    }
}

#[test]
fn damage_never_panics() {
    let mut random = fastrand::Rng::with_seed(5);
    for name in FILES {
        let whole = bytes(name);
        for _ in 0..400 {
            let mut damaged = whole.clone();
            for _ in 0..random.usize(1..6) {
                // Mostly in the headers.
                let reach = if random.bool() { whole.len().min(64) } else { whole.len() };
                let values = [0, 1, 0x7F, 0x80, 0xFF, random.u8(..)];
                damaged[random.usize(..reach)] = values[random.usize(..values.len())];
            }
            if random.u8(..4) == 0 {
                damaged.truncate(random.usize(..whole.len()));
            }
            let _ = decode(&damaged, &file());
        }
    }
}

#[test]
fn oddities_are_said() {
    let notes = |name: &str, alpha| load(&source(name), alpha).unwrap().notes.join("\n");
    assert!(notes("kinds/profile.png", Alpha::White).contains("has a colour profile, which is ignored"));
    assert_eq!(notes("kinds/srgb.jpg", Alpha::White), "");
    for several in ["kinds/animated.png", "kinds/animated.webp", "kinds/pages.tiff"] {
        assert!(notes(several, Alpha::White).contains("holds several pictures: the first is taken"), "{several}");
    }
    assert!(notes("convert/rgba.png", Alpha::White).contains("it is laid on white"));
    assert!(notes("convert/rgba.png", Alpha::Drop).contains("that is ignored"));
    assert_eq!(notes("convert/rgba.png", Alpha::Mask), "");
}

#[test]
fn the_record_names_the_file_and_its_content_but_not_its_folder() {
    let path = folder().join("convert/gray.bmp");
    let record = load(&Source::new(&path), Alpha::White).unwrap().record;
    assert_eq!(record.name, "gray.bmp");
    assert_eq!(record.sha256, crate::image::sha256_file(&path).unwrap());
    assert_eq!(Source::new("-"), Source::Stdin);
    assert_eq!(Source::new("./-"), Source::File("./-".into()));
}
