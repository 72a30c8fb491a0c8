//! What a terminal gets, and what a pipe gets instead.

use std::fs;

use sdgen::error::exit_code;

use crate::support::{Outcome, Sandbox, QUICK};

/// Whether a stream holds nothing but text and ends of lines.
#[track_caller]
fn is_plain(outcome: &Outcome) {
    for (stream, text) in [("standard output", outcome.text()), ("standard error", &outcome.stderr)] {
        let control = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{stream}: {text:?}");
    }
}

#[test]
fn piped_there_is_not_one_control_character() {
    let sandbox = Sandbox::new();
    let pictures = ["--preview", "--preview=kitty", "--preview=iterm", "--preview=sixel", "--preview=blocks"];
    for preview in pictures {
        let outcome = sandbox.quick(&[preview, "-v", "-o", "a.png", "--overwrite"]).succeeds();
        is_plain(&outcome);
        outcome.says(&["no preview: standard error is no terminal"]);
    }
    let lines: [&[&str]; 9] = [
        &["--help"],
        &["generate", "--help"],
        &["generate", "x", "--dry-run"],
        &["generate", "\u{1b}[31mx", "--steps", "1", "--json"],
        &["generate", "x", "--model", "\u{1b}]0;title\u{7}"],
        &["generate", "x", "--stepp"],
        &["download", "--list"],
        &["verify"],
        &["completions", "bash"],
    ];
    lines.iter().for_each(|line| is_plain(&sandbox.run(*line)));
}

#[test]
fn a_way_of_previewing_is_one_of_the_known() {
    Sandbox::new().quick(&["--preview=kity"]).fails(exit_code::USAGE).says(&["did you mean `kitty`"]);
}

/// Runs it in a terminal of 80x24, and returns what the terminal was told; `None` where there is no `script`.
#[cfg(target_os = "linux")]
fn in_terminal(sandbox: &Sandbox, more: &[&str], variables: &[(&str, &str)]) -> Option<String> {
    let quoted: Vec<String> = QUICK.iter().chain(more).map(|word| format!("'{word}'")).collect();
    let line = format!("stty cols 80 rows 24; exec '{}' {}", env!("CARGO_BIN_EXE_sdgen"), quoted.join(" "));
    let mut command = std::process::Command::new("script");
    command
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .current_dir(sandbox.path("."))
        .stdin(std::process::Stdio::null());
    for variable in
        ["TMUX", "TERM_PROGRAM", "KITTY_WINDOW_ID", "LC_TERMINAL", "KONSOLE_VERSION", "NO_COLOR", "COLORTERM"]
    {
        command.env_remove(variable);
    }
    command.env("TERM", "xterm-256color").envs(variables.iter().copied());
    let output = command.output().ok()?;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_gets_the_picture() {
    let sandbox = Sandbox::new();
    let shown = |more: &[&str], variables: &[(&str, &str)]| in_terminal(&sandbox, more, variables);
    let Some(blocks) = shown(&["--preview", "-o", "a.png"], &[]) else { return };
    assert!(blocks.contains('▀') && blocks.contains("\u{1b}[38;5;"), "{blocks:?}");
    assert!(fs::metadata(sandbox.path("a.png")).is_ok());
    assert!(!shown(&[], &[]).unwrap().contains('▀'), "nobody asked");
    assert!(shown(&["--preview"], &[("COLORTERM", "truecolor")]).unwrap().contains("\u{1b}[38;2;"));
    assert!(shown(&["--preview"], &[("TERM", "xterm-kitty")]).unwrap().contains("\u{1b}_Ga=T,f=24,"));
    let dumb = shown(&["--preview"], &[("TERM", "dumb")]).unwrap();
    assert!(dumb.contains("no preview") && !dumb.contains('\u{1b}'), "{dumb:?}");
    let plain = shown(&["--preview"], &[("NO_COLOR", "1")]).unwrap();
    assert!(plain.contains("no preview: colours are off") && !plain.contains('▀'), "{plain:?}");
    assert!(shown(&["--preview=blocks"], &[("NO_COLOR", "1")]).unwrap().contains('▀'));
}
