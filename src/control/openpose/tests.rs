//! Against the reference: maps made by rule to people, and people to pictures.

use candle_core::{Device, Tensor};
use serde_json::Value;

use super::peaks::{Peak, PARTS};
use super::people::LIMBS;
use super::*;
use crate::control::pixels::Plane;
use crate::control::testing::{json, reference, same_share};

fn pair(value: &Value) -> Option<(f64, f64)> {
    Some((value[0].as_f64()?, value[1].as_f64()?))
}

/// Heatmaps and fields by the table's formulas.
fn made_maps(case: &Value) -> [Plane; 2] {
    let (width, height) = (case["width"].as_u64().unwrap() as usize, case["height"].as_u64().unwrap() as usize);
    let pixels = || (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let mut heatmaps = vec![0f32; width * height * 19];
    let mut fields = vec![0f32; width * height * 38];
    let table = json("pose_draw/expected.json");
    for person in case["people"].as_array().unwrap() {
        let strength = person["strength"].as_f64().unwrap();
        let places: Vec<_> = person["keypoints"].as_array().unwrap().iter().map(pair).collect();
        for (part, place) in places.iter().enumerate() {
            let Some((kx, ky)) = place else { continue };
            for (x, y) in pixels() {
                let away = (x as f64 - kx).powi(2) + (y as f64 - ky).powi(2);
                let value = &mut heatmaps[(y * width + x) * 19 + part];
                *value = value.max((strength * (-away / 32.0).exp()) as f32);
            }
        }
        let absent = person["no_limbs"].as_array().cloned().unwrap_or_default();
        for (limb, [from, to]) in LIMBS.iter().enumerate() {
            let (Some(a), Some(b)) = (places[*from], places[*to]) else { continue };
            if absent.contains(&limb.into()) {
                continue;
            }
            let length = ((b.0 - a.0).powi(2) + (b.1 - a.1).powi(2)).sqrt();
            let (ux, uy) = ((b.0 - a.0) / length, (b.1 - a.1) / length);
            let channel = table["maps"]["paf_channels"][limb][0].as_u64().unwrap() as usize - 19;
            for (x, y) in pixels() {
                let (dx, dy) = (x as f64 - a.0, y as f64 - a.1);
                let (along, across) = (dx * ux + dy * uy, dx * uy - dy * ux);
                if (0.0..=length).contains(&along) && across.abs() <= 3.5 {
                    let at = (y * width + x) * 38 + channel;
                    (fields[at], fields[at + 1]) = ((ux * strength) as f32, (uy * strength) as f32);
                }
            }
        }
    }
    [Plane::new(width, height, 19, heatmaps), Plane::new(width, height, 38, fields)]
}

fn same_place(peak: Option<&Peak>, expected: &Value) -> bool {
    match (peak, pair(expected)) {
        (Some(peak), Some((x, y))) => {
            let score = expected[2].as_f64().unwrap();
            (peak.x as f64, peak.y as f64) == (x, y) && (peak.score - score).abs() < 1e-3
        }
        (None, None) => true,
        _ => false,
    }
}

#[test]
fn people_are_put_together_and_drawn_as_in_the_reference() {
    for case in json("pose_draw/expected.json")["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let [heatmaps, fields] = made_maps(case);
        let peaks = peaks::of_parts(&heatmaps);
        let expected = case["peaks"].as_array().unwrap();
        assert_eq!(peaks.iter().map(Vec::len).sum::<usize>(), expected.len(), "{name}");
        assert!(
            peaks.iter().flatten().zip(expected).all(|(peak, expected)| same_place(Some(peak), expected)),
            "{name}"
        );

        let bodies = people::assemble(&peaks, &fields);
        let people = case["result"].as_array().unwrap();
        assert_eq!(bodies.len(), people.len(), "{name}");
        let size = (heatmaps.width as u32, heatmaps.height as u32);
        let mut canvas = RgbImage::new(size.0, size.1);
        for ((body, person), boxes) in bodies.iter().zip(people).zip(case["boxes"].as_array().unwrap()) {
            for part in 0..PARTS {
                assert!(same_place(body.parts[part].as_ref(), &person["keypoints"][part]), "{name} {part}");
            }
            assert!((body.score - person["total_score"].as_f64().unwrap()).abs() < 1e-3, "{name}");
            assert_eq!(body.count as f64, person["total_parts"].as_f64().unwrap(), "{name}");
            let area = |value: &Value| {
                let side = |i: usize| value[i].as_u64().unwrap() as u32;
                (side(0), side(1), side(2))
            };
            let hands: Vec<Area> = boxes["hands"].as_array().unwrap().iter().map(area).collect();
            assert_eq!(hands::areas(body, size), hands, "{name}");
            assert_eq!(faces::area(body, size), boxes["face"].as_array().map(|_| area(&boxes["face"])), "{name}");
            skeleton::draw_body(&mut canvas, body);
        }
        let share = same_share(&canvas, &reference(case["skeleton"].as_str().unwrap()));
        assert!(share >= 0.995, "{name}: {share}");
    }
}

#[test]
fn hands_and_faces_are_drawn_as_in_the_reference() {
    for case in json("pose_draw/hands_faces.json")["cases"].as_array().unwrap() {
        let expected = reference(case["output"].as_str().unwrap());
        let mut canvas = RgbImage::new(expected.width(), expected.height());
        for points in case["keypoints"].as_array().unwrap() {
            let points: Points = points
                .as_array()
                .unwrap()
                .iter()
                .map(|point| pair(point).map_or((-1.0, -1.0), |(x, y)| (x as f32, y as f32)))
                .collect();
            match case["kind"].as_str().unwrap() {
                "hand" => skeleton::draw_hand(&mut canvas, &points),
                _ => skeleton::draw_face(&mut canvas, &points),
            }
        }
        let share = same_share(&canvas, &expected);
        assert!(share >= 0.99, "{}: {share}", case["output"]);
    }
}

#[test]
fn the_networks_picture_is_the_references() {
    let (input, used) = maps::body_input(&reference("annotators/photo.png")).unwrap();
    assert_eq!((input.dims(), used), (&[1, 3, 184, 232][..], (230, 184)));
    let values = input.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let at = |channel: usize, y: usize, x: usize| values[(channel * 184 + y) * 232 + x];
    // controlnet_aux on this picture, and what is beside it.
    assert_eq!([at(0, 100, 100), at(2, 7, 200), at(1, 0, 231)], [0.09375, 0.08984375, 0.0]);
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    assert!((mean - 0.021378715).abs() < 1e-6, "{mean}");
}

#[test]
fn maps_are_enlarged_as_by_opencv() {
    let value = |i: usize| ((i % 29) as f32 * 0.37 + (i / 29 % 23) as f32 * 0.51 + (i / 667) as f32).sin();
    let maps = Tensor::from_vec((0..2 * 667).map(value).collect(), (1, 2, 23, 29), &Device::Cpu).unwrap();
    for (size, expected) in [
        ((120, 96), [[-0.079254955, -0.99276495, 0.34337348], [0.80603266, -0.45409912, -0.61435044]]),
        ((300, 260), [[-0.078976795, -0.7475603, 0.3358028], [0.80513996, -0.9623506, -0.6211313]]),
    ] {
        let large = maps::enlarged(&maps, (230, 184), size).unwrap();
        let places = [(0, 0), (60, 50), (size.0 - 1, size.1 - 1)];
        for (channel, expected) in expected.into_iter().enumerate() {
            for ((x, y), expected) in places.into_iter().zip(expected) {
                let found = large.values[(y * size.0 + x) * 2 + channel];
                assert!((found - expected).abs() < 2e-5, "{size:?} {x} {y}: {found}, not {expected}");
            }
        }
    }
}
