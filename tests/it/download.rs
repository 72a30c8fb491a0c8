use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use sdgen::error::exit_code;
use serde_json::{json, Value};

use crate::hub::{blob_name, noise, Answer, Hub, Seen, COMMIT};
use crate::support::{files, Outcome, Sandbox, QUICK};

pub const CONFIG: &str = "config.json";
pub const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

/// The one repository of most tests: an autoencoder alone, and files that nobody needs.
pub fn small() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (CONFIG, b"{}".to_vec()),
        (WEIGHTS, noise(100_000)),
        ("preview.png", b"a picture".to_vec()),
        ("diffusion_pytorch_model.bin", noise(2000)),
    ]
}

pub fn cache(sandbox: &Sandbox) -> PathBuf {
    sandbox.path("hf/hub/models--org--name")
}

/// Names in the cache's folder of contents.
pub fn blobs(sandbox: &Sandbox) -> Vec<String> {
    let folder = cache(sandbox).join("blobs");
    if folder.is_dir() {
        files(&folder)
    } else {
        Vec::new()
    }
}

/// Nothing in the cache can be mistaken for a model.
#[track_caller]
pub fn nothing_looks_whole(sandbox: &Sandbox) {
    assert!(!cache(sandbox).join("refs").exists() && !cache(sandbox).join("snapshots").exists());
    assert!(blobs(sandbox).iter().all(|name| name.ends_with(".incomplete") || *name == blob_name(b"{}")));
    sandbox_generate(sandbox).fails(exit_code::MODEL);
}

pub fn sandbox_generate(sandbox: &Sandbox) -> Outcome {
    let mut command = sandbox.command(QUICK.iter().chain(&["-m", "org/name"]));
    Outcome::new(command.env("HF_HOME", sandbox.path("hf")).env_remove("HF_HUB_CACHE").output().unwrap())
}

#[track_caller]
pub fn is_whole(sandbox: &Sandbox) {
    let snapshot = cache(sandbox).join("snapshots").join(COMMIT);
    assert_eq!(fs::read(snapshot.join(WEIGHTS)).unwrap(), noise(100_000));
    assert_eq!(fs::read_to_string(cache(sandbox).join("refs/main")).unwrap(), COMMIT);
    assert!(blobs(sandbox).iter().all(|name| !name.contains("incomplete")));
}

#[test]
fn a_repository_goes_into_the_cache_as_python_has_it() {
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[("org/name", &small())]));
    let outcome = hub.run(&sandbox, &["download", "org/name"]).succeeds();
    let snapshot = cache(&sandbox).join("snapshots").join(COMMIT);
    assert_eq!(outcome.paths(), [snapshot.to_str().unwrap()]);
    is_whole(&sandbox);
    assert_eq!(files(&snapshot), [CONFIG, WEIGHTS], "only what is needed");
    let mut expected = [blob_name(b"{}"), blob_name(&noise(100_000))];
    expected.sort();
    assert_eq!(blobs(&sandbox), expected);
    #[cfg(unix)]
    assert_eq!(fs::read_link(snapshot.join(CONFIG)).unwrap(), Path::new("../../blobs").join(blob_name(b"{}")));
    assert!(hub.seen().iter().all(|seen| seen.header("authorization").is_none()));

    let asked = hub.asked(WEIGHTS).len();
    hub.run(&sandbox, &["download", "org/name"]).succeeds().says(&["all here"]);
    assert_eq!(hub.asked(WEIGHTS).len(), asked, "nothing is fetched twice");
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let cut = |seen: &Seen, n: usize, usual: &Answer| {
        let whole = Answer { cut: Some(40_000), ..usual.clone() };
        (seen.path.ends_with(WEIGHTS) && n == 0).then_some(whole)
    };
    let (sandbox, hub) = (Sandbox::new(), Hub::faulty(&[("org/name", &small())], cut));
    hub.run(&sandbox, &["download", "org/name"]).succeeds().says(&["trying again"]);
    is_whole(&sandbox);
    let ranges: Vec<_> = hub.asked(WEIGHTS).iter().map(|seen| seen.header("range").map(String::from)).collect();
    assert_eq!(ranges, [None, Some("bytes=40000-".into())]);
}

#[test]
fn a_later_run_goes_on_where_an_earlier_one_failed() {
    // The first run gets 40 %, then a refusal.
    let cut = |seen: &Seen, n: usize, usual: &Answer| match n {
        0 if seen.path.ends_with(WEIGHTS) => Some(Answer { cut: Some(40_000), ..usual.clone() }),
        1 if seen.path.ends_with(WEIGHTS) => Some(Answer::new(403, "")),
        _ => None,
    };
    let (sandbox, hub) = (Sandbox::new(), Hub::faulty(&[("org/name", &small())], cut));
    hub.run(&sandbox, &["download", "org/name"]).fails(exit_code::DOWNLOAD).says(&["403"]);
    let part = cache(&sandbox).join("blobs").join(format!("{}.incomplete", blob_name(&noise(100_000))));
    assert_eq!(fs::read(&part).unwrap(), &noise(100_000)[..40_000]);
    nothing_looks_whole(&sandbox);

    hub.run(&sandbox, &["download", "org/name"]).succeeds();
    is_whole(&sandbox);
    assert_eq!(hub.asked(WEIGHTS)[2].header("range"), Some("bytes=40000-"));
}

#[test]
fn what_lies_there_and_is_no_beginning_is_fetched_anew() {
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[("org/name", &small())]));
    let part = cache(&sandbox).join("blobs").join(format!("{}.incomplete", blob_name(&noise(100_000))));
    for left in [vec![7; 50_000], vec![7; 100_000], vec![7; 200_000]] {
        fs::create_dir_all(part.parent().unwrap()).unwrap();
        fs::write(&part, left).unwrap();
        hub.run(&sandbox, &["download", "org/name"]).succeeds();
        is_whole(&sandbox);
        fs::remove_dir_all(sandbox.path("hf")).unwrap();
    }
}

#[test]
fn a_wrong_checksum_is_a_failure() {
    let damaged =
        |seen: &Seen, _: usize, _: &Answer| seen.path.ends_with(WEIGHTS).then(|| Answer::new(200, vec![7; 100_000]));
    let (sandbox, hub) = (Sandbox::new(), Hub::faulty(&[("org/name", &small())], damaged));
    let outcome = hub.run(&sandbox, &["download", "org/name"]).fails(exit_code::DOWNLOAD);
    outcome.says(&[WEIGHTS, "damaged", "SHA-256", &blob_name(&noise(100_000))]);
    nothing_looks_whole(&sandbox);
    // Other files may have been on their way when it failed: those are continued.
    let part = format!("{}.incomplete", blob_name(&noise(100_000)));
    assert!(!blobs(&sandbox).contains(&part), "it would be continued");
}

#[test]
fn a_length_that_is_not_the_listed_one_is_a_failure() {
    for (length, body) in [(100_010, 100_010), (100_000, 100_010), (99_000, 99_000)] {
        let other = move |seen: &Seen, _: usize, _: &Answer| {
            let answer = Answer::new(200, noise(body)).with("Content-Length", length);
            seen.path.ends_with(WEIGHTS).then_some(answer)
        };
        let (sandbox, hub) = (Sandbox::new(), Hub::faulty(&[("org/name", &small())], other));
        let outcome = hub.run(&sandbox, &["download", "org/name"]);
        // Bytes after the announced end of an answer are none of it.
        if length == 100_000 {
            outcome.succeeds();
        } else {
            outcome.fails(exit_code::DOWNLOAD).says(&[WEIGHTS, "100000", &length.to_string()]);
            nothing_looks_whole(&sandbox);
        }
    }
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    for name in ["../../../../evil.json", "/tmp/evil.json", "unet/..\\..\\evil.json"] {
        let (sandbox, hub) =
            (Sandbox::new(), Hub::serve(&[("org/name", &[(CONFIG, b"{}".to_vec()), (name, noise(10))])]));
        hub.run(&sandbox, &["download", "org/name"]).fails(exit_code::DOWNLOAD).says(&["leads out", "evil.json"]);
        nothing_looks_whole(&sandbox);
        assert!(hub.asked("evil.json").is_empty());
    }
}

#[test]
fn the_disk_is_looked_at_first() {
    let hash = blob_name(&noise(100_000));
    let size = 1u64 << 60;
    let listing = json!({ "sha": COMMIT, "siblings": [
        { "rfilename": "x.safetensors", "size": size, "lfs": { "sha256": hash, "size": size } } ] });
    let huge = move |seen: &Seen, _: usize, _: &Answer| {
        seen.path.starts_with("/api").then(|| Answer::new(200, listing.to_string()))
    };
    let (sandbox, hub) = (Sandbox::new(), Hub::faulty(&[], huge));
    hub.run(&sandbox, &["download", "org/name"]).fails(exit_code::DOWNLOAD).says(&["free", "HF_HOME"]);
    assert_eq!(hub.seen().len(), 1);
    assert!(sandbox.files().is_empty());
}

#[test]
fn two_processes_at_once_fetch_a_file_once() {
    let slow = |seen: &Seen, _: usize, _: &Answer| {
        if seen.path.ends_with(WEIGHTS) {
            thread::sleep(Duration::from_millis(300));
        }
        None
    };
    let (sandbox, hub) = (Sandbox::new(), Hub::faulty(&[("org/name", &small())], slow));
    let run = || hub.run(&sandbox, &["download", "org/name"]).succeeds();
    thread::scope(|scope| {
        let other = scope.spawn(run);
        run();
        other.join().unwrap();
    });
    is_whole(&sandbox);
    assert_eq!(hub.asked(WEIGHTS).len(), 1);
}

#[test]
fn offline_means_no_request() {
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[("org/name", &small())]));
    hub.run(&sandbox, &["download", "org/name", "--offline"])
        .fails(exit_code::DOWNLOAD)
        .says(&["org/name", "--offline"]);
    assert!(hub.seen().is_empty());
    let online = hub.run(&sandbox, &["download", "org/name"]).succeeds();
    let requests = hub.seen().len();
    let mut command = hub.command(&sandbox, &["download", "org/name"]);
    let offline = Outcome::new(command.env("HF_HUB_OFFLINE", "1").output().unwrap()).succeeds();
    assert_eq!(offline.paths(), online.paths());
    assert_eq!(hub.seen().len(), requests);
}

#[test]
fn answers_that_are_no_listing_are_said() {
    for (body, words) in [
        ("<!DOCTYPE html><html>Sign in to the network</html>", &["web page", "HF_ENDPOINT"][..]),
        ("{\"sha\": 3}", &["not understood"]),
        ("", &["not understood"]),
    ] {
        let (sandbox, hub) = (Sandbox::new(), Hub::faulty(&[], move |_, _, _| Some(Answer::new(200, body))));
        hub.run(&sandbox, &["download", "org/name"]).fails(exit_code::DOWNLOAD).says(words);
        nothing_looks_whole(&sandbox);
    }
}

#[test]
fn nobody_there_is_said() {
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[]));
    let mut command = hub.command(&sandbox, &["download", "org/name"]);
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = Outcome::new(command.env("HF_ENDPOINT", format!("http://{port}")).output().unwrap());
    outcome.fails(exit_code::DOWNLOAD).says(&["127.0.0.1", "cannot be reached", "HTTPS_PROXY"]);
}

#[test]
fn a_listing_without_hashes_is_completed_from_the_files() {
    let bare = |seen: &Seen, _: usize, _: &Answer| {
        let siblings = [CONFIG, WEIGHTS].map(|path| json!({ "rfilename": path }));
        let listing = json!({ "sha": COMMIT, "siblings": siblings });
        seen.path.starts_with("/api").then(|| Answer::new(200, listing.to_string()))
    };
    let (sandbox, hub) = (Sandbox::new(), Hub::faulty(&[("org/name", &small())], bare));
    hub.run(&sandbox, &["download", "org/name"]).succeeds();
    is_whole(&sandbox);
}

#[test]
fn a_dry_run_fetches_nothing() {
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[("org/name", &small())]));
    let outcome = hub.run(&sandbox, &["download", "org/name", "--dry-run"]).succeeds();
    assert_eq!(outcome.paths().len(), 2);
    assert!(outcome.text().contains("100 kB") && outcome.text().contains(WEIGHTS));
    assert!(hub.asked(WEIGHTS).is_empty() && sandbox.files().is_empty());
}

#[test]
fn events_tell_files_and_places() {
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[("org/name", &small())]));
    let outcome = hub.run(&sandbox, &["download", "org/name", "--json"]).succeeds();
    let events: Vec<Value> = outcome.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["schema"] == 1));
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    assert_eq!(of("download_file").len(), 2);
    assert!(of("download_file")
        .iter()
        .any(|file| file["name"] == WEIGHTS && file["sha256"] == blob_name(&noise(100_000))));
    let download = of("download");
    assert_eq!((&download[0]["state"], &download[0]["total"]), (&"begin".into(), &100_002.into()));
    assert!(download.last().unwrap()["path"].as_str().unwrap().ends_with(COMMIT));
    assert_eq!(of("done")[0]["downloads"], 1);
}

#[test]
fn one_of_several_may_fail() {
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[("org/name", &small())]));
    let outcome = hub.run(&sandbox, &["download", "org/none", "org/name"]);
    assert_eq!(outcome.code, Some(exit_code::DOWNLOAD.into()), "{}", outcome.stderr);
    assert_eq!(outcome.paths().len(), 1);
    outcome.says(&["org/none", "1 of 2"]);
    is_whole(&sandbox);
}

#[test]
fn what_cannot_be_fetched_is_a_usage_error() {
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[]));
    hub.run(&sandbox, &["download"]).fails(exit_code::USAGE);
    hub.run(&sandbox, &["download", "../../etc"]).fails(exit_code::USAGE).says(&["org/name"]);
    hub.run(&sandbox, &["download", "file:///etc/passwd"]).fails(exit_code::USAGE).says(&["https"]);
    hub.run(&sandbox, &["download", "sd15", "--output", "x"]).fails(exit_code::USAGE).says(&["HF_HOME"]);
    assert!(hub.seen().is_empty());
}
