use std::fs;

use crate::support::Sandbox;

#[test]
fn any_text_is_a_prompt() {
    let sandbox = Sandbox::new();
    let long = "a very red apple on a table, ".repeat(200);
    for prompt in [
        "",
        " ",
        "🍎👩‍🚀",
        "Äpfel ist 日本語",
        "ab\u{1b}[31mred\tapple\n\r\u{7f}",
        "(((",
        "[a:b:0.5]",
        "\\(",
        long.as_str(),
    ] {
        let outcome =
            sandbox.run(["generate", prompt, "--steps", "1", "--seed", "1", "-o", "a.png", "--overwrite"]).succeeds();
        assert!(
            !outcome.stderr.contains('\u{1b}'),
            "the prompt's control characters reach the terminal: {:?}",
            outcome.stderr
        );
        fs::remove_file(sandbox.path("a.png")).unwrap();
    }
    assert!(sandbox.files().is_empty());
}

#[test]
fn an_empty_prompt_is_noted() {
    Sandbox::new().run(["generate", "", "--steps", "1", "-o", "a.png"]).succeeds().says(&["empty"]);
}

#[test]
fn what_is_cut_from_a_long_prompt_is_said() {
    let sandbox = Sandbox::new();
    let long = format!("{} zebra", "apple ".repeat(80));
    let line = ["generate", long.as_str(), "--steps", "1", "-o", "a.png", "--long-prompt"];
    sandbox.run(line.iter().chain(&["truncate"])).succeeds().says(&["zebra"]);
    let whole = sandbox.run(line.iter().chain(&["chunk"])).succeeds();
    assert!(!whole.stderr.contains("zebra"), "{}", whole.stderr);
}

#[test]
fn options_without_effect_are_said() {
    let sandbox = Sandbox::new();
    for (more, word) in [
        (&["-n", "green", "-g", "1"][..], "negative"),
        (&["--prompt-2", "x"], "second prompt"),
        (&["--crop", "8,8"], "crop"),
        (&["--eta", "0.5", "--scheduler", "euler"], "eta"),
    ] {
        let outcome = sandbox.quick(more);
        assert!(outcome.stderr.contains(word), "{more:?}: {}", outcome.stderr);
    }
}

#[test]
fn wildcards_are_drawn_from_the_seed() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("words")).unwrap();
    fs::write(sandbox.path("words/fruit.txt"), "pear\nlemon\ncherry\n").unwrap();
    let line = ["generate", "a __fruit__", "--wildcards", "words", "--steps", "1", "--seed", "3", "-o", "{prompt}.png"];
    let first = sandbox.run(line).succeeds();
    let name = first.text().trim();
    assert!(["a-pear.png", "a-lemon.png", "a-cherry.png"].contains(&name), "{name}");
    let again = sandbox.run(line.iter().chain(&["--overwrite"])).succeeds();
    assert_eq!(again.text().trim(), name);
}
