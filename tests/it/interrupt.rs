#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use sdgen::error::exit_code;

use crate::support::{pixels, Sandbox, QUICK};

/// An interrupt in the middle of a long run: exit code 130, and every file that is there is whole. It is SIGTERM, since a
/// script's background job, which this test may be a part of, ignores SIGINT. The hangup that `nohup` has ignored may not keep
/// the other signals from being heard.
#[test]
fn an_interrupt_leaves_no_half_file() {
    for start in ["exec \"$@\"", "trap '' HUP; exec \"$@\""] {
        interrupted(start);
    }
}

/// A run started by the shell command `start`, and interrupted.
fn interrupted(start: &str) {
    let sandbox = Sandbox::new();
    let more = ["--steps", "1", "--count", "1000000", "--json", "-o", "{seed}.png"];
    let command = sandbox.command(QUICK.iter().chain(&more));
    let mut shell = Command::new("sh");
    shell.args(["-c", start, "sh"]).arg(command.get_program()).args(command.get_args());
    shell.current_dir(sandbox.path("")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // In the middle of writing one picture after the other.
    let images = lines.by_ref().map(Result::unwrap).filter(|line| line.contains(r#""event":"picture""#));
    assert_eq!(images.take(3).count(), 3);
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let last = lines.last().unwrap().unwrap();
    assert!(last.contains(r#""event":"error""#) && last.contains(r#""exit_code":130"#), "{last}");
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(exit_code::INTERRUPTED.into()));
    assert!(sandbox.files().len() >= 3);
    for name in sandbox.files() {
        pixels(&std::fs::read(sandbox.path(&name)).unwrap());
    }
}
