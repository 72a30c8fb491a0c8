//! Completions, man pages and the pages of `docs/cli/` are those that the program makes. `SDGEN_REGENERATE=1` writes them anew.

use std::fs;
use std::path::Path;

use sdgen::cli::reference;
use sdgen::error::exit_code;

use crate::support::{files, Sandbox};

const FOLDERS: [&str; 3] = ["completions", "man", "docs/cli"];

#[test]
fn what_is_checked_in_is_what_the_program_makes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = reference::files().unwrap();
    if std::env::var_os("SDGEN_REGENERATE").is_some() {
        for folder in FOLDERS {
            fs::create_dir_all(root.join(folder)).unwrap();
            let stale = |name: &String| !made.iter().any(|(of, page)| *of == folder && page.name == *name);
            files(&root.join(folder))
                .iter()
                .filter(|name| stale(name))
                .for_each(|name| fs::remove_file(root.join(folder).join(name)).unwrap());
        }
        made.iter().for_each(|(folder, page)| fs::write(root.join(folder).join(&page.name), &page.text).unwrap());
    }
    for (folder, page) in &made {
        let path = root.join(folder).join(&page.name);
        let stored = fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == page.text, "{} is not what the program makes: {AGAIN}", path.display());
    }
    for folder in FOLDERS {
        let mut names: Vec<&str> = made.iter().filter(|(of, _)| *of == folder).map(|(_, page)| &*page.name).collect();
        names.sort_unstable();
        assert_eq!(files(&root.join(folder)), names, "{AGAIN}");
    }
}

const AGAIN: &str = "run `SDGEN_REGENERATE=1 cargo test --test it generated`";

#[test]
fn the_program_prints_and_writes_its_man_pages() {
    let sandbox = Sandbox::new();
    let page = |args: &[&str]| sandbox.run([&["man"], args].concat()).succeeds().text().to_string();
    assert!(page(&[]).starts_with(".ie") || page(&[]).starts_with(".TH"), "{}", page(&[]));
    let generate = page(&["generate"]);
    assert!(generate.contains("\\-\\-steps") && generate.contains(".SH EXAMPLES\n.nf\nsdgen generate"), "{generate}");
    let written = sandbox.run(["man", "--dir", "pages/man1"]).succeeds();
    assert!(written.paths().contains(&"pages/man1/sdgen-generate.1"), "{:?}", written.paths());
    assert_eq!(fs::read_to_string(sandbox.path("pages/man1/sdgen-generate.1")).unwrap(), generate);
    sandbox.run(["man", "generat"]).fails(exit_code::USAGE).says(&["did you mean `generate`"]);
}

#[test]
fn the_program_prints_a_script_for_each_shell() {
    let sandbox = Sandbox::new();
    for (shell, word) in [
        ("bash", "complete "),
        ("zsh", "#compdef"),
        ("fish", "complete "),
        ("elvish", "edit:"),
        ("powershell", "Register"),
    ] {
        let script = sandbox.run(["completions", shell]).succeeds();
        assert!(script.text().contains(word) && script.text().contains("_SDGEN_COMPLETE"), "{}", script.text());
    }
    sandbox.run(["completions", "tcsh"]).fails(exit_code::USAGE).says(&["unknown value `tcsh`"]);
}

/// What fish would be told for the last of these words.
fn candidates(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let mut command = sandbox.command([&["--", "sdgen"], words].concat());
    let output = command.env("_SDGEN_COMPLETE", "fish").output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split('\t').next().unwrap_or_default().to_string()).collect()
}

#[test]
fn values_are_completed() {
    let sandbox = Sandbox::new();
    for file in ["style.safetensors", "sdxl.ckpt", "notes.txt", "photo.jpg"] {
        fs::write(sandbox.path(file), "").unwrap();
    }
    let offered = |words: &[&str]| candidates(&sandbox, words);
    assert!(offered(&["gen"]).contains(&"generate".into()));
    assert!(offered(&["generate", "--sched"]).contains(&"--scheduler".into()));
    assert_eq!(offered(&["generate", "x", "--scheduler", "uni"]), ["unipc", "unipc-karras"]);
    assert_eq!(offered(&["generate", "x", "--model", "sdxl-t"]), ["sdxl-turbo"]);
    assert!(offered(&["generate", "x", "-m", "sdxl"]).contains(&"sdxl.ckpt".into()));
    assert_eq!(offered(&["generate", "x", "--lora", "st"]), ["style.safetensors"]);
    assert_eq!(offered(&["img2img", "-i", ""]), ["-", "photo.jpg"]);
    assert_eq!(offered(&["controlnet", "--control", "cann"]), ["canny="]);
    assert_eq!(offered(&["controlnet", "--control", "canny=ph"]), ["canny=photo.jpg"]);
    assert!(offered(&["controlnet", "--control", "cn-sd15-c"]).contains(&"cn-sd15-canny=".into()));
    assert!(offered(&["preprocess", "cann"]).contains(&"canny".into()));
    assert_eq!(offered(&["generate", "--wildcards", "no"]), Vec::<String>::new());
}

/// Bash cuts words at `=`; the script puts them together, and bash replaces what stands behind the cut.
#[cfg(unix)]
#[test]
fn bash_completes_behind_an_equals_sign() {
    use std::process::{Command, Stdio};
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("photo.jpg"), "").unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_sdgen")).parent().unwrap();
    let paths = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let script = format!("{}/completions/sdgen.bash", env!("CARGO_MANIFEST_DIR"));
    let replies = |words: &[&str], current: &str| {
        let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let last = words.len() - 1;
        let line = format!(
            "source '{script}'; COMP_WORDS=({}); COMP_CWORD={last}; _sdgen sdgen '{current}' x; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words.join(" "),
        );
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", &line]).env("PATH", &paths).current_dir(sandbox.path(".")).stdin(Stdio::null());
        bash.output().ok().map(|output| String::from_utf8(output.stdout).unwrap())
    };
    let Some(first) = replies(&["sdgen", "gener"], "gener") else { return }; // There is no bash here.
    assert_eq!(first, "generate\n");
    assert_eq!(replies(&["sdgen", "controlnet", "--control", "canny", "=", "ph"], "ph").unwrap(), "photo.jpg\n");
    assert_eq!(replies(&["sdgen", "controlnet", "--control", "canny", "="], "").unwrap(), "photo.jpg\n");
    assert_eq!(replies(&["sdgen", "generate", "--scheduler", "=", "uni"], "uni").unwrap(), "unipc\nunipc-karras\n");
}
