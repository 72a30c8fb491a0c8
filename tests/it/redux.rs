//! FLUX.1 Redux as a user meets it: what is refused, and that its pictures are made again.

use std::fs;

use crate::single_file::fixtures;
use crate::support::{copy, pixels, replace, text_chunk, Outcome, Sandbox};

/// With FLUX.1 dev as `flux-dev`, Redux as `redux` and a picture.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for (from, to) in [("flux-dev", "flux-dev"), ("flux-redux", "redux")] {
        copy(&fixtures().join("models").join(from), &sandbox.path(to));
    }
    fs::copy(fixtures().join("pictures/given/picture.png"), sandbox.path("in.png")).unwrap();
    sandbox
}

fn run(sandbox: &Sandbox, line: &str) -> Outcome {
    let fixed = ["generate", "-p", "x", "-s", "1", "--steps", "1", "-W", "64", "-H", "64", "--max-tokens", "8"];
    sandbox.run(fixed.into_iter().chain(line.split_whitespace()))
}

#[test]
fn what_does_not_fit_is_refused() {
    let sandbox = sandbox();
    let refused = |code, line: &str| run(&sandbox, &format!("-o x.png {line}")).fails(code);
    let sd15 = fixtures().join("models/sd15");
    let with_sd15 = format!("-m {} --redux in.png --redux-model redux", sd15.display());
    refused(2, &with_sd15).says(&["Redux is for FLUX.1", "leave out `--redux`"]);
    refused(2, "-m flux-dev --redux-model redux").says(&["no picture to read", "add `--redux PICTURE`"]);
    refused(2, "-m flux-dev --redux in.png:9").says(&["redux scale 9", "0 to 5"]);
    refused(3, "-m flux-dev --redux in.png").says(&["FLUX.1 Redux", "sdgen download flux-redux"]);
    refused(3, "-m flux-dev --redux in.png --redux-model flux-dev").says(&["no Redux model", "image_embedder"]);
    refused(3, "-m flux-dev --redux none.png --redux-model redux").says(&["none.png"]);
    refused(3, "-m redux").says(&["FLUX.1 Redux", "`--redux-model`"]);
    let config = sandbox.path("redux/image_embedder/config.json");
    replace(&config, "\"txt_in_features\": 48", "\"txt_in_features\": 64");
    refused(3, "-m flux-dev --redux in.png --redux-model redux").says(&["into 64", "transformer takes 48"]);
    fs::remove_file(config).unwrap();
    refused(3, "-m flux-dev --redux in.png --redux-model redux").says(&["part missing", "config.json"]);
    assert!(!sandbox.path("x.png").exists());
}

#[test]
fn its_pictures_are_made_again() {
    let sandbox = sandbox();
    run(&sandbox, "-m flux-dev -o plain.png").succeeds();
    let model = sandbox.path("redux");
    let verified = sandbox.run(["verify", "redux"]).succeeds();
    for word in ["model: FLUX.1, redux", "all 4 tensors", "all 48 tensors"] {
        assert!(verified.text().contains(word), "{}", verified.text());
    }
    let line = format!("-m flux-dev --redux ./in.png:0.7:0.5 --redux-model {} --count 2", model.display());
    run(&sandbox, &format!("{line} -o a-{{seed}}.png")).succeeds();
    let made = fs::read(sandbox.path("a-1.png")).unwrap();
    let stored = text_chunk(&made, "sdgen").unwrap();
    assert!(!stored.contains(model.parent().unwrap().to_str().unwrap()), "{stored}");
    let picture = |name: &str| pixels(&fs::read(sandbox.path(name)).unwrap());
    assert!(picture("a-1.png") != picture("plain.png"));
    for seed in [1, 2] {
        sandbox.run(["generate", "--from", &format!("a-{seed}.png"), "-o", &format!("b-{seed}.png")]).succeeds();
        assert!(picture(&format!("a-{seed}.png")) == picture(&format!("b-{seed}.png")), "{seed}");
    }
}
