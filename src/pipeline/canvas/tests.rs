//! Where a picture, its mask and what is painted lie.

use std::path::Path;

use image::{GrayImage, Luma, Rgb};

use super::*;
use crate::image::input::Margins;
use crate::request::PictureFile;

/// A picture whose every pixel says where it lies.
fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, (x + y) as u8]))
}

fn request(folder: &Path, inpaint: Option<Inpaint>) -> Request {
    let file = |name: &str| PictureFile { file: folder.join(name).to_str().unwrap().into(), sha256: None };
    picture(100, 90).save(folder.join("in.png")).unwrap();
    let mask = GrayImage::from_fn(100, 90, |x, y| Luma([if (30..60).contains(&x) && y < 50 { 255 } else { 0 }]));
    mask.save(folder.join("mask.png")).unwrap();
    Request {
        input: Some(Input { picture: file("in.png"), ..Input::default() }),
        inpaint: inpaint.map(|inpaint| Inpaint { mask: Some(file("mask.png")), ..inpaint }),
        ..Request::default()
    }
}

fn prepare(request: &mut Request) -> Canvas {
    Canvas::prepare(request, (128, 128), 8).unwrap().unwrap().canvas
}

fn painted(canvas: &Canvas) -> RgbImage {
    RgbImage::from_pixel(canvas.picture.width(), canvas.picture.height(), Rgb([255, 0, 255]))
}

#[test]
fn a_picture_off_the_grid_is_cut_and_not_scaled() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = request(folder.path(), Some(Inpaint::default()));
    let canvas = prepare(&mut request);
    assert_eq!((request.image.width, request.image.height), (Some(96), Some(88)));
    assert_eq!(canvas.picture.get_pixel(0, 0), picture(100, 90).get_pixel(2, 1));
    let mask = canvas.mask.as_ref().unwrap().values();
    assert_eq!((mask.get_pixel(27, 10).0, mask.get_pixel(28, 10).0), ([0], [255]));
    let finished = canvas.finish(painted(&canvas));
    assert_eq!((finished.get_pixel(27, 10).0, finished.get_pixel(28, 10).0), ([29, 11, 40], [255, 0, 255]));
}

#[test]
fn without_a_mask_all_is_painted() {
    let folder = tempfile::tempdir().unwrap();
    let canvas = prepare(&mut request(folder.path(), None));
    assert!(canvas.mask.is_none());
    assert_eq!(canvas.finish(painted(&canvas)), painted(&canvas));
}

#[test]
fn the_masked_part_goes_back_to_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = request(folder.path(), Some(Inpaint { only_masked: Some(4), ..Inpaint::default() }));
    let canvas = prepare(&mut request);
    assert_eq!((request.image.width, request.image.height), (Some(128), Some(128)));
    assert!(canvas.mask.as_ref().unwrap().coverage() > 0.3);
    let finished = canvas.finish(painted(&canvas));
    assert_eq!(finished.dimensions(), (100, 90));
    for (x, y, pixel) in finished.enumerate_pixels() {
        let masked = (30..60).contains(&x) && y < 50;
        let expected = if masked { Rgb([255, 0, 255]) } else { *picture(100, 90).get_pixel(x, y) };
        assert_eq!(*pixel, expected, "{x},{y}");
    }
}

#[test]
fn a_mask_too_thin_for_the_size_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |inpaint: Inpaint, size: Option<usize>| {
        let mut request = request(folder.path(), Some(inpaint));
        let thin = GrayImage::from_fn(300, 300, |x, _| Luma([if x == 150 { 255 } else { 0 }]));
        thin.save(folder.path().join("mask.png")).unwrap();
        picture(300, 300).save(folder.path().join("in.png")).unwrap();
        (request.image.width, request.image.height) = (size, size);
        Canvas::prepare(&mut request, (128, 128), 8).err().map(|e| e.to_string())
    };
    let small = refused(Inpaint::default(), Some(64)).unwrap();
    assert!(small.contains("no white: at 64x64 its brightest pixel"), "{small}");
    let part = refused(Inpaint { only_masked: Some(32), ..Inpaint::default() }, Some(64)).unwrap();
    assert!(part.contains("so thin that nothing of it is left at 64x64"), "{part}");
    assert_eq!(refused(Inpaint { only_masked: Some(32), grow: 4, ..Inpaint::default() }, Some(64)), None);
    assert_eq!(refused(Inpaint::default(), None), None);
}

#[test]
fn new_ground_lies_around_picture_and_mask() {
    let folder = tempfile::tempdir().unwrap();
    let extend = Some(Margins { left: 28, top: 0, right: 0, bottom: 6 });
    let canvas = prepare(&mut request(folder.path(), Some(Inpaint { extend, ..Inpaint::default() })));
    assert_eq!(canvas.picture.dimensions(), (128, 96));
    let mask = |x, y| canvas.mask.as_ref().unwrap().values().get_pixel(x, y).0[0];
    assert_eq!([mask(0, 0), mask(20, 95), mask(58, 0), mask(57, 0), mask(120, 20)], [255, 255, 255, 0, 0]);
}

#[test]
fn what_lies_under_the_mask_is_filled_from_around() {
    let folder = tempfile::tempdir().unwrap();
    let canvas = |fill| prepare(&mut request(folder.path(), Some(Inpaint { fill, ..Inpaint::default() })));
    let (kept, filled) = (canvas(Fill::Original), canvas(Fill::Blur));
    assert_ne!(kept.picture.get_pixel(40, 20), filled.picture.get_pixel(40, 20));
    assert_eq!(kept.picture.get_pixel(10, 20), filled.picture.get_pixel(10, 20));
    assert_eq!(kept.finish(painted(&kept)), filled.finish(painted(&filled)));
}
