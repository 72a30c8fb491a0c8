//! Masks, regions, sizes, outpainting and filling.

use ::image::{GrayImage, Luma, Rgb, RgbImage};

use super::super::*;

/// 0 but for a rectangle.
fn rectangle(size: (u32, u32), left: u32, top: u32, width: u32, height: u32) -> Mask {
    Mask::new(GrayImage::from_fn(size.0, size.1, |x, y| {
        let inside = (left..left + width).contains(&x) && (top..top + height).contains(&y);
        Luma([if inside { 255 } else { 0 }])
    }))
}

fn texture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 7) as u8, (y * 5) as u8, (x * y) as u8]))
}

fn marked(mask: &Mask) -> usize {
    mask.values().as_raw().iter().filter(|&&v| v > 0).count()
}

#[test]
fn growing_adds_a_disc_and_shrinking_takes_it_away() {
    let dot = rectangle((41, 31), 20, 15, 1, 1);
    for radius in [1, 2, 5, 9] {
        let grown = dot.grow(radius);
        for (x, y, value) in grown.values().enumerate_pixels() {
            let (dx, dy) = (x as i32 - 20, y as i32 - 15);
            let inside = dx * dx + dy * dy <= radius * radius;
            assert_eq!(value.0[0] == 255, inside, "{radius}: {x}, {y}");
        }
        assert_eq!(grown.grow(-radius), dot);
    }
    let bar = rectangle((41, 31), 0, 10, 41, 11);
    assert_eq!(bar.grow(-3), rectangle((41, 31), 0, 13, 41, 5), "the picture's border does not wear it away");
    assert_eq!(dot.grow(i32::MAX), Mask::uniform((41, 31), 255));
    assert!(dot.grow(i32::MIN).is_empty());
    assert_eq!(dot.grow(0), dot);
}

#[test]
fn growing_keeps_soft_values() {
    let soft = Mask::new(GrayImage::from_raw(5, 1, vec![0, 0, 90, 0, 200]).unwrap());
    assert_eq!(soft.grow(1).values().as_raw(), &[0, 90, 90, 200, 200]);
    assert_eq!(soft.grow(-1).values().as_raw(), &[0, 0, 0, 0, 0]);
}

#[test]
fn masks_count() {
    let mask = rectangle((20, 10), 5, 2, 4, 5);
    assert_eq!(mask.coverage(), 0.1);
    assert_eq!(mask.invert().coverage(), 0.9);
    assert!(!mask.is_empty() && !mask.is_full());
    assert!(Mask::uniform((3, 2), 0).is_empty() && Mask::uniform((3, 2), 255).is_full());
    assert!(!Mask::uniform((3, 2), 254).is_full());
    let halves = Mask::new(GrayImage::from_raw(4, 1, vec![0, 127, 128, 255]).unwrap());
    assert_eq!(halves.binarise().values().as_raw(), &[0, 0, 255, 255]);
    let both = mask.union(&rectangle((20, 10), 0, 0, 2, 2));
    assert_eq!(marked(&both), 24);
}

#[test]
fn feathering_leaves_the_mask_and_all_that_is_far_from_it() {
    let mask = rectangle((96, 64), 40, 20, 20, 20);
    let feathered = mask.feather(8.0);
    for (x, y, value) in feathered.values().enumerate_pixels() {
        let outside = |at: u32, from: u32, to: u32| from.saturating_sub(at).max((at + 1).saturating_sub(to));
        let distance = outside(x, 40, 60).max(outside(y, 20, 40));
        match distance {
            0 => assert_eq!(value.0[0], 255, "{x}, {y}"),
            16.. => assert_eq!(value.0[0], 0, "{x}, {y}"),
            _ => {}
        }
    }
    let row: Vec<u8> = (60..76).map(|x| feathered.values().get_pixel(x, 30).0[0]).collect();
    assert!(row.is_sorted_by(|a, b| a >= b), "{row:?}");
    assert!(row[0] > 200 && row[4] < 128 && row[8] < 16, "{row:?}");
    assert_eq!(mask.feather(0.0), mask);
}

#[test]
fn pasting_back_changes_only_what_is_masked() {
    let (original, painted) = (texture(33, 21), RgbImage::from_pixel(33, 21, Rgb([9, 200, 77])));
    let mut mask = rectangle((33, 21), 4, 4, 10, 10).values().clone();
    mask.put_pixel(20, 5, Luma([51]));
    let out = paste_back(&original, &painted, &Mask::new(mask.clone()));
    for (x, y, pixel) in out.enumerate_pixels() {
        let (own, value) = (original.get_pixel(x, y), mask.get_pixel(x, y).0[0]);
        match value {
            0 => assert_eq!(pixel, own),
            255 => assert_eq!(pixel, &Rgb([9, 200, 77])),
            _ => {
                let expected =
                    [0, 1, 2].map(|i| (f64::from(own[i]) * 0.8 + f64::from([9, 200, 77][i]) * 0.2).round() as u8);
                assert_eq!(pixel.0, expected);
            }
        }
    }
}

#[test]
fn regions_zoom_in_and_out() {
    let picture = texture(120, 90);
    let mask = rectangle((120, 90), 50, 40, 20, 10);
    let region = Region::around(&mask, (64, 64), 6).unwrap();
    assert_eq!(region, Region { left: 44, top: 29, width: 32, height: 32 });
    let zoomed = region.zoom(&picture, (64, 64));
    assert_eq!(zoomed.dimensions(), (64, 64));
    let back = region.unzoom(&picture, &zoomed);
    for (x, y, pixel) in back.enumerate_pixels() {
        let inside = (44..76).contains(&x) && (29..61).contains(&y);
        assert!(inside || pixel == picture.get_pixel(x, y));
    }
    assert_eq!(region.crop(&picture).get_pixel(0, 0), picture.get_pixel(44, 29));
    assert_eq!(region.unzoom(&picture, &region.crop(&picture)), picture);
    assert_eq!(Region::around(&Mask::uniform((9, 9), 0), (64, 64), 6), None);
    let whole = Region::around(&Mask::uniform((9, 7), 255), (64, 64), 1000).unwrap();
    assert_eq!((whole.width, whole.height), (9, 7));
}

#[test]
fn sizes_follow_the_picture() {
    let size = |picture, asked, how| {
        let made = picture_size(picture, asked, how, 8).unwrap();
        (made.width, made.height, made.note)
    };
    use Resize::{Crop, Fit};
    assert_eq!(size((512, 768), (None, None), Crop), (512, 768, None));
    let (width, height, note) = size((511, 513), (None, None), Crop);
    assert_eq!((width, height), (504, 512));
    assert_eq!(note.unwrap(), "511x513 is rounded down to 504x512, multiples of 8");
    assert_eq!(size((1000, 500), (Some(512), None), Crop), (512, 256, None));
    assert_eq!(size((1000, 500), (None, Some(512)), Crop), (1024, 512, None));
    assert_eq!(size((1000, 500), (Some(512), Some(512)), Crop), (512, 512, None));
    assert_eq!(size((1000, 500), (Some(512), Some(512)), Fit), (512, 256, None));
    assert_eq!(size((500, 1000), (Some(512), Some(512)), Fit), (256, 512, None));
    let message = |picture, asked| picture_size(picture, asked, Crop, 8).unwrap_err().to_string();
    assert!(message((60, 600), (None, None)).contains("too small"));
    assert!(message((6000, 600), (None, None)).contains("too large"));
    assert!(message((600, 60), (Some(512), None)).contains("512x48"));
    assert_eq!(picture_size((9, 9), (None, None), Crop, 8).unwrap_err().exit_code(), 2);
}

#[test]
fn sizes_are_rounded_down_as_in_diffusers() {
    for row in super::rows(&super::table("modes.json")["size_of_the_picture_itself"]) {
        let pair = |key: &str| [0, 1].map(|i| row[key][i].as_u64().unwrap() as u32);
        let ([width, height], expected) = (pair("picture"), pair("size"));
        let made = picture_size((width, height), (None, None), Resize::Crop, row["grid"].as_u64().unwrap() as usize);
        if expected.iter().all(|&side| side >= 64) {
            let made = made.unwrap();
            assert_eq!([made.width, made.height], expected, "{row}");
        } else {
            assert!(made.is_err(), "{row}");
        }
    }
}

#[test]
fn what_a_new_size_does_is_said() {
    let note = |from, to, how| fit_note(from, to, how);
    assert_eq!(note((64, 64), (64, 64), Resize::Crop), None);
    assert_eq!(note((64, 64), (128, 128), Resize::Crop).unwrap(), "the picture of 64x64 is brought to 128x128");
    let cases = [
        (Resize::Crop, "the picture of 100x50 is brought to 64x64: 64 pixels of its width are cut"),
        (Resize::Fill, "the picture of 100x50 is brought to 64x64: its edges are repeated"),
        (Resize::Stretch, "the picture of 100x50 is brought to 64x64: its shape changes"),
    ];
    for (how, expected) in cases {
        assert_eq!(note((100, 50), (64, 64), how).unwrap(), expected);
    }
}

#[test]
fn thin_pictures_survive_every_shape() {
    for how in [Resize::Crop, Resize::Fit, Resize::Fill, Resize::Stretch] {
        for from in [(1000, 1), (1, 1000), (1, 1), (3, 700)] {
            for to in [(64, 64), (64, 512), (512, 64)] {
                assert_eq!(fit(&texture(from.0, from.1), to, how).dimensions(), to, "{how:?} {from:?} {to:?}");
            }
        }
    }
}

#[test]
fn outpainting_keeps_the_picture_and_masks_the_rest() {
    let picture = texture(80, 64);
    let margins: Margins = "16, 0,32,8".parse().unwrap();
    assert_eq!(margins, Margins { left: 16, top: 0, right: 32, bottom: 8 });
    let Extended { rgb, mask } = extend(&picture, None, margins);
    assert_eq!(rgb.dimensions(), (128, 72));
    assert_eq!(mask.dimensions(), (128, 72));
    for (x, y, value) in mask.values().enumerate_pixels() {
        let kept = (16 + SEAM_OVERLAP..96 - SEAM_OVERLAP).contains(&x) && y < 64 - SEAM_OVERLAP;
        assert_eq!(value.0[0], if kept { 0 } else { 255 }, "{x}, {y}");
        let from = (x.saturating_sub(16).min(79), y.min(63));
        assert_eq!(rgb.get_pixel(x, y), picture.get_pixel(from.0, from.1));
    }
    let with_mask = extend(&picture, Some(&rectangle((80, 64), 30, 20, 5, 5)), margins).mask;
    assert_eq!(marked(&with_mask), marked(&mask) + 25);
    assert_eq!(with_mask.values().get_pixel(46, 20).0[0], 255);
    let nothing = extend(&picture, None, Margins::default());
    assert_eq!(nothing.rgb, picture);
    assert!(nothing.mask.is_empty());
}

#[test]
fn margins_are_four_numbers() {
    for wrong in ["", "1", "1,2,3", "1,2,3,4,5", "a,0,0,0", "-1,0,0,0", "1.5,0,0,0", "1;2;3;4"] {
        assert!(wrong.parse::<Margins>().is_err(), "{wrong}");
    }
    assert_eq!("1,2,3".parse::<Margins>().unwrap_err(), "four numbers are needed, LEFT,TOP,RIGHT,BOTTOM, not 3");
    let huge: Margins = "4294967295,0,1,0".parse().unwrap();
    assert_eq!(huge.around((64, 64)), (u32::MAX, 64));
}

#[test]
fn holes_are_filled_from_around() {
    // Left dark, right bright: the fill goes from one to the other, and nothing outside changes.
    let picture = RgbImage::from_fn(96, 64, |x, _| if x < 48 { Rgb([20, 40, 60]) } else { Rgb([220, 200, 180]) });
    let mask = rectangle((96, 64), 16, 8, 64, 48);
    let mut hidden = picture.clone();
    for (x, y, pixel) in hidden.enumerate_pixels_mut() {
        if mask.values().get_pixel(x, y).0[0] > 0 {
            *pixel = Rgb([255, 0, 255]);
        }
    }
    let filled = fill_from_around(&hidden, &mask);
    assert_eq!(filled, fill_from_around(&picture, &mask), "what is under the mask has no say");
    for (x, y, pixel) in filled.enumerate_pixels() {
        if mask.values().get_pixel(x, y).0[0] == 0 {
            assert_eq!(pixel, picture.get_pixel(x, y));
        }
        assert!((20..=220).contains(&pixel.0[0]) && (40..=200).contains(&pixel.0[1]), "{x}, {y}: {pixel:?}");
    }
    assert!(filled.get_pixel(20, 32).0[0] < 70 && filled.get_pixel(75, 32).0[0] > 170);
    // Smooth: no step along the middle of the hole is larger than a tenth of the whole way.
    for x in 17..79 {
        let step = filled.get_pixel(x, 32).0[0].abs_diff(filled.get_pixel(x + 1, 32).0[0]);
        assert!(step <= 20, "{step} at {x}");
    }
    assert_eq!(fill_from_around(&picture, &Mask::uniform((96, 64), 255)), picture);
    assert_eq!(fill_from_around(&picture, &Mask::uniform((96, 64), 0)), picture);
}

#[test]
fn masks_of_another_size_are_resized_with_a_note() {
    let loaded = load_mask(&super::source("mask/hard.png")).unwrap();
    assert_eq!(loaded.dimensions(), (96, 80));
    assert!(loaded.notes.is_empty());
    let (same, note) = loaded.fitted((96, 80), (96, 80), Resize::Crop);
    assert_eq!((same.dimensions(), note), ((96, 80), None));
    let (resized, note) = loaded.fitted((200, 100), (64, 64), Resize::Crop);
    assert_eq!(resized.dimensions(), (64, 64));
    assert_eq!(note.unwrap(), "the mask of 96x80 is resized to the picture's 200x100");
}

#[test]
fn transparent_masks() {
    // Brightness counts.
    let loaded = load_mask(&super::source("mask/rgba.png")).unwrap();
    assert!(loaded.notes[0].contains("its brightness counts"), "{:?}", loaded.notes);
    // Of one colour: what is opaque counts.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strokes.png");
    let alpha = |x: u32| if x < 10 { 0 } else { 255 };
    let strokes = ::image::RgbaImage::from_fn(32, 32, |x, _| ::image::Rgba([255, 255, 255, alpha(x)]));
    strokes.save(&path).unwrap();
    let loaded = load_mask(&Source::new(&path)).unwrap();
    assert!(loaded.notes[0].contains("it counts where it is opaque"), "{:?}", loaded.notes);
    let (mask, _) = loaded.fitted((32, 32), (32, 32), Resize::Crop);
    assert_eq!(mask, rectangle((32, 32), 10, 0, 22, 32));
}
