//! Recipes that are JSON with a field each: those of InvokeAI (its `core_metadata` node), mflux (`utils/metadata_builder.py`) and Fooocus
//! (`modules/meta_parser.py`).

use serde_json::Value;

use super::own::undressed;
use super::samplers::{self, Names};
use super::{Recipe, LIKE};
use crate::sampling::Sampler;

/// A text, or a number as one; `None` for null.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What all of them have under names that differ: prompt, negative prompt, seed, steps, guidance.
fn common(program: &str, json: &Value, names: [&str; 5]) -> Result<Recipe, String> {
    let [prompt, negative, seed, steps, guidance] = names;
    let mut recipe = Recipe::of(program);
    let prompt = text(&json[prompt]).ok_or_else(|| format!("the settings are not those of {program}"))?;
    recipe.set("prompt", prompt);
    undressed(&mut recipe);
    recipe.set_some("negative-prompt", text(&json[negative]).filter(|text| !text.is_empty()));
    recipe.set_some("seed", text(&json[seed]));
    recipe.set_some("steps", text(&json[steps]));
    recipe.set_some("guidance", json[guidance].as_f64());
    recipe.notes.push(LIKE.into());
    Ok(recipe)
}

fn size(json: &Value, recipe: &mut Recipe) {
    recipe.set_some("width", text(&json["width"]));
    recipe.set_some("height", text(&json["height"]));
}

/// Lists what is there and has no place here.
fn list(json: &Value, names: &[&str], recipe: &mut Recipe) {
    for name in names {
        let is_set = match &json[*name] {
            Value::Null => false,
            Value::Bool(on) => *on,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty() && text != "None",
            Value::Array(all) => !all.is_empty(),
            Value::Object(all) => !all.is_empty(),
        };
        if is_set {
            let value = text(&json[*name]).map(|text| format!(" {text}")).unwrap_or_default();
            recipe.not_taken.push(format!("{name}{value}"));
        }
    }
}

/// InvokeAI's `invokeai_metadata`.
///
/// # Errors
/// When it is none.
pub fn invokeai(json: &Value) -> Result<Recipe, String> {
    let of_mode = |family: &str| json["generation_mode"].as_str().is_some_and(|mode| mode.starts_with(family));
    let flux = of_mode("flux");
    let guidance = if flux { "guidance" } else { "cfg_scale" };
    let mut recipe = common("InvokeAI", json, ["positive_prompt", "negative_prompt", "seed", "steps", guidance])?;
    size(json, &mut recipe);
    // It counts the layers that are skipped, A1111 the layer from the end.
    recipe.set_some("clip-skip", json["clip_skip"].as_u64().map(|skipped| skipped + 1));
    recipe.set_some("strength", json["strength"].as_f64());
    recipe.set_some("guidance-rescale", json["cfg_rescale_multiplier"].as_f64());
    if let Some(sampler) = json["scheduler"].as_str() {
        samplers::take(&mut recipe, Names::Invoke, sampler, None, flux || of_mode("sd3"));
    }
    let name = |model: &Value| text(&model["name"]).or_else(|| text(&model["model_name"]));
    recipe.set_some("model", name(&json["model"]));
    recipe.set_some("vae", name(&json["vae"]));
    for lora in json["loras"].as_array().into_iter().flatten() {
        let model = name(&lora["model"]).or_else(|| name(&lora["lora"]));
        if let (Some(name), Some(weight)) = (model, lora["weight"].as_f64()) {
            recipe.push("lora", format!("{name}:{weight}"), None);
        }
    }
    if let Some((kind, _)) = json["model"]["hash"].as_str().and_then(|hash| hash.split_once(':')) {
        recipe.not_taken.push(format!("model hash ({kind})"));
    }
    let others =
        ["init_image", "controlnets", "ipAdapters", "t2iAdapters", "refiner_model", "seamless_x", "seamless_y"];
    list(json, &others, &mut recipe);
    recipe.notes.push("its weights of words are Compel's, `(word)1.2`, and are taken as they stand".into());
    Ok(recipe)
}

/// mflux's comment.
///
/// # Errors
/// When it is none.
pub fn mflux(json: &Value) -> Result<Recipe, String> {
    if json["mflux_version"].is_null() {
        return Err("the settings are those of a program that is not known".into());
    }
    let mut recipe = common("mflux", json, ["prompt", "negative_prompt", "seed", "steps", "guidance"])?;
    size(json, &mut recipe);
    recipe.set("scheduler", Sampler::FlowEuler);
    recipe.set("weighting", "none");
    recipe.set_some("model", text(&json["model"]));
    // It says how much of the picture stays; of the difference, no more digits than were typed.
    let stays = json["image_strength"].as_f64().filter(|stays| *stays > 0.0 && json["image_path"].is_string());
    recipe.set_some("strength", stays.map(|stays| ((1.0 - stays) * 1e6).round() / 1e6));
    let scales = json["lora_scales"].as_array();
    for (index, path) in json["lora_paths"].as_array().into_iter().flatten().enumerate() {
        let scale = scales.and_then(|scales| scales.get(index)).and_then(Value::as_f64).unwrap_or(1.0);
        if let Some(path) = path.as_str() {
            recipe.push("lora", format!("{path}:{scale}"), None);
        }
    }
    let others = ["quantize", "image_path", "controlnet_image_path", "masked_image_path", "depth_image_path"];
    list(json, &others, &mut recipe);
    Ok(recipe)
}

/// Fooocus' `parameters`.
///
/// # Errors
/// When it is none.
pub fn fooocus(json: &Value) -> Result<Recipe, String> {
    let mut recipe = common("Fooocus", json, ["prompt", "negative_prompt", "seed", "steps", "guidance_scale"])?;
    let size = json["resolution"].as_str().map(|size| size.trim_matches(['(', ')'])).and_then(|s| s.split_once(','));
    if let Some((width, height)) = size {
        recipe.set("width", width.trim());
        recipe.set("height", height.trim());
    }
    recipe.set("weighting", "a1111");
    // It counts from the last layer, and its models are all SDXL, where 1 is the last but one here.
    recipe.set_some("clip-skip", json["clip_skip"].as_u64().map(|skip| skip.saturating_sub(1).max(1)));
    if let Some(sampler) = json["sampler"].as_str() {
        samplers::take(&mut recipe, Names::Comfy, sampler, json["scheduler"].as_str(), false);
    }
    if let Some(model) = text(&json["base_model"]) {
        recipe.push("model", model, text(&json["base_model_hash"]));
    }
    for lora in json["loras"].as_array().into_iter().flatten() {
        if let (Some(name), Some(weight)) = (lora[0].as_str(), lora[1].as_f64()) {
            recipe.push("lora", format!("{name}:{weight}"), text(&lora[2]));
        }
    }
    if json["styles"].as_str().is_some_and(|styles| styles != "[]") {
        recipe.not_taken.push("styles".into());
    }
    for name in ["sharpness", "adm_guidance"] {
        if !json[name].is_null() {
            recipe.not_taken.push(name.into());
        }
    }
    list(json, &["refiner_model"], &mut recipe);
    Ok(recipe)
}
