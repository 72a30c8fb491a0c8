//! Each kind of value at the ends of its range, and what is said beyond them.

use super::*;
use crate::sampling::{Sampler, SigmaSpacing};

fn refused<T: std::fmt::Debug>(result: Result<T>) -> (String, String) {
    let error = result.unwrap_err();
    assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
    (error.to_string(), error.hint().unwrap())
}

#[test]
fn whole_numbers_keep_to_their_range() {
    assert_eq!(whole("1", 1..=150).unwrap(), 1);
    assert_eq!(whole(" 150 ", 1..=150).unwrap(), 150);
    assert_eq!(refused(whole("0", 1..=150)), ("0 is below 1".into(), "give 1 to 150; the nearest is 1".into()));
    assert_eq!(refused(whole("-7", 1..=150)).1, "give 1 to 150; the nearest is 1");
    assert_eq!(refused(whole("200", 1..=150)), ("200 is above 150".into(), "give 1 to 150; the nearest is 150".into()));
    assert_eq!(refused(whole(&"9".repeat(60), 1..=150)).1, "give 1 to 150; the nearest is 150");
    for text in ["", "x", "2.5", "1e2", "-", "٣"] {
        assert_eq!(refused(whole(text, 1..=150)).1, "give 1 to 150", "{text}");
    }
}

#[test]
fn decimals_keep_to_their_range() {
    assert_eq!(decimal("7.5", 0.0..=20.0).unwrap(), 7.5);
    assert_eq!(decimal("0", 0.0..=20.0).unwrap(), 0.0);
    assert_eq!(refused(decimal("-1", 0.0..=20.0)), ("-1 is below 0".into(), "give 0 to 20; the nearest is 0".into()));
    assert_eq!(refused(decimal("25", 0.0..=20.0)), ("25 is above 20".into(), "give 0 to 20; the nearest is 20".into()));
    assert_eq!(refused(decimal("inf", 0.0..=20.0)).1, "give 0 to 20; the nearest is 20");
    for text in ["nan", "NaN", "", "seven", "7,5"] {
        assert_eq!(refused(decimal(text, 0.0..=20.0)), (format!("`{text}` is not a number"), "give 0 to 20".into()));
    }
}

#[test]
fn strengths_are_above_zero_and_up_to_one() {
    assert_eq!((strength("0.6").unwrap(), strength("1").unwrap()), (0.6, 1.0));
    for (text, message) in [
        ("0", "as it is"),
        ("-0.0", "as it is"),
        ("1.5", "1.5 is above 1"),
        ("inf", "above 1"),
        ("-3", "below 0"),
        ("nan", "not a number"),
        ("60%", "not a number"),
    ] {
        let (said, hint) = refused(strength(text));
        assert!(said.contains(message) && hint.contains("above 0 and up to 1"), "{text}: {said} / {hint}");
    }
}

#[test]
fn margins_are_four_numbers() {
    assert_eq!(margins("128, 0,64,8").unwrap(), Margins { left: 128, top: 0, right: 64, bottom: 8 });
    for text in ["", "8", "8,8,8", "8,8,8,8,8", "-8,0,0,0", "a,0,0,0", "0,0,0,0", "4097,0,0,0"] {
        assert!(refused(margins(text)).1.contains("128,0,128,0"), "{text}");
    }
}

#[test]
fn signed_numbers_keep_to_their_range() {
    assert_eq!(signed("-5", -9..=9).unwrap(), -5);
    assert_eq!(refused(signed("-10", -9..=9)), ("-10 is below -9".into(), "give -9 to 9; the nearest is -9".into()));
    assert_eq!(refused(signed(&"9".repeat(60), -9..=9)).1, "give -9 to 9; the nearest is 9");
    assert_eq!(refused(signed("x", -9..=9)).1, "give -9 to 9");
}

#[test]
fn sides_are_multiples_of_eight_and_the_nearest_is_named() {
    for good in [64, 104, 512, 4096] {
        assert_eq!(side(&good.to_string()).unwrap(), good);
    }
    for (bad, nearest) in
        [("513", 512), ("516", 520), ("0", 64), ("-8", 64), ("63", 64), ("4095", 4096), ("5000", 4096)]
    {
        let hint = refused(side(bad)).1;
        assert!(hint.ends_with(&format!("the nearest is {nearest}")), "{bad}: {hint}");
    }
    assert!(refused(side("512px")).0.contains("whole number"));
}

#[test]
fn seeds_are_64_bits_or_random() {
    assert_eq!(seed("random").unwrap(), Seed::Random);
    assert_eq!(seed("4294979641").unwrap(), Seed::Fixed(4_294_979_641));
    assert_eq!(seed("18446744073709551615").unwrap(), Seed::Fixed(u64::MAX));
    assert!(refused(seed("-1")).0.contains("negative"));
    assert!(refused(seed("18446744073709551616")).0.contains("too large"));
    assert!(refused(seed("lucky")).1.contains("random"));
}

#[test]
fn a_scheduler_may_end_in_karras() {
    let choice = |sampler, sigmas| SchedulerChoice { sampler, sigmas };
    assert_eq!(scheduler("dpm++2m").unwrap(), choice(Sampler::DpmPp2m, None));
    assert_eq!(scheduler("DPM++2M-Karras").unwrap(), choice(Sampler::DpmPp2m, Some(SigmaSpacing::Karras)));
    assert_eq!(scheduler("euler-a").unwrap(), choice(Sampler::EulerA, None));
    assert!(refused(scheduler("eulr")).1.contains("`euler`"));
    assert!(refused(scheduler("xyz")).1.contains("dpm++2m"));
}

#[test]
fn devices_have_numbers() {
    assert_eq!(device("auto").unwrap(), DeviceChoice::Auto);
    assert_eq!(device("CUDA").unwrap(), DeviceChoice::Cuda(0));
    assert_eq!(device("cuda:3").unwrap(), DeviceChoice::Cuda(3));
    for text in ["cuda:", "cuda:x", "cuda:-1", "rocm", ""] {
        assert!(refused(device(text)).1.contains("cuda:N"), "{text}");
    }
}

#[test]
fn attention_is_sliced_by_heads() {
    assert_eq!(attention("auto").unwrap(), AttentionMethod::Auto);
    assert_eq!(attention("Flash").unwrap(), AttentionMethod::Flash);
    assert_eq!(attention("sliced").unwrap(), AttentionMethod::Sliced(1));
    assert_eq!(attention("sliced:4").unwrap(), AttentionMethod::Sliced(4));
    for text in ["sliced:0", "sliced:", "sliced:-1", "xformers", ""] {
        assert!(refused(attention(text)).1.contains("sliced:N"), "{text}");
    }
}

#[test]
fn sizes_and_corners_are_pairs() {
    assert_eq!(original_size("1024x768").unwrap(), (1024, 768));
    assert_eq!(crop("0,128").unwrap(), (0, 128));
    for text in ["1024", "0x768", "1024x", "axb", "-1x5", "1x2x3"] {
        refused(original_size(text));
    }
    for text in ["5", "-1,0", "1,2,3", "1x2"] {
        refused(crop(text));
    }
}
