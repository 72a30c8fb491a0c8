//! `--attention`: ways of computing that change no picture.

use crate::support::Sandbox;

#[test]
fn slices_give_the_same_picture() {
    let sandbox = Sandbox::new();
    let whole = sandbox.quick(&["--metadata", "none", "-o", "-"]).succeeds().stdout;
    for way in ["sliced", "sliced:3"] {
        let sliced = sandbox.quick(&["--metadata", "none", "--attention", way, "-o", "-"]).succeeds().stdout;
        assert!(sliced == whole, "{way}");
    }
}

#[test]
fn flash_attention_is_not_pretended() {
    let words: &[&str] = if cfg!(feature = "flash-attn") { &["flash", "CUDA"] } else { &["flash", "flash-attn"] };
    Sandbox::new().quick(&["--attention", "flash"]).fails(2).says(words);
}
