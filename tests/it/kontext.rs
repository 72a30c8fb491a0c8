//! FLUX.1 Kontext as a user meets it: what it makes of sizes, what has no meaning for it, and by what it is known.

use std::fs;
use std::path::{Path, PathBuf};

use crate::single_file::{checkpoint, file, fixtures, Stored};
use crate::support::{copy, pixels, replace, Outcome, Sandbox};

/// The tiny FLUX.1 dev as Kontext, which has its tensors, in a sandbox.
pub fn kontext(sandbox: &Sandbox) -> PathBuf {
    let folder = sandbox.path("flux-kontext");
    copy(&fixtures().join("models/flux-dev"), &folder);
    replace(&folder.join("model_index.json"), "FluxPipeline", "FluxKontextPipeline");
    folder
}

/// With the model and a picture of 80x60.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    kontext(&sandbox);
    fs::copy(fixtures().join("pictures/given/picture.png"), sandbox.path("in.png")).unwrap();
    sandbox
}

const SMALL: &str = "-W 64 -H 80 --no-auto-resize --max-tokens 8";

fn run(sandbox: &Sandbox, line: &str) -> Outcome {
    let fixed = ["-p", "x", "-s", "1", "--steps", "1", "--overwrite"];
    sandbox.run(line.split_whitespace().chain(fixed))
}

fn picture(sandbox: &Sandbox, name: &str) -> image::RgbImage {
    pixels(&fs::read(sandbox.path(name)).unwrap())
}

#[test]
fn the_result_is_a_megapixel_unless_a_size_is_asked_for() {
    let sandbox = sandbox();
    let dry = |line: &str| run(&sandbox, &format!("img2img -m flux-kontext -i in.png --dry-run {line}")).succeeds();
    let size = |outcome: &Outcome| {
        let request: serde_json::Value = serde_json::from_str(outcome.text()).unwrap();
        let image = &request["request"]["image"];
        (image["width"].as_u64().unwrap(), image["height"].as_u64().unwrap())
    };
    let plain = dry("");
    assert_eq!(size(&plain), (1024, 1024));
    for told in ["FLUX.1 Kontext sees the picture of 80x60 at 1328x800", "`-W 1328 -H 800`"] {
        assert!(plain.text().contains(told), "{}", plain.text());
    }
    assert_eq!(size(&dry("-W 640")), (640, 480));
    let own = dry("--no-auto-resize -W 96 -H 64");
    assert_eq!(size(&own), (96, 64));
    assert!(own.text().contains("at 80x48"), "{}", own.text());
    let memory = |outcome: &Outcome| {
        let request: serde_json::Value = serde_json::from_str(outcome.text()).unwrap();
        request["memory"]["sample"].as_u64().unwrap()
    };
    assert!(memory(&dry("-W 96 -H 64")) > memory(&own), "what is seen takes memory");
}

#[test]
fn what_has_no_meaning_is_told() {
    let sandbox = sandbox();
    let told =
        run(&sandbox, &format!("img2img -m flux-kontext -i in.png {SMALL} --strength 0.5 --resize fill -o a.png"));
    told.succeeds().says(&["strength 0.5 has no effect", "way of resizing has no effect"]);
    let plain = run(&sandbox, &format!("img2img -m flux-kontext -i in.png {SMALL} -o b.png")).succeeds();
    assert!(!plain.stderr.contains("FLUX.1 Kontext begins"), "{}", plain.stderr);
    assert!(picture(&sandbox, "a.png") == picture(&sandbox, "b.png"));
    let dev = fixtures().join("models/flux-dev");
    let told = run(&sandbox, &format!("img2img -m {} -i in.png {SMALL} -o c.png", dev.display()));
    told.succeeds().says(&["`--no-auto-resize` has no effect", "Kontext"]);
}

#[test]
fn what_it_cannot_do_is_refused() {
    let sandbox = sandbox();
    fs::copy(fixtures().join("pictures/given/mask.png"), sandbox.path("mask.png")).unwrap();
    image::RgbImage::new(12, 80).save(sandbox.path("thin.png")).unwrap();
    let refused = |code, line: &str| run(&sandbox, line).fails(code);
    refused(3, "inpaint -m flux-kontext -i in.png --mask mask.png").says(&["knows no masks", "sdgen img2img"]);
    refused(3, "img2img -m flux-kontext -i thin.png").says(&["12x80", "too small", "hint:"]);
    refused(2, "img2img -m flux-kontext -i in.png -W 72 -H 64").says(&["FLUX.1 Kontext needs", "nearest is 80"]);
    refused(3, "flux -m flux-kontext --variant dev").says(&["it is Kontext", "leave out `--variant`"]);
    let dev = fixtures().join("models/flux-dev");
    refused(3, &format!("flux -m {} --variant kontext", dev.display())).says(&["tensors of dev"]);
    assert!(!sandbox.files().iter().any(|name| name.starts_with('x')));
}

#[test]
fn its_pictures_are_made_again() {
    let sandbox = sandbox();
    run(&sandbox, &format!("img2img -m flux-kontext -i in.png {SMALL} -g 2 -o a.png")).succeeds();
    let again = ["generate", "--from", "a.png", "-o", "b.png"];
    let again = sandbox.run(again).succeeds();
    assert!(picture(&sandbox, "a.png") == picture(&sandbox, "b.png"), "{}", again.stderr);
}

#[test]
fn a_file_is_known_by_its_name_or_what_it_says() {
    let sandbox = sandbox();
    let below =
        |tensor: Stored| Some(Stored { name: tensor.name.strip_prefix("model.diffusion_model.")?.into(), ..tensor });
    let transformer: Vec<Stored> = checkpoint("flux-dev").into_iter().filter_map(below).collect();
    fs::write(sandbox.path("FLUX1-Kontext.safetensors"), file(&transformer, &[])).unwrap();
    fs::write(sandbox.path("other.safetensors"), file(&transformer, &[])).unwrap();
    run(&sandbox, &format!("img2img -m flux-kontext -i in.png {SMALL} -o folder.png")).succeeds();
    let dev = fixtures().join("models/flux-dev");
    let with = |line: String| run(&sandbox, &format!("img2img -i in.png {SMALL} -o file.png {line}")).succeeds();
    let named = with(format!("-m {} --unet FLUX1-Kontext.safetensors", dev.display()));
    named.says(&["FLUX1-Kontext.safetensors: FLUX.1 Kontext", "because it is called so"]);
    assert!(picture(&sandbox, "folder.png") == picture(&sandbox, "file.png"));
    with(format!("-m {} --unet other.safetensors", dev.display()));
    assert!(picture(&sandbox, "folder.png") != picture(&sandbox, "file.png"), "nothing says that it is Kontext");
    with("-m flux-kontext --unet other.safetensors".into());
    assert!(picture(&sandbox, "folder.png") == picture(&sandbox, "file.png"));

    let verified = sandbox.run(["verify", "flux-kontext"]).succeeds();
    assert!(verified.text().contains("model: FLUX.1, kontext"), "{}", verified.text());
    sandbox.run(["convert", "flux-kontext", "-o", "all.safetensors", "--layout", "single"]).succeeds();
    let told = sandbox.run(["info", "all.safetensors"]).succeeds();
    assert!(told.text().to_lowercase().contains("kontext"), "{}", told.text());
    let back = ["convert", "all.safetensors", "-o", "back", "--layout", "diffusers", "--config"];
    sandbox.run(back.iter().copied().chain(["flux-kontext"])).succeeds();
    let index = fs::read_to_string(sandbox.path("back/model_index.json")).unwrap();
    assert!(index.contains("FluxKontextPipeline"));
    assert!(Path::new(&sandbox.path("back/transformer")).is_dir());
}
