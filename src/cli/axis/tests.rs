//! Axes as they are typed.

use super::*;
use crate::request::{Input, Lora};
use crate::sampling::Sampler;

fn shown(text: &str) -> Vec<String> {
    parse(text).unwrap().shown().into_iter().map(str::to_owned).collect()
}

fn refused(text: &str) -> (String, String) {
    let error = parse(text).unwrap_err();
    assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
    (error.to_string(), error.hint().unwrap())
}

#[test]
fn values_are_listed_or_ranges() {
    assert_eq!(shown("steps=10, 20,30"), ["10", "20", "30"]);
    assert_eq!(shown("steps=10..30/10,50"), ["10", "20", "30", "50"]);
    assert_eq!(shown("seed=1..3"), ["1", "2", "3"]);
    assert_eq!(shown("guidance=0..0.3/0.1"), ["0", "0.1", "0.2", "0.3"]);
    assert_eq!(shown("prompt=cat,\"dog, old\",\"a \"\"b\"\"\""), ["cat", "dog, old", "a \"b\""]);
    assert_eq!(parse("steps=10").unwrap().labels(), ["steps: 10"]);
}

#[test]
fn mistakes_are_those_of_the_option() {
    for (text, message, hint) in [
        ("step=3", "unknown axis `step`", "did you mean `steps`?"),
        ("zzz=3", "unknown axis `zzz`", "axes: steps, guidance"),
        ("steps", "no axis", "steps=10,20,30"),
        ("steps=", "empty value", "steps=10,20,30"),
        ("steps=10,0", "0 is below 1", "give 1 to 150"),
        ("guidance=7,130", "130 is above 100", "the nearest is 100"),
        ("scheduler=eulr", "eulr", "`euler`"),
        ("seed=random", "`random`", "seed=1..4"),
        ("steps=30..10", "no range", "10..30/5"),
        ("steps=1..9/0", "no range", "10..30/5"),
        ("seed=0..1000", "too many", "100"),
        ("size=512", "no size", "512x768"),
        ("size=512x65", "65", "the nearest is 64"),
        ("prompt=\"cat", "quote", "\"\""),
        ("prompt=,dog", "what to replace", "cat,dog,bird"),
        ("lora:=1", "unknown axis `lora:`", "lora"),
    ] {
        let (said, advice) = refused(text);
        assert!(said.contains(message) && advice.contains(hint), "{text}: {said} / {advice}");
    }
}

#[test]
fn every_axis_changes_its_field() {
    let mut base = Request::default();
    base.prompt.text = "a cat".into();
    base.input = Some(Input::default());
    base.loras = vec![Lora::new("loras/style.safetensors"), Lora::new("other")];
    let changed = |text: &str| {
        let mut request = base.clone();
        parse(text).unwrap().apply(0, &mut request).unwrap();
        assert_ne!(request, base, "{text}");
        request
    };
    assert_eq!(changed("steps=3").sampling.steps, Some(3));
    assert_eq!(changed("guidance=3").sampling.guidance, Some(3.0));
    assert_eq!(changed("guidance-rescale=0.5").sampling.guidance_rescale, Some(0.5));
    assert_eq!(changed("true-cfg=2").sampling.true_cfg, Some(2.0));
    assert_eq!(changed("seed=3").sampling.seed, Some(3));
    let sampling = changed("scheduler=dpm++2m-karras").sampling;
    assert_eq!((sampling.scheduler, sampling.sigmas), (Some(Sampler::DpmPp2m), Some(SigmaSpacing::Karras)));
    assert_eq!(changed("sigmas=beta").sampling.sigmas, Some(SigmaSpacing::Beta));
    assert_eq!(changed("eta=1").sampling.eta, Some(1.0));
    assert_eq!(changed("strength=0.4").input.unwrap().strength, Some(0.4));
    assert_eq!(changed("clip-skip=2").prompt.clip_skip, Some(2));
    let scales = |request: Request| request.loras.iter().map(|lora| lora.scale).collect::<Vec<_>>();
    assert_eq!(scales(changed("lora-scale=0.5")), [0.5, 0.5]);
    assert_eq!(scales(changed("lora:style=0.5")), [0.5, 1.0]);
    assert_eq!(changed("prompt=cat->dog").prompt.text, "a dog");
    assert_eq!(changed("negative-prompt=blurry").prompt.negative.as_deref(), Some("blurry"));
    assert_eq!(changed("model=sd15").model, "sd15");
    assert_eq!(changed("size=64x72").image.height, Some(72));
    let mut request = base.clone();
    let axis = parse("prompt=cat,dog").unwrap();
    axis.apply(0, &mut request).unwrap();
    assert_eq!(request.prompt.text, "a cat", "the first is the prompt as it is");
    axis.apply(1, &mut request).unwrap();
    assert_eq!(request.prompt.text, "a dog");
}

#[test]
fn an_axis_needs_something_to_change() {
    let refused = |text: &str| parse(text).unwrap().apply(0, &mut Request::default()).unwrap_err();
    assert!(refused("strength=0.5").hint().unwrap().contains("--image"));
    assert!(refused("lora-scale=0.5").hint().unwrap().contains("--lora"));
    assert!(refused("lora:style=0.5").to_string().contains("lora:style"));
    assert!(refused("prompt=cat,dog").to_string().contains("`cat`"));
}
