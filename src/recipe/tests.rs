//! Recipes of pictures as five programs write them, against what they say.

use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::testing;

fn folder() -> PathBuf {
    testing::fixture("metadata/recipes")
}

/// The cases: a file, and what is to be taken from it.
fn cases() -> Vec<(String, Value)> {
    let table: Value = testing::json("metadata/recipes/expected.json");
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
        let skipped = expected["clip_skip"].as_u64().map(|n| match file.as_str() {
            // It counts the layers that are skipped.
            file if file.starts_with("invokeai") => n + 1,
            // With SDXL its 2 is what the model does by itself.
            "fooocus.png" => n - 1,
            _ => n,
        });
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

/// The recipe of a ComfyUI graph with one sampler and two prompts, to which `nodes` lead.
fn of_graph(sampler: &str, nodes: &str) -> Recipe {
    let graph = format!(
        r#"{{"1": {{"class_type": "KSampler", "inputs": {{"seed": 1, "steps": 20, "cfg": 5, "sampler_name": "euler", {sampler}}}}},
            "2": {{"class_type": "CLIPTextEncode", "inputs": {{"text": "a cat"}}}},
            "3": {{"class_type": "CLIPTextEncode", "inputs": {{"text": "blurry"}}}}, {nodes}}}"#
    );
    super::read(&[TextChunk::new("prompt", graph)]).unwrap().unwrap()
}

#[test]
fn a_negative_prompt_of_comfyui_is_not_looked_for_among_the_positive_ones() {
    let read = |prompts: &str, node: &str| {
        let recipe = of_graph(prompts, node);
        ["prompt", "negative-prompt"]
            .map(|option| recipe.get(option).map_or("none", |texts| texts[0].as_str()).to_string())
    };
    let zero = r#""4": {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["2", 0]}}"#;
    assert_eq!(read(r#""positive": ["2", 0], "negative": ["4", 0]"#, zero), ["a cat", "none"]);
    let both =
        r#""4": {"class_type": "ControlNetApplyAdvanced", "inputs": {"positive": ["2", 0], "negative": ["3", 0]}}"#;
    assert_eq!(read(r#""positive": ["4", 0], "negative": ["4", 1]"#, both), ["a cat", "blurry"]);
    let empty = r#""4": {"class_type": "CLIPTextEncode", "inputs": {"text": ""}}"#;
    assert_eq!(read(r#""positive": ["2", 0], "negative": ["4", 0]"#, empty), ["a cat", ""]);
}

#[test]
fn a_model_of_flow_matching_is_known_by_its_latents() {
    let scheduler = |latents: &str| {
        let node = format!(r#""4": {{"class_type": "{latents}", "inputs": {{"width": 64, "height": 64}}}}"#);
        of_graph(r#""latent_image": ["4", 0]"#, &node).get("scheduler").unwrap()[0].clone()
    };
    assert_eq!(scheduler("EmptySD3LatentImage"), "flow-euler");
    assert_eq!(scheduler("EmptyLatentImage"), "euler");
}

#[test]
fn steps_that_were_left_out_are_told() {
    let latents = r#""4": {"class_type": "EmptyLatentImage", "inputs": {}}"#;
    let not_taken = |end: usize| of_graph(&format!(r#""end_at_step": {end}"#), latents).not_taken;
    assert_eq!(not_taken(15), ["end_at_step: only a part of the steps was made"]);
    assert!(not_taken(10_000).is_empty());
}

#[test]
fn invokeais_flux_has_its_guidance_under_another_name() {
    let text =
        r#"{"positive_prompt": "a cat", "generation_mode": "flux_txt2img", "guidance": 3.5, "scheduler": "euler"}"#;
    let recipe = super::read(&[TextChunk::new("invokeai_metadata", text)]).unwrap().unwrap();
    let one = |option: &str| recipe.get(option).unwrap()[0].clone();
    assert_eq!((one("guidance"), one("scheduler")), ("3.5".into(), "flow-euler".into()));
}

#[test]
fn mflux_says_how_much_of_the_picture_stays() {
    let strength = |fields: &str| {
        let text = format!(r#"{{"mflux_version": "0.11.0", "prompt": "a cat", {fields}}}"#);
        let recipe = super::read(&[TextChunk::new("UserComment", &text)]).unwrap().unwrap();
        recipe.get("strength").map(|texts| texts[0].clone())
    };
    assert_eq!(strength(r#""image_path": "a.png", "image_strength": 0.7"#).as_deref(), Some("0.3"));
    assert_eq!(strength(r#""image_path": "a.png", "image_strength": 0.25"#).as_deref(), Some("0.75"));
    for none in [r#""image_path": "a.png", "image_strength": 0"#, r#""image_path": null, "image_strength": 0.4"#] {
        assert_eq!(strength(none), None, "{none}");
    }
}

#[test]
fn flux_of_forge_and_of_sdgens_own_text_keeps_its_sampler_and_guidance() {
    let read = |fields: &str| {
        let text = format!("a cat\nSteps: 20, Sampler: Euler, Schedule type: Simple, Seed: 1, {fields}");
        let recipe = super::read(&[TextChunk::new("parameters", &text)]).unwrap().unwrap();
        let all = ["scheduler", "guidance", "true-cfg"].map(|option| recipe.get(option).map(|texts| texts[0].clone()));
        all.map(Option::unwrap_or_default)
    };
    assert_eq!(read("CFG scale: 1, Distilled CFG Scale: 3.5, Version: f2.0.1"), ["flow-euler", "3.5", "1"]);
    assert_eq!(read("CFG scale: 3.5, Version: sdgen 0.1.0"), ["flow-euler", "3.5", ""]);
    assert_eq!(read("CFG scale: 7, Version: v1.10.1"), ["euler", "7", ""]);
}

#[test]
fn a1111s_eta_of_other_samplers_than_ddim_is_not_taken() {
    let read = |fields: &str| {
        let text = format!("a cat\nSteps: 20, {fields}, Seed: 1, Size: 64x64");
        let recipe = super::read(&[TextChunk::new("parameters", &text)]).unwrap().unwrap();
        (recipe.get("eta").map(|texts| texts[0].clone()), recipe.not_taken)
    };
    assert_eq!(read("Sampler: DDIM, Eta DDIM: 0.5"), (Some("0.5".into()), vec![]));
    assert_eq!(read("Sampler: Euler a, Eta: 0.5"), (None, vec!["Eta: 0.5".into()]));
    assert_eq!(read("Sampler: PLMS, Eta DDIM: 0.5"), (None, vec!["Eta DDIM: 0.5".into()]));
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
