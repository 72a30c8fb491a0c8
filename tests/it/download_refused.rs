//! Servers that refuse, are ill, or send elsewhere.

use sdgen::error::exit_code;

use crate::download::{is_whole, nothing_looks_whole, small, WEIGHTS};
use crate::hub::{blob_name, noise, Answer, File, Hub, Seen};
use crate::support::{Outcome, Sandbox};

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
