#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use sdgen::error::exit_code;

use crate::support::{pixels, Sandbox, QUICK};

/// Ctrl-C in the middle of a long run: exit code 130, and every file that is there is whole.
#[test]
fn ctrl_c_leaves_no_half_file() {
    let sandbox = Sandbox::new();
    let more = ["--steps", "150", "--count", "1000", "--json", "-o", "{seed}.png"];
    let mut child =
        sandbox.command(QUICK.iter().chain(&more)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The first event: the program is at work, and listens.
    lines.next().unwrap().unwrap();
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    lines.for_each(drop);
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(exit_code::INTERRUPTED.into()));
    for name in sandbox.files() {
        pixels(&std::fs::read(sandbox.path(&name)).unwrap());
    }
}
