//! `sdgen lora-merge --lora-only`: one LoRA does what several do.

use std::fs;

use sdgen::error::exit_code;

use crate::adapters;
use crate::lora_merge::{folder, paint, sandbox, tensors, words, BOTH, WITH_BOTH};
use crate::single_file::{file, zeros, Stored};
use crate::support::difference;

#[test]
fn several_loras_become_one_without_loss() {
    let sandbox = sandbox();
    let sd15 = folder("sd15");
    let expected = paint(&sandbox, &[&["-m", &sd15], &WITH_BOTH[..]].concat());
    let line = ["lora-merge", "--lora-only", "-m", &sd15, BOTH[0], BOTH[1], "-o", "both.safetensors"];
    sandbox.run(line).succeeds().says(&["rank 6"]);
    let (most, _) = difference(&paint(&sandbox, &["-m", &sd15, "-l", "both.safetensors"]), &expected);
    assert!(most <= 1, "{most}");
    let words = words(&sandbox.path("both.safetensors"));
    assert_eq!((&words["ss_network_dim"], &words["ss_network_alpha"]), (&"6".into(), &"6".into()));
    let tensors = tensors(&sandbox.path("both.safetensors"));
    let given: Vec<String> = adapters::lora("sd15", 4, 1).into_iter().map(|tensor| tensor.name).collect();
    assert!(given.iter().all(|name| tensors.contains_key(name)) && tensors.len() == given.len());
    // All of the rank that there is, by another way; and less of it.
    let of_rank = |rank: &str| {
        let more = ["--rank", rank, "--overwrite"];
        let outcome = sandbox.run(line.iter().chain(&more)).succeeds().says(&["keeps at least"]);
        let kept = outcome.stderr.split("at least ").nth(1).unwrap().split(' ').next().unwrap().parse::<f64>().unwrap();
        (kept, difference(&paint(&sandbox, &["-m", &sd15, "-l", "both.safetensors"]), &expected).0)
    };
    let (kept, most) = of_rank("6");
    assert!(kept > 99.99 && most <= 1, "{kept} {most}");
    let (less, _) = of_rank("3");
    assert!(less > 20.0 && less < 99.0, "{less}");
}

#[test]
fn the_family_is_enough_for_loras_of_full_size() {
    let sandbox = sandbox();
    let to_k = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k";
    for (family, module, [outputs, inputs], same) in [
        ("sd1", to_k, [1280, 768], to_k),
        ("sd2", to_k, [1280, 1024], to_k),
        ("sdxl", "lora_unet_middle_block_1_transformer_blocks_0_attn2_to_k", [1280, 2048], ""),
        (
            "flux",
            "lora_unet_double_blocks_7_img_attn_proj",
            [3072, 3072],
            "transformer.transformer_blocks.7.attn.to_out.0",
        ),
        (
            "flux-t5",
            "lora_unet_single_blocks_37_linear2",
            [3072, 15360],
            "transformer.single_transformer_blocks.37.proj_out",
        ),
        ("sd3", "transformer.transformer_blocks.23.attn.to_q", [1536, 1536], ""),
        ("sd35-medium", "transformer.transformer_blocks.12.attn2.to_q", [1536, 1536], ""),
        ("sd35-large", "transformer.transformer_blocks.37.attn.to_q", [2432, 2432], ""),
    ] {
        let same = if same.is_empty() { module } else { same };
        let roles = |module: &str| if module.contains('.') { ["lora_A", "lora_B"] } else { ["lora_down", "lora_up"] };
        let [down, up] = roles(module);
        let down = zeros(&format!("{module}.{down}.weight"), &[4, inputs]);
        let up = zeros(&format!("{module}.{up}.weight"), &[outputs, 4]);
        let name = format!("in/{family}.safetensors");
        fs::write(sandbox.path(&name), file(&[down, up], &[])).unwrap();
        let output = format!("{family}.safetensors");
        let outcome = sandbox.run(["lora-merge", "--lora-only", &name, &name, "-o", &output]).succeeds();
        outcome.says(&["1 of 1 modules", "1 module, rank 8"]);
        let tensors = tensors(&sandbox.path(&output));
        let [down, up] = roles(same).map(|role| format!("{same}.{role}.weight"));
        assert_eq!((&tensors[&down].shape[..], &tensors[&up].shape[..]), (&[8, inputs][..], &[outputs, 8][..]));
        assert!(tensors.values().all(|tensor| tensor.dtype == "F16"));
    }
    // The published model alone is known without one.
    let line = ["lora-merge", "--lora-only", "in/style.safetensors", "-o", "tiny.safetensors"];
    sandbox.run(line).fails(exit_code::MODEL).says(&["[768, 768]", "published", "--model"]);
    // Whatever family it may be of: nothing but its text tells the size.
    let said = [("modelspec.architecture", "stable-diffusion-3.5-large/lora")];
    let module = "lora_te1_text_model_encoder_layers_0_self_attn_q_proj";
    let thin = [
        zeros(&format!("{module}.lora_down.weight"), &[4, 768]),
        zeros(&format!("{module}.lora_up.weight"), &[768, 4]),
    ];
    fs::write(sandbox.path("in/text.safetensors"), file(&thin, &said)).unwrap();
    let line = ["lora-merge", "--lora-only", "in/text.safetensors", "-o", "text.safetensors"];
    sandbox.run(line).fails(exit_code::MODEL).says(&["medium or large", "--model"]);
}

#[test]
fn loras_of_sdxl_get_the_names_of_kohyas_scripts() {
    let sandbox = sandbox();
    let line = ["lora-merge", "--lora-only", "-m", &folder("sdxl"), "in/xl.safetensors", "-o", "one.safetensors"];
    sandbox.run(line).succeeds();
    let tensors = tensors(&sandbox.path("one.safetensors"));
    let name = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_down.weight";
    assert!(tensors.contains_key(name), "{:?}", tensors.keys().take(9).collect::<Vec<_>>());
    let of_text = |name: &&String| name.starts_with("lora_te1_text_model_encoder_layers_0_");
    assert!(tensors.keys().any(|name| of_text(&name)));
    let both = |lora: &str| paint(&sandbox, &["-m", &folder("sdxl"), "-l", lora]);
    assert!(difference(&both("one.safetensors"), &both("in/xl.safetensors")).0 <= 1);
}

#[test]
fn other_kinds_need_a_rank() {
    let sandbox = sandbox();
    let (layer, name) = ("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q", "in/loha.safetensors");
    let shape = adapters::lora("sd15", 2, 1).into_iter().find(|t| t.name == format!("{layer}.lora_down.weight"));
    let width = shape.unwrap().shape[1];
    let like = adapters::lora("sd15", 2, 9);
    let take = |role: &str, of: &str| {
        let found = like.iter().filter(|t| t.name.ends_with(of) && t.shape.contains(&width) && t.shape.len() == 2);
        let tensor =
            found.filter(|t| t.shape.iter().product::<usize>() == 2 * width).nth(usize::from(role.contains('2')));
        Stored { name: format!("{layer}.{role}"), ..tensor.unwrap().clone() }
    };
    let loha = [
        take("hada_w1_a", "lora_up.weight"),
        take("hada_w1_b", "lora_down.weight"),
        take("hada_w2_a", "lora_up.weight"),
        take("hada_w2_b", "lora_down.weight"),
    ];
    fs::write(sandbox.path(name), file(&loha, &[])).unwrap();
    let sd15 = folder("sd15");
    let line = ["lora-merge", "--lora-only", "-m", &sd15, name, "in/face.safetensors", "-o", "one.safetensors"];
    sandbox.run(line).fails(exit_code::MODEL).says(&["LoHa", "--rank"]);
    // The product of two matrices of rank 2 has rank 4 at most, and the other LoRA 2.
    sandbox.run(line.iter().chain(&["--rank", "6"])).succeeds().says(&["keeps at least 100.00 %"]);
    let expected = paint(&sandbox, &["-m", &sd15, "-l", name, "-l", "in/face.safetensors"]);
    assert!(difference(&paint(&sandbox, &["-m", &sd15, "-l", "one.safetensors"]), &expected).0 <= 1);
    let line = ["lora-merge", "--lora-only", "in/face.safetensors", "in/xl.safetensors", "-o", "two.safetensors"];
    sandbox.run(line).fails(exit_code::MODEL).says(&["one family"]);
}
