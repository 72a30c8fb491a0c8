//! sdgen's own recipe: the whole request, as the options that ask for it.

use clap::ValueEnum;

use super::Recipe;
use crate::image::SdgenChunk;
use crate::request::{Control, ControlMode, Image, Inpaint, Input, LongPrompt, Lora, Parts, PictureFile, Prompt};
use crate::request::{Redux, ReduxPicture, Request, Sampling, SkipLayers, Weighting};
use crate::sampling::{Prediction, Sampler, SigmaSpacing};

/// All of it. Each field of the request is named here, so that none can be forgotten.
pub fn recipe(chunk: &SdgenChunk) -> Recipe {
    let mut recipe = Recipe::of(format!("sdgen {}", chunk.made_with.version));
    let Request {
        schema: _,
        model,
        parts: of_model,
        loras: listed,
        lora_dirs: _,
        prompt: text,
        redux: seen,
        sampling: way,
        image: size,
        input: start,
        inpaint: part,
        controls: nets,
    } = &chunk.request;
    let main = chunk.made_with.model.files.first().map(|file| file.sha256.clone());
    recipe.push("model", model.clone(), main);
    parts(of_model, &mut recipe);
    loras(listed, chunk, &mut recipe);
    prompt(text, &mut recipe);
    if let Some(seen) = seen {
        redux(seen, &mut recipe);
    }
    sampling(way, &mut recipe);
    image(size, &mut recipe);
    if let Some(start) = start {
        input(start, &mut recipe);
    }
    if let Some(part) = part {
        inpaint(part, &mut recipe);
    }
    controls(nets, &mut recipe);
    recipe.set("dtype", &chunk.made_with.dtype);
    if size.batch.is_some_and(|batch| batch > 1) {
        let (number, batch) = (chunk.batch_index + 1, size.batch.unwrap_or(1));
        recipe.notes.push(format!("the picture is number {number} of a batch of {batch}, which is made as a whole"));
    }
    recipe
}

/// The name of a value in a list of possible ones.
fn name(value: &impl ValueEnum) -> Option<String> {
    value.to_possible_value().map(|value| value.get_name().to_string())
}

fn parts(parts: &Parts, recipe: &mut Recipe) {
    let Parts { unet, vae, clip_l, clip_g, t5, no_t5, config, ema, prediction, quantize } = parts;
    let files = [("unet", unet), ("vae", vae), ("clip-l", clip_l), ("clip-g", clip_g), ("t5", t5), ("config", config)];
    for (option, file) in files {
        recipe.set_some(option, file.as_ref());
    }
    recipe.set_some("no-t5", no_t5.then_some(true));
    recipe.set_some("ema", ema.then_some(true));
    recipe.set_some("quantize", quantize.as_ref().and_then(name));
    match prediction {
        None => {}
        Some(Prediction::Epsilon) => recipe.set("prediction", "epsilon"),
        Some(Prediction::Velocity) => recipe.set("prediction", "v"),
        Some(Prediction::Sample) => recipe.not_taken.push("prediction of the picture".into()),
    }
}

fn loras(loras: &[Lora], chunk: &SdgenChunk, recipe: &mut Recipe) {
    let known = &chunk.made_with.loras;
    for lora in loras {
        let Lora { file, scale, text_scale, blocks } = lora;
        let sha256 = known.iter().find(|known| known.name == *file).map(|known| known.sha256.clone());
        let text_scale = text_scale.map(|scale| format!(":{scale}")).unwrap_or_default();
        recipe.push("lora", format!("{file}:{scale}{text_scale}"), sha256);
        if let Some(blocks) = blocks {
            recipe.push("lora-blocks", format!("{file}:{blocks}"), None);
        }
    }
    // Those that the prompt names are looked for in folders.
    for named in known.iter().filter(|known| loras.iter().all(|lora| lora.file != known.name)) {
        recipe.push("lora-dir", named.name.clone(), Some(named.sha256.clone()));
    }
}

fn prompt(prompt: &Prompt, recipe: &mut Recipe) {
    let Prompt { text, text_2, negative, negative_2, clip_skip, embeddings, weighting, long_prompt, max_tokens } =
        prompt;
    recipe.set("prompt", text);
    undressed(recipe);
    recipe.set_some("prompt-2", text_2.as_ref());
    recipe.set_some("negative-prompt", negative.as_ref());
    recipe.set_some("negative-prompt-2", negative_2.as_ref());
    recipe.set_some("clip-skip", *clip_skip);
    for file in embeddings {
        recipe.push("embedding", file.clone(), None);
    }
    recipe.set_some("weighting", Some(weighting).filter(|w| **w != Weighting::default()).and_then(name));
    recipe.set_some("long-prompt", Some(long_prompt).filter(|l| **l != LongPrompt::default()).and_then(name));
    recipe.set_some("max-tokens", *max_tokens);
}

fn redux(redux: &Redux, recipe: &mut Recipe) {
    let Redux { model, pictures } = redux;
    for ReduxPicture { picture: PictureFile { file, sha256 }, scale, pooled_scale } in pictures {
        recipe.push("redux", format!("{file}:{scale}:{pooled_scale}"), sha256.clone());
    }
    recipe.set("redux-model", model);
}

/// A recipe's prompt is whole: nothing is put around it.
pub fn undressed(recipe: &mut Recipe) {
    recipe.set("prompt-prefix", "");
    recipe.set("prompt-suffix", "");
}

fn sampling(sampling: &Sampling, recipe: &mut Recipe) {
    let Sampling { steps, guidance, guidance_rescale, true_cfg, skip_layers, scheduler, sigmas, eta, seed, rng } =
        sampling;
    recipe.set_some("steps", *steps);
    recipe.set_some("guidance", *guidance);
    recipe.set_some("guidance-rescale", *guidance_rescale);
    recipe.set_some("true-cfg", *true_cfg);
    if let Some(SkipLayers { layers, scale, start, stop }) = skip_layers {
        recipe.set("skip-layers", layers.iter().map(usize::to_string).collect::<Vec<_>>().join(","));
        recipe.set("skip-layer-scale", scale);
        recipe.set("skip-layer-start", start);
        recipe.set("skip-layer-stop", stop);
    }
    recipe.set_some("scheduler", scheduler.map(Sampler::name));
    recipe.set_some("sigmas", sigmas.map(SigmaSpacing::name));
    recipe.set_some("eta", *eta);
    recipe.set_some("seed", *seed);
    recipe.set("rng", rng.name());
}

fn image(image: &Image, recipe: &mut Recipe) {
    let Image { width, height, batch, original_size, crop } = image;
    recipe.set_some("width", *width);
    recipe.set_some("height", *height);
    recipe.set_some("batch", *batch);
    recipe.set_some("original-size", original_size.map(|(width, height)| format!("{width}x{height}")));
    recipe.set_some("crop", crop.map(|(left, top)| format!("{left},{top}")));
}

fn input(input: &Input, recipe: &mut Recipe) {
    let Input { picture: PictureFile { file, sha256 }, strength, resize, alpha, no_auto_resize } = input;
    recipe.push("image", file.clone(), sha256.clone());
    recipe.set_some("strength", *strength);
    recipe.set_some("resize", name(resize));
    recipe.set_some("alpha", name(alpha));
    recipe.set_some("no-auto-resize", no_auto_resize.then_some(false));
}

fn inpaint(inpaint: &Inpaint, recipe: &mut Recipe) {
    let Inpaint { mask, invert, grow, blur, soft, only_masked, extend, fill, paste_back } = inpaint;
    if let Some(PictureFile { file, sha256 }) = mask {
        recipe.push("mask", file.clone(), sha256.clone());
    }
    recipe.set_some("invert-mask", invert.then_some(true));
    recipe.set("mask-grow", grow);
    recipe.set("mask-blur", blur);
    recipe.set_some("soft-mask", soft.then_some(true));
    recipe.set_some("only-masked", *only_masked);
    let sides = extend.map(|new| format!("{},{},{},{}", new.left, new.top, new.right, new.bottom));
    recipe.set_some("extend", sides);
    recipe.set_some("fill", name(fill));
    recipe.set("no-paste-back", paste_back);
    if only_masked.is_some() {
        // Refused beside it, as it has no effect.
        recipe.values.retain(|taken| taken.option != "resize");
    }
}

fn controls(controls: &[Control], recipe: &mut Recipe) {
    let Some(first) = controls.first() else { return };
    for control in controls {
        let Control { model, kind, picture, preprocessor, resize, scale, start, end, mode } = control;
        let kind = kind.as_ref().map(|kind| format!("#{kind}")).unwrap_or_default();
        recipe.push("control", format!("{model}{kind}={}:{scale}:{start}:{end}", picture.file), picture.sha256.clone());
        // Options are about all of them.
        if (preprocessor, resize, mode) != (&first.preprocessor, &first.resize, &first.mode) {
            recipe.not_taken.push(format!("how the ControlNet `{model}` is shown its picture: as the first one"));
        }
    }
    recipe.set("preprocessor", String::from(first.preprocessor));
    match first.mode {
        ControlMode::Guess => recipe.set("guess-mode", true),
        mode => recipe.set_some("control-mode", name(&mode)),
    }
    if recipe.get("resize").is_none() {
        recipe.set_some("resize", first.resize.as_ref().and_then(name));
    }
}
