//! A1111's `parameters`, which its forks, sd.cpp, CivitAI and others write too. Followed: AUTOMATIC1111/stable-diffusion-webui v1.10.1,
//! `create_infotext` and `parse_generation_parameters`.

use super::own::undressed;
use super::samplers::{self, Names};
use super::{Recipe, LIKE};
use crate::image::Infotext;
use crate::text::prompt::tags::{read_tags, LoraTag};

/// Fields that decide nothing: names of programs, hashes of what is named elsewhere.
const SILENT: [&str; 8] =
    ["Version", "Model hash", "VAE hash", "Lora hashes", "TI hashes", "Hashes", "User", "Schedule type"];

/// Forge's name for the guidance of FLUX.
const DISTILLED: &str = "Distilled CFG Scale";

/// What the fields say; those that there is nothing for are listed.
pub fn recipe(text: &Infotext) -> Recipe {
    let version = text.get("Version").unwrap_or_default();
    let program = if version.starts_with("sdgen") { version } else { "A1111" };
    let mut recipe = Recipe::of(program);
    prompt(text, &mut recipe);
    let hires = text.fields.iter().any(|(name, _)| name.starts_with("Hires"));
    for (name, value) in &text.fields {
        if !SILENT.contains(&name.as_str()) && !field(name, value, text, hires, &mut recipe) {
            recipe.not_taken.push(format!("{name}: {value}"));
        }
    }
    if recipe.get("strength").is_some() {
        recipe.not_taken.push("the picture to begin with, which is not in the file".into());
    }
    match text.get("RNG") {
        Some("CPU") => recipe.set("rng", "torch"),
        Some("NV") => recipe.set("rng", "philox"),
        _ => {}
    }
    if program != version {
        recipe.notes.push(LIKE.into());
    }
    recipe
}

/// The prompts, and the LoRAs that the prompt names.
fn prompt(text: &Infotext, recipe: &mut Recipe) {
    match read_tags(&text.prompt) {
        Ok(tagged) if tagged.others.is_empty() => {
            recipe.set("prompt", tagged.text.trim());
            let hashes = text.get("Lora hashes").unwrap_or_default();
            tagged.loras.iter().for_each(|tag| lora(tag, hashes, recipe));
        }
        // What is wrong with them is said when the prompt is read.
        _ => recipe.set("prompt", &text.prompt),
    }
    undressed(recipe);
    if !text.negative.is_empty() {
        recipe.set("negative-prompt", &text.negative);
    }
    recipe.set("weighting", "a1111");
}

fn lora(tag: &LoraTag, hashes: &str, recipe: &mut Recipe) {
    let LoraTag { name, scale, text_scale } = tag;
    let hash = hashes.split(',').filter_map(|pair| pair.split_once(": "));
    let hash = hash.filter(|(known, _)| known.trim() == name).map(|(_, hash)| hash.trim().to_string()).next();
    let text = if scale == text_scale { format!("{name}:{scale}") } else { format!("{name}:{scale}:{text_scale}") };
    recipe.push("lora", text, hash);
}

/// Takes a field over; `false` where there is nothing for it.
fn field(name: &str, value: &str, text: &Infotext, hires: bool, recipe: &mut Recipe) -> bool {
    let number = value.parse::<f64>().ok();
    match name {
        "Steps" => recipe.set("steps", value),
        // Forge has two for FLUX: the distilled one is an input of the model, this one leads away from the negative prompt.
        "CFG scale" if text.get(DISTILLED).is_some() => recipe.set_some("true-cfg", number),
        DISTILLED => recipe.set_some("guidance", number),
        "CFG scale" => recipe.set("guidance", number.map_or(value.into(), |number| number.to_string())),
        "Seed" => recipe.set("seed", value),
        "Clip skip" => recipe.set("clip-skip", value),
        // That of other samplers is about noise that theirs alone let be scaled.
        "Eta DDIM" if text.get("Sampler") == Some("DDIM") => recipe.set("eta", value),
        "Denoising strength" if !hires => recipe.set("strength", value),
        "Sampler" => samplers::take(recipe, Names::A1111, value, text.get("Schedule type"), is_flow(text)),
        "Size" => return size(value, recipe),
        "Model" => recipe.push("model", value.into(), text.get("Model hash").map(Into::into)),
        "VAE" if value.eq_ignore_ascii_case("none") || value.eq_ignore_ascii_case("automatic") => {}
        "VAE" => recipe.push("vae", value.into(), text.get("VAE hash").map(Into::into)),
        "RNG" => return ["CPU", "NV"].contains(&value),
        // The offset of a seed that is none.
        "ENSD" | "Eta noise seed delta" => return number == Some(0.0),
        _ => return false,
    }
    true
}

/// Whether the model is one of flow matching, whose sampler is called as another one's: FLUX of Forge, and what is written here.
fn is_flow(text: &Infotext) -> bool {
    let own = text.get("Version").is_some_and(|version| version.starts_with("sdgen"));
    text.get(DISTILLED).is_some() || own && text.get("Schedule type") == Some("Simple")
}

fn size(value: &str, recipe: &mut Recipe) -> bool {
    let Some((width, height)) = value.split_once('x') else { return false };
    recipe.set("width", width.trim());
    recipe.set("height", height.trim());
    true
}
