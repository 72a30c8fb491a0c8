use std::fs;

use sdgen::error::exit_code;

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
        (&["-n", "a __fruit__"], "`__fruit__` stays as it is"),
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

#[test]
fn wildcards_that_cannot_be_read_are_said() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("words")).unwrap();
    fs::write(sandbox.path("words/latin.txt"), b"caf\xe9\n").unwrap();
    fs::create_dir(sandbox.path("words/folder.txt")).unwrap();
    for (name, word) in
        [("latin", "UTF-8"), ("folder", "folder"), ("../words/latin", "leaves"), ("none", "no wildcard")]
    {
        let prompt = format!("a __{name}__");
        let outcome = sandbox.run(["generate", &prompt, "--wildcards", "words"]);
        assert!(matches!(outcome.code, Some(2 | 3)) && outcome.stderr.contains("hint: "), "{}", outcome.stderr);
        outcome.says(&[word]);
    }
    sandbox.run(["generate", "x", "--wildcards", "no-such"]).fails(exit_code::MODEL).says(&["no-such"]);
    sandbox.quick(&["--wildcards", "words", "--weighting", "none"]).succeeds().says(&["wildcards have no effect"]);
}

/// A word list that is a pipe was waited for without end.
#[cfg(unix)]
#[test]
fn a_wildcard_that_is_a_pipe_is_refused() {
    let sandbox = Sandbox::new();
    let pipe = sandbox.path("pipe.txt");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    sandbox.run(["generate", "a __pipe__", "--wildcards", "."]).fails(exit_code::MODEL).says(&["pipe.txt"]);
}

#[test]
fn an_embedding_that_is_not_there_is_said_before_the_model_is_loaded() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.quick(&["-v", "--embedding", "gone.pt"]).fails(exit_code::MODEL).says(&["gone.pt"]);
    assert!(!outcome.stderr.contains("loading"), "{}", outcome.stderr);
}

#[test]
fn what_is_cut_is_quoted_up_to_a_length() {
    let sandbox = Sandbox::new();
    let long = "apple ".repeat(5000);
    let outcome =
        sandbox.run(["generate", &long, "--steps", "1", "-o", "a.png", "--long-prompt", "truncate"]).succeeds();
    assert!(outcome.stderr.len() < 2000, "{} characters", outcome.stderr.len());
}
