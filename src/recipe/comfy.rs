//! ComfyUI's graph, as far as it is a simple one: one sampler, with the model, prompts and latents that lead to it. Followed:
//! comfyanonymous/ComfyUI, `nodes.py` and `comfy_extras/nodes_custom_sampler.py`.

use serde_json::Value;

use super::graph::{Graph, Node};
use super::own::undressed;
use super::samplers::{self, Names};
use super::{Recipe, LIKE};

/// Where the nodes of a run get their parts: a plain sampler has them as inputs of its own, a custom one as nodes.
struct Run<'a> {
    sampler: Node<'a>,
    /// The node with the seed.
    noise: Node<'a>,
    /// That with the sampler's name.
    method: Node<'a>,
    /// That with the steps, the schedule and the strength.
    schedule: Node<'a>,
    /// That with the model, the prompts and the guidance.
    guide: Node<'a>,
}

impl<'a> Run<'a> {
    fn of(sampler: Node<'a>) -> Self {
        let or_own = |input: &str| sampler.link(input).unwrap_or(sampler);
        Run {
            sampler,
            noise: or_own("noise"),
            method: or_own("sampler"),
            schedule: or_own("sigmas"),
            guide: or_own("guider"),
        }
    }
}

/// What the graph says.
///
/// # Errors
/// When there is no sampler in it.
pub fn recipe(graph: &Value) -> Result<Recipe, String> {
    let none = || "ComfyUI's graph has no sampler that is known".to_string();
    let graph = Graph::new(graph).ok_or_else(none)?;
    let mut samplers = graph.nodes().filter(|node| {
        ["KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced"].contains(&node.class)
    });
    let run = Run::of(samplers.next().ok_or_else(none)?);
    let mut recipe = Recipe::of("ComfyUI");
    let others = samplers.count();
    if others > 0 {
        recipe.not_taken.push(format!("{others} more samplers"));
    }
    prompts(&run, &mut recipe);
    numbers(&run, &mut recipe);
    model(&run, &mut recipe);
    latents(&run, &mut recipe);
    let decodes = |node: &Node<'_>| node.class.starts_with("VAEDecode") && node.takes("samples", run.sampler);
    let vae = graph.nodes().find(decodes).and_then(|node| node.link("vae")).filter(|node| node.class == "VAELoader");
    recipe.set_some("vae", vae.and_then(|node| node.text("vae_name")));
    recipe.notes.push(LIKE.into());
    Ok(recipe)
}

/// Ways through what changes a conditioning. Some nodes change both, and each has its own way through them.
const CONDITIONING: &[&str] = &["conditioning", "positive", "conditioning_to", "conditioning_1"];
const NEGATIVE: &[&str] = &["conditioning", "negative", "conditioning_to", "conditioning_1"];
/// What makes nothing of a conditioning, whatever its text says.
const ZERO: &str = "ConditioningZeroOut";

/// Models whose latents these are were trained by flow matching.
const FLOW_LATENTS: &str = "EmptySD3LatentImage";

fn prompts(run: &Run<'_>, recipe: &mut Recipe) {
    let positive = run.guide.link("positive").or_else(|| run.guide.link("conditioning"));
    for node in positive.into_iter().flat_map(|node| node.chain(CONDITIONING)) {
        match node.class {
            "CLIPTextEncode" => {}
            "FluxGuidance" => recipe.set_some("guidance", node.number("guidance")),
            _ if text_of(node).is_some() => {}
            other => recipe.not_taken.push(other.into()),
        }
        if let Some(text) = text_of(node) {
            recipe.set("prompt", text);
            undressed(recipe);
            break;
        }
    }
    let chain = run.guide.link("negative").into_iter().flat_map(|node| node.chain(NEGATIVE));
    let negative = chain.take_while(|node| node.class != ZERO).find_map(text_of);
    // An empty one is a text too: for SDXL, none is zeros.
    recipe.set_some("negative-prompt", negative);
    recipe.set("weighting", "a1111");
}

fn text_of(node: Node<'_>) -> Option<String> {
    node.text("text").or_else(|| node.text("text_g")).or_else(|| node.text("clip_l"))
}

fn numbers(run: &Run<'_>, recipe: &mut Recipe) {
    recipe.set_some("seed", run.noise.text("seed").or_else(|| run.noise.text("noise_seed")));
    recipe.set_some("steps", run.schedule.text("steps"));
    let takes_guidance = recipe.get("guidance").is_some() || run.guide.class == "BasicGuider";
    if !takes_guidance {
        recipe.set_some("guidance", run.guide.number("cfg"));
    }
    let flow = takes_guidance || run.sampler.link("latent_image").is_some_and(|node| node.class == FLOW_LATENTS);
    if let Some(sampler) = run.method.text("sampler_name") {
        let schedule = run.schedule.text("scheduler");
        samplers::take(recipe, Names::Comfy, &sampler, schedule.as_deref(), flow);
    }
    let part = run.sampler.number("start_at_step").is_some_and(|step| step > 0.0);
    if part {
        recipe.not_taken.push("start_at_step: only a part of the steps was made".into());
    }
    let steps = run.schedule.number("steps");
    if run.sampler.number("end_at_step").zip(steps).is_some_and(|(end, steps)| end < steps) {
        recipe.not_taken.push("end_at_step: only a part of the steps was made".into());
    }
}

fn model(run: &Run<'_>, recipe: &mut Recipe) {
    let start = run.guide.link("model").or_else(|| run.schedule.link("model"));
    let mut loras = Vec::new();
    for node in start.into_iter().flat_map(|node| node.chain(&["model"])) {
        match node.class {
            "LoraLoader" | "LoraLoaderModelOnly" => loras.extend(lora(node)),
            "CheckpointLoaderSimple" | "CheckpointLoader" => recipe.set_some("model", node.text("ckpt_name")),
            "UNETLoader" => recipe.set_some("model", node.text("unet_name")),
            // The schedule's shift, which comes from the model here.
            other => recipe.not_taken.push(other.into()),
        }
    }
    // The model passes the last one first when it is walked back.
    for lora in loras.into_iter().rev() {
        recipe.push("lora", lora, None);
    }
    let clip = run.guide.link("positive").and_then(|node| node.link("clip"));
    let skip = clip.into_iter().flat_map(|node| node.chain(&["clip"])).find(|node| node.class == "CLIPSetLastLayer");
    recipe.set_some("clip-skip", skip.and_then(|node| node.number("stop_at_clip_layer")).map(|layer| -layer));
}

fn lora(node: Node<'_>) -> Option<String> {
    let (name, model) = (node.text("lora_name")?, node.number("strength_model")?);
    let clip = node.number("strength_clip").filter(|clip| *clip != model);
    Some(match clip {
        Some(clip) => format!("{name}:{model}:{clip}"),
        None => format!("{name}:{model}"),
    })
}

fn latents(run: &Run<'_>, recipe: &mut Recipe) {
    let Some(latents) = run.sampler.link("latent_image") else { return };
    if latents.class.starts_with("Empty") {
        recipe.set_some("width", latents.text("width"));
        recipe.set_some("height", latents.text("height"));
        recipe.set_some("batch", latents.text("batch_size").filter(|batch| batch != "1"));
        return;
    }
    recipe.set_some("strength", run.schedule.number("denoise"));
    let loads = |node: &Node<'_>| node.class.starts_with("LoadImage");
    let picture = latents.chain(&["samples", "pixels", "image"]).find(loads).and_then(|node| node.text("image"));
    recipe.not_taken.push(format!("LoadImage {}", picture.unwrap_or_default()).trim_end().into());
}
