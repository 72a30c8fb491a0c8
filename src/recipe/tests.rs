//! Recipes of pictures as five programs write them, against what they say.

use std::path::PathBuf;

use serde_json::Value;

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/metadata/recipes")
}

/// The cases: a file, and what is to be taken from it.
fn cases() -> Vec<(String, Value)> {
    let table: Value = serde_json::from_slice(&std::fs::read(folder().join("expected.json")).unwrap()).unwrap();
    let cases = table["cases"].as_array().unwrap();
    let file = |case: &Value| case["file"].as_str().unwrap().trim_start_matches("pictures/").to_string();
    cases.iter().map(|case| (file(case), case["expected"].clone())).collect()
}

fn same(found: Option<&str>, expected: &Value) -> bool {
    match expected {
        Value::Null => found.is_none(),
        Value::String(text) => found.unwrap_or_default() == text,
        number => found.and_then(|text| text.parse().ok()) == number.as_f64(),
    }
}

/// The LoRAs as the table has them.
fn loras(recipe: &Recipe) -> Vec<Value> {
    let taken = recipe.values.iter().find(|taken| taken.option == "lora");
    let each = taken.into_iter().flat_map(|taken| taken.texts.iter().zip(&taken.hashes));
    each.map(|(text, hash)| {
        let mut parts = text.split(':');
        let mut number = || parts.next().map(|part| part.parse::<f64>().map_or(Value::from(part), Value::from));
        let mut lora = serde_json::json!({ "name": number(), "scale": number() });
        for (name, value) in [("text_scale", number()), ("hash", hash.clone().map(Value::from))] {
            if let Some(value) = value {
                lora[name] = value;
            }
        }
        lora
    })
    .collect()
}

#[test]
fn pictures_of_other_programs_are_understood() {
    let mut read = 0;
    for (file, expected) in cases().into_iter().filter(|(_, expected)| !expected.is_null()) {
        let recipe = read_file(&folder().join(&file)).unwrap();
        let one = |option: &str| recipe.get(option).map(|texts| texts[0].as_str());
        for (name, option) in [
            ("prompt", "prompt"),
            ("negative", "negative-prompt"),
            ("seed", "seed"),
            ("steps", "steps"),
            ("guidance", "guidance"),
            ("width", "width"),
            ("height", "height"),
            ("model", "model"),
            ("vae", "vae"),
            ("strength", "strength"),
        ] {
            assert!(same(one(option), &expected[name]), "{file}: {name} is {:?}, not {}", one(option), expected[name]);
        }
        let sigmas = one("sigmas").filter(|sigmas| *sigmas != "normal").map(|sigmas| format!("-{sigmas}"));
        let sampler = format!("{}{}", one("scheduler").unwrap(), sigmas.unwrap_or_default());
        assert_eq!(expected["sampler"], sampler, "{file}");
        // InvokeAI counts the layers that are skipped.
        let skipped = expected["clip_skip"].as_u64().map(|n| n + u64::from(file.starts_with("invokeai")));
        assert_eq!(one("clip-skip").map(|n| n.parse().unwrap()), skipped, "{file}");
        let hash = recipe.values.iter().find(|taken| taken.option == "model").and_then(|taken| taken.hashes[0].clone());
        assert_eq!(hash.as_deref(), expected["model_hash"].as_str(), "{file}");
        let mut wanted = expected["loras"].as_array().unwrap().clone();
        for lora in &mut wanted {
            if lora["text_scale"] == lora["scale"] {
                lora.as_object_mut().unwrap().shift_remove("text_scale");
            }
        }
        assert_eq!(loras(&recipe), wanted, "{file}");
        // It begins with a picture, which no such recipe has in it.
        let not_taken: Vec<Value> = recipe.not_taken.iter().cloned().map(Value::from).collect();
        assert_eq!(not_taken, *expected["not_taken"].as_array().unwrap(), "{file}");
        assert_eq!(recipe.command(), if expected["strength"].is_null() { "generate" } else { "img2img" }, "{file}");
        read += 1;
    }
    assert_eq!(read, 16);
}

#[test]
fn what_is_no_recipe_or_a_broken_one_is_told() {
    let read = |file: &str| read_file(&folder().join(file));
    assert!(read("none.png").unwrap_err().to_string().contains("no recipe"));
    assert!(read("broken_json.png").unwrap_err().to_string().contains("damaged"));
    let circle = read("comfyui_cycle.png").unwrap();
    assert_eq!((circle.get("prompt"), circle.get("model")), (None, None));
    assert_eq!(circle.get("steps").unwrap(), ["25"]);
    for (keyword, text) in [("prompt", "[]"), ("prompt", "{}"), ("invokeai_metadata", "{}"), ("UserComment", "{}")] {
        assert!(super::read(&[TextChunk::new(keyword, text)]).is_err(), "{keyword} {text}");
    }
    assert_eq!(super::read(&[TextChunk::new("parameters", "a cat")]), Ok(None));
}

#[test]
fn fields_of_a1111_that_there_is_nothing_for_are_listed() {
    let text =
        "a cat\nSteps: 20, Sampler: DPM++ 2S a, Schedule type: Automatic, CFG scale: 7.0, Seed: 1, Size: 64x64, \
                Denoising strength: 0.5, Hires upscale: 2, RNG: NV, ENSD: 31337, Tiling: True, Version: v1.10.1";
    let recipe = super::read(&[TextChunk::new("parameters", text)]).unwrap().unwrap();
    let listed = ["sampler DPM++ 2S a", "Denoising strength: 0.5", "Hires upscale: 2", "ENSD: 31337", "Tiling: True"];
    assert_eq!(recipe.not_taken, listed);
    assert_eq!((recipe.get("rng").unwrap()[0].as_str(), recipe.get("guidance").unwrap()[0].as_str()), ("philox", "7"));
    assert_eq!(recipe.notes, [LIKE]);
    let schedule = |fields: &str| {
        let text = format!("a\nSteps: 2, Seed: 1, {fields}");
        let recipe = super::read(&[TextChunk::new("parameters", &text)]).unwrap().unwrap();
        let texts = |option| recipe.get(option).map_or(String::new(), |texts| texts[0].clone());
        format!("{} {}", texts("scheduler"), texts("sigmas"))
    };
    assert_eq!(schedule("Sampler: DPM++ 2M, Schedule type: Automatic"), "dpm++2m karras");
    assert_eq!(schedule("Sampler: DPM++ 2M SDE, Schedule type: Automatic"), "dpm++2m-sde exponential");
    assert_eq!(schedule("Sampler: DPM++ 2M"), "dpm++2m normal");
    assert_eq!(schedule("Sampler: DPM++ SDE Karras"), "dpm++sde karras");
    assert_eq!(schedule("Sampler: Euler a, Schedule type: Beta"), "euler-a beta");
    assert_eq!(schedule("Sampler: Euler, Schedule type: SGM Uniform"), "euler ");
    assert_eq!(schedule("Sampler: DDIM, Schedule type: Karras"), "ddim ");
}
