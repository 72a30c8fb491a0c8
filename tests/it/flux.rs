//! FLUX.1 and Stable Diffusion 3 as a user meets them: what is refused, and what is told.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{copy, replace, Outcome, Sandbox};

fn model(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/models", name].iter().collect();
    path.to_str().unwrap().into()
}

fn run(sandbox: &Sandbox, command: &str, name: &str, line: &str) -> Outcome {
    let model = model(name);
    let fixed = [command, "-p", "x", "--model", &model, "-s", "1", "--steps", "1", "-o", "x.png"];
    sandbox.run(fixed.into_iter().chain(line.split_whitespace()))
}

#[test]
fn a_model_that_is_not_the_variant_is_refused() {
    let sandbox = Sandbox::new();
    let refused = run(&sandbox, "flux", "flux-dev", "--variant schnell").fails(3);
    refused.says(&["takes guidance as an input", "leave out `--variant`"]);
    run(&sandbox, "flux", "sd35", "").fails(3).says(&["no FLUX.1 model", "sdgen generate"]);
    run(&sandbox, "flux", "flux-dev", "--variant dev -W 64 -H 64").succeeds();
}

#[test]
fn sizes_are_multiples_of_sixteen() {
    let sandbox = Sandbox::new();
    for name in ["flux-dev", "sd35"] {
        run(&sandbox, "generate", name, "-W 72 -H 64").fails(2).says(&["multiple of 16", "nearest is 80"]);
    }
    run(&sandbox, "generate", "sd35", "-W 400 -H 64").fails(2).says(&["384 pixels"]);
}

#[test]
fn what_the_model_does_not_heed_is_told() {
    let sandbox = Sandbox::new();
    let small = "-W 64 -H 64 --overwrite --max-tokens 8";
    let told = |name: &str, line: &str| run(&sandbox, "generate", name, &format!("{small} {line}")).succeeds();
    told("flux-dev", "-n blurry").says(&["`--true-cfg`"]);
    told("flux-dev", "--true-cfg 3").says(&["no negative prompt"]);
    told("flux-dev", "--clip-skip 2 --guidance-rescale 0.5")
        .says(&["the clip skip has no effect", "rescaling has no effect"]);
    told("flux-dev", "-p (red:1.3)").says(&["brackets in the prompt are taken as text"]);
    told("sd35", "--true-cfg 3").says(&["it is for FLUX"]);
    told("sd35", "--crop 1,1").says(&["the crop has no effect", "Stable Diffusion 3.5"]);
    let cut = told("sd35", "-p one,two,three,four,five,six,seven,eight,nine");
    cut.says(&["the prompt is too long"]);
    // CLIP has no room for it, and T5 reads the other prompt.
    let second = format!("-p x --prompt-2 {}zebra", "x,".repeat(80));
    told("sd35", &second).says(&["the prompt is too long", "zebra"]);
    let first = format!("-p {}zebra --prompt-2 x", "x,".repeat(80));
    told("flux-dev", &first).says(&["the prompt is too long", "zebra"]);
}

#[test]
fn skip_layer_guidance_is_for_guided_stable_diffusion_3() {
    let sandbox = Sandbox::new();
    let refused = |name: &str, line: &str| run(&sandbox, "generate", name, &format!("-W 64 -H 64 {line}")).fails(2);
    refused("flux-dev", "--skip-layers 1").says(&["is for Stable Diffusion 3", "leave out `--skip-layers`"]);
    refused("sd35", "--skip-layers 1 -g 1").says(&["needs guidance", "hint:"]);
    refused("sd35", "--skip-layers 1,3").says(&["no layer 3", "0 to 2"]);
    refused("sd35", "--skip-layers a").says(&["`--skip-layers`", "7,8,9"]);
    refused("sd35", "--skip-layer-scale 2").says(&["no layers", "add `--skip-layers`"]);
    refused("sd35", "--skip-layers 1 --skip-layer-start 0.5").says(&["begin at 0.5 and end at 0.2", "hint:"]);
    let told = run(&sandbox, "generate", "sd35", "-W 64 -H 64 --max-tokens 8 --skip-layers 1").succeeds();
    told.says(&["skip-layer guidance has no effect", "none of 1 steps"]);
}

#[test]
fn parts_have_their_place() {
    let sandbox = Sandbox::new();
    run(&sandbox, "generate", "flux-dev", "--no-t5").fails(2).says(&["cannot do without T5"]);
    run(&sandbox, "generate", "flux-dev", "--clip-g a").fails(2).says(&["CLIP-L and T5"]);
    run(&sandbox, "generate", "sd15", "--t5 a").fails(2).says(&["T5 is for FLUX"]);
    run(&sandbox, "generate", "sd15", "--no-t5").fails(2);
    run(&sandbox, "generate", "sd35", "--no-t5 --t5 a").fails(2).says(&["contradict"]);
    let lora = model("../lora/sd15-kohya.safetensors");
    run(&sandbox, "generate", "flux-dev", &format!("--lora {lora}")).fails(3).says(&["for SD 1.x", "is FLUX.1"]);
    run(&sandbox, "generate", "flux-dev", "--scheduler euler").fails(2).says(&["flow-euler"]);
    run(&sandbox, "generate", "sd15", "--scheduler flow-euler").fails(2).says(&["not trained by flow matching"]);
}

#[test]
fn a_part_that_is_missing_or_strange_is_named() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("flux");
    copy(Path::new(&model("flux-dev")), &folder);
    let refused = |what: &str| {
        let line = ["generate", "x", "--model", "flux", "-W", "64", "-H", "64", "-o", "x.png"];
        sandbox.run(line).fails(3).says(&[what]);
    };
    let config = folder.join("text_encoder_2/config.json");
    let text = fs::read_to_string(&config).unwrap();
    replace(&config, "\"d_model\": 48", "\"d_model\": 64");
    refused("T5 gives vectors of 64, the transformer takes 48");
    fs::remove_file(&config).unwrap();
    refused("text_encoder_2");
    fs::write(&config, text).unwrap();
    fs::remove_file(folder.join("text_encoder_2/model-00002-of-00002.safetensors")).unwrap();
    refused("model-00002-of-00002");
    replace(&folder.join("model_index.json"), "FluxPipeline", "FluxControlNetPipeline");
    refused("FluxControlNetPipeline");
}

#[test]
fn a_folder_without_t5_can_do_without() {
    let sandbox = Sandbox::new();
    copy(Path::new(&model("sd35")), &sandbox.path("sd35"));
    fs::remove_dir_all(sandbox.path("sd35/text_encoder_3")).unwrap();
    let line = ["generate", "x", "--model", "sd35", "-W", "64", "-H", "64", "--steps", "1", "-s", "1", "-o", "x.png"];
    sandbox.run(line).fails(3).says(&["text_encoder_3", "hint:", "`--no-t5`"]);
    sandbox.run(line.into_iter().chain(["--no-t5"])).succeeds();
}
