use sdgen::error::exit_code;

use crate::support::Sandbox;

#[test]
fn the_program_alone_shows_its_help() {
    let outcome = Sandbox::new().run::<&str>([]);
    assert_eq!(outcome.code, Some(exit_code::USAGE.into()));
    assert!(outcome.stdout.is_empty());
    outcome.says(&["usage:", "generate", "examples:"]);
}

#[test]
fn help_has_headings_and_ends_with_examples() {
    let all = ["Model:", "Prompt:", "Sampling:", "Image:", "Output:", "Compute:", "Recipe:", "General:"];
    for (command, own) in [("generate", None), ("img2img", None), ("inpaint", Some("Mask:"))] {
        let outcome = Sandbox::new().run([command, "--help"]).succeeds();
        let mut rest = outcome.text();
        for heading in all.into_iter().chain(own).chain(["Examples:"]) {
            let at = rest.find(&format!("\n{heading}\n"));
            rest = &rest[at.unwrap_or_else(|| panic!("no heading `{heading}` in its place: {rest}")) + 1..];
        }
        assert!(rest.lines().skip(1).all(|line| line.contains(&format!("sdgen {command} "))), "{rest}");
    }
}

#[test]
fn commands_say_what_they_do() {
    let sandbox = Sandbox::new();
    for (command, words) in [
        ("generate", "Writes one PNG file a picture"),
        ("inpaint", "What is white in the mask is painted"),
        ("bench", "No picture is written"),
        ("sheet", "Each cell is the picture that the other commands make"),
    ] {
        let text = sandbox.run([command, "--help"]).succeeds().text().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn short_help_is_short_and_fits_its_lines() {
    let sandbox = Sandbox::new();
    let (short, long) = (sandbox.run(["generate", "-h"]).succeeds(), sandbox.run(["generate", "--help"]).succeeds());
    assert!(short.text().lines().count() * 2 < long.text().lines().count());
    for line in short.text().lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn h_is_help_and_capital_h_is_height() {
    let outcome = Sandbox::new().run(["generate", "x", "-H", "64", "-W", "72", "--dry-run"]).succeeds();
    let plan: serde_json::Value = serde_json::from_str(outcome.text()).unwrap();
    assert_eq!((&plan["request"]["image"]["width"], &plan["request"]["image"]["height"]), (&72.into(), &64.into()));
}

#[test]
fn the_version_is_the_crates() {
    let outcome = Sandbox::new().run(["--version"]).succeeds();
    assert_eq!(outcome.text(), format!("sdgen {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_into_a_file_has_no_colours() {
    for args in [&["--help"][..], &["generate", "-h"]] {
        assert!(!Sandbox::new().run(args).succeeds().text().contains('\u{1b}'));
    }
}
