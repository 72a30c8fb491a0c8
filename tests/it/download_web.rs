//! Files at plain addresses.

use std::fs;

use sdgen::error::exit_code;

use crate::hub::{noise, sha256, Answer, Hub, Seen};
use crate::support::Sandbox;

/// A server that is not the hub: `sdgen` is told of another one.
struct Web {
    server: Hub,
    hub: Hub,
    sandbox: Sandbox,
}

impl Web {
    fn new(answer: impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static) -> Self {
        let server = Hub::faulty(&[], move |seen, n, _| Some(answer(seen, n)));
        Web { server, hub: Hub::serve(&[]), sandbox: Sandbox::new() }
    }

    /// Serves noise, with an ETag.
    fn of_noise() -> Self {
        Self::new(|seen, _| Answer::content(seen, &noise(50_000)).with("ETag", "\"v1\""))
    }

    fn run(&self, path: &str, more: &[&str]) -> crate::support::Outcome {
        let address = format!("{}{path}", self.server.address);
        self.hub.run(&self.sandbox, &[&["download", &address], more].concat())
    }
}

#[test]
fn a_file_goes_into_the_folder() {
    let web = Web::of_noise();
    let outcome = web.run("/a/my%20model.safetensors?token=secret", &["-v"]).succeeds();
    assert_eq!(outcome.paths(), ["my model.safetensors"]);
    assert_eq!(web.sandbox.files(), ["my model.safetensors"]);
    assert_eq!(fs::read(web.sandbox.path("my model.safetensors")).unwrap(), noise(50_000));
    assert!(!outcome.stderr.contains("secret"));
    outcome.says(&[&sha256(&noise(50_000))]);
    assert!(web.hub.seen().is_empty());

    let requests = web.server.seen().len();
    web.run("/a/my%20model.safetensors", &[]).succeeds().says(&["there already"]);
    assert_eq!(web.server.seen().len(), requests + 1, "only asked about");
    let outcome = web.run("/b.ckpt", &["--output", "models/new"]).succeeds();
    assert_eq!(outcome.paths(), ["models/new/b.ckpt"]);
}

#[test]
fn the_servers_name_for_a_file_cannot_leave_the_folder() {
    let web = Web::new(|seen, _| {
        let name = "attachment; filename=\"../../.config/evil\u{1}.safetensors\"";
        Answer::content(seen, &noise(5000)).with("Content-Disposition", name.replace('\u{1}', ""))
    });
    web.run("/download/1", &["--output", "models"]).succeeds();
    assert_eq!(web.sandbox.files(), ["models"]);
    assert!(web.sandbox.path("models/evil.safetensors").is_file());
}

#[test]
fn a_cut_file_goes_on_only_if_it_is_still_the_same() {
    for (second, ranges) in [("\"v1\"", 1), ("\"v2\"", 0)] {
        // The first run ends after a part; before the second one the file may have changed.
        let web = Web::new(move |seen, n| {
            let etag = if n < 3 { "\"v1\"" } else { second };
            let usual = Answer::content(seen, &noise(50_000)).with("ETag", etag);
            match n {
                1 => Answer { cut: Some(20_000), ..usual },
                2 => Answer::new(403, ""),
                _ => usual,
            }
        });
        web.run("/x.ckpt", &[]).fails(exit_code::DOWNLOAD).says(&["403"]);
        assert!(!web.sandbox.path("x.ckpt").exists());
        web.run("/x.ckpt", &[]).succeeds();
        assert_eq!(fs::read(web.sandbox.path("x.ckpt")).unwrap(), noise(50_000));
        let last = web.server.seen().pop().unwrap();
        let continued = last.header("range") == Some("bytes=20000-") && last.header("if-range") == Some("\"v1\"");
        assert_eq!(usize::from(continued), ranges, "{last:?}");
    }
}

#[test]
fn a_checksum_in_the_address_is_checked() {
    let web = Web::of_noise();
    let right = sha256(&noise(50_000));
    web.run(&format!("/x.ckpt#sha256={}", "0".repeat(64)), &[]).fails(exit_code::DOWNLOAD).says(&["damaged", &right]);
    assert!(web.sandbox.files().is_empty());
    let asked = web.server.seen().len();
    web.run("/x.ckpt#sha256=abc", &[]).fails(exit_code::USAGE);
    assert_eq!(web.server.seen().len(), asked, "refused before anyone is asked");
    web.run(&format!("/x.ckpt#sha256={right}"), &[]).succeeds();
}

#[test]
fn nothing_of_the_users_is_overwritten() {
    let web = Web::of_noise();
    fs::write(web.sandbox.path("x.ckpt"), "mine").unwrap();
    web.run("/x.ckpt", &[]).fails(exit_code::DOWNLOAD).says(&["x.ckpt", "--output"]);
    assert_eq!(fs::read(web.sandbox.path("x.ckpt")).unwrap(), b"mine");
    assert_eq!(web.sandbox.files(), ["x.ckpt"]);
}

/// It once said of each file that it was needed, and of a name that was taken nothing.
#[test]
fn a_dry_run_sees_what_is_in_the_folder() {
    let web = Web::of_noise();
    let here = |path: &str| web.run(path, &["--dry-run", "--output", "models"]).succeeds().text().contains("(here)");
    assert!(!here("/x.ckpt") && web.sandbox.files().is_empty());
    web.run("/x.ckpt", &["--output", "models"]).succeeds();
    assert!(here("/x.ckpt"));
    fs::write(web.sandbox.path("models/x.ckpt"), "mine").unwrap();
    web.run("/x.ckpt", &["--dry-run", "--output", "models"]).fails(exit_code::DOWNLOAD).says(&["other content"]);
}

/// A file that is there needs no room, and what is in its way is said: once it was the disk that was too full.
#[test]
fn what_has_the_name_is_looked_at_before_the_disk() {
    let web = Web::new(|_, _| Answer::new(206, "x").with("Content-Range", format!("bytes 0-0/{}", 1u64 << 60)));
    web.run("/x.ckpt", &[]).fails(exit_code::DOWNLOAD).says(&["are free"]);
    fs::write(web.sandbox.path("x.ckpt"), "mine").unwrap();
    web.run("/x.ckpt", &[]).fails(exit_code::DOWNLOAD).says(&["x.ckpt", "other content"]);
}

#[test]
fn a_login_page_is_no_model() {
    let web = Web::new(|_, _| Answer::new(200, "<html>Log in</html>").with("Content-Type", "text/html; charset=utf-8"));
    let outcome =
        web.run("/x.safetensors", &[]).fails(exit_code::DOWNLOAD).says(&["web page", "x.safetensors` is not"]);
    assert!(!outcome.stderr.contains("``"), "{}", outcome.stderr);
    assert!(web.sandbox.files().is_empty());
}

#[test]
fn a_server_that_says_no_length_is_believed() {
    let web = Web::new(|_, _| {
        let chunked = [b"1388\r\n".to_vec(), noise(5000), b"\r\n0\r\n\r\n".to_vec()].concat();
        let length = ("Transfer-Encoding", "chunked");
        Answer::new(200, chunked).with(length.0, length.1)
    });
    web.run("/x.ckpt", &[]).succeeds();
    assert_eq!(fs::read(web.sandbox.path("x.ckpt")).unwrap(), noise(5000));
}

#[test]
fn the_page_of_a_file_on_the_hub_becomes_the_file() {
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[("org/name", &[("a/x.gguf", noise(5000))])]));
    let page = format!("{}/org/name/blob/main/a/x.gguf", hub.address);
    assert_eq!(hub.run(&sandbox, &["download", &page]).succeeds().paths(), ["x.gguf"]);
    assert!(hub.seen().iter().all(|seen| seen.path == "/org/name/resolve/main/a/x.gguf"));
}
