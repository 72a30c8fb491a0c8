//! A folder to run in, and what a run left behind.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The arguments of a quick picture that is the same every time.
pub const QUICK: &[&str] =
    &["generate", "a red apple", "--steps", "2", "--seed", "7", "--device", "cpu", "--dtype", "f32"];

/// An empty folder that is the working directory of commands, and one for what they keep for their user.
pub struct Sandbox(TempDir, TempDir);

impl Sandbox {
    pub fn new() -> Self {
        Sandbox(tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The user's folder of settings.
    pub fn user(&self) -> PathBuf {
        self.1.path().join("config/sdgen")
    }

    /// The command, not yet run: working directory and environment are those of a user without settings.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sdgen"));
        command.current_dir(self.0.path()).args(args).stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", self.1.path().join("config"));
        command.env("XDG_CACHE_HOME", self.1.path().join("cache"));
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        Outcome::new(self.command(args).output().unwrap())
    }

    /// [`QUICK`] with more arguments.
    pub fn quick(&self, more: &[&str]) -> Outcome {
        self.run(QUICK.iter().chain(more))
    }

    /// As [`Self::quick`], but where the system allows, with 4 GB of address space: a number in a hostile file must not be able
    /// to take the machine down with the test.
    pub fn quick_in_little_memory(&self, more: &[&str]) -> Outcome {
        self.run_in_memory(4_000_000, QUICK.iter().chain(more))
    }

    /// As [`Self::run`], but where the system allows, with so many KiB of address space.
    pub fn run_in_memory<S: AsRef<OsStr>>(&self, kib: usize, args: impl IntoIterator<Item = S>) -> Outcome {
        if cfg!(not(target_os = "linux")) {
            return self.run(args);
        }
        let direct = self.command(args);
        let mut limited = Command::new("sh");
        let script = format!("ulimit -v {kib}; exec \"$0\" \"$@\"");
        limited.args(["-c", &script]).arg(direct.get_program()).args(direct.get_args());
        limited.current_dir(self.0.path()).stdin(Stdio::null());
        Outcome::new(limited.output().unwrap())
    }

    /// Names of all files and folders directly inside, sorted.
    pub fn files(&self) -> Vec<String> {
        files(self.0.path())
    }

    /// The built-in model as a folder named `model`, to be damaged.
    pub fn model(&self) -> PathBuf {
        let folder = self.path("model");
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/emoji"), &folder);
        folder
    }
}

pub fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Replaces a text that the file holds.
pub fn replace(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{}: no `{from}`", file.display());
    fs::write(file, text.replace(from, to)).unwrap();
}

/// What a run left behind.
pub struct Outcome {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Outcome {
    pub fn new(output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).expect("standard error is UTF-8");
        assert!(!stderr.contains("panicked"), "{stderr}");
        Outcome { code: output.status.code(), stdout: output.stdout, stderr }
    }

    /// Standard output as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("standard output is UTF-8")
    }

    /// The paths written: each line of standard output.
    pub fn paths(&self) -> Vec<&str> {
        self.text().lines().collect()
    }

    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// An error with this exit code, in the one shape of errors: `error: ...`, an empty line, `hint: ...`.
    #[track_caller]
    pub fn fails(self, code: u8) -> Self {
        assert_eq!(self.code, Some(code.into()), "{}", self.stderr);
        assert!(self.stdout.is_empty(), "an error left data on standard output");
        let at = self.stderr.find("error: ").unwrap_or_else(|| panic!("no error line in: {}", self.stderr));
        let blank = self.stderr[at..].find("\n\nhint: ");
        assert!(blank.is_some(), "no hint in: {}", self.stderr);
        self
    }

    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        let lower = self.stderr.to_lowercase();
        for word in words {
            assert!(lower.contains(&word.to_lowercase()), "no `{word}` in: {}", self.stderr);
        }
        self
    }
}

/// The pixels of a PNG file's bytes.
pub fn pixels(png: &[u8]) -> image::RgbImage {
    image::load_from_memory_with_format(png, image::ImageFormat::Png).expect("a whole PNG").into_rgb8()
}

/// Maximum and mean absolute difference of two pictures of one size, in 8-bit steps.
pub fn difference(a: &image::RgbImage, b: &image::RgbImage) -> (u8, f64) {
    assert_eq!(a.dimensions(), b.dimensions());
    let steps: Vec<u8> = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| a.abs_diff(*b)).collect();
    let sum: f64 = steps.iter().map(|s| f64::from(*s)).sum();
    (steps.iter().copied().max().unwrap_or(0), sum / steps.len() as f64)
}

/// How near two pictures of one size are, in decibels: 48 is one of 255 levels everywhere.
pub fn psnr(a: &image::RgbImage, b: &image::RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let squares: f64 = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    10.0 * (255.0f64.powi(2) * a.as_raw().len() as f64 / squares).log10()
}

/// The text chunks of a PNG: keyword and text, uncompressed tEXt and iTXt.
pub fn texts(png: &[u8]) -> Vec<(String, String)> {
    let reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let info = reader.info();
    let latin = info.uncompressed_latin1_text.iter().map(|t| (t.keyword.clone(), t.text.clone()));
    let utf8 = info.utf8_text.iter().map(|t| (t.keyword.clone(), t.get_text().unwrap()));
    latin.chain(utf8).collect()
}

/// One of them.
pub fn text_chunk(png: &[u8], keyword: &str) -> Option<String> {
    texts(png).into_iter().find(|(k, _)| k == keyword).map(|(_, text)| text)
}
