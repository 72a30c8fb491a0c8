//! Samplers by other names: those of A1111's metadata, suffixes, and what people type.

use super::names::UnknownName;
use super::{Sampler, SigmaSpacing};

impl Sampler {
    /// The names that A1111 writes into pictures and CivitAI reads: sampler and schedule type.
    ///
    /// "Automatic" is not written for samplers whose automatic schedule there is another one than here.
    #[must_use]
    pub fn a1111_label(self, spacing: SigmaSpacing) -> (&'static str, &'static str) {
        let sampler = match self {
            Sampler::Ddim => "DDIM",
            Sampler::Ddpm => "DDPM",
            Sampler::Pndm => "PLMS",
            Sampler::Euler => "Euler",
            Sampler::EulerA => "Euler a",
            Sampler::Heun => "Heun",
            Sampler::DpmPp2m => "DPM++ 2M",
            Sampler::DpmPp2mSde => "DPM++ 2M SDE",
            Sampler::DpmPpSde => "DPM++ SDE",
            Sampler::UniPc => "UniPC",
            Sampler::Lms => "LMS",
            Sampler::Lcm => "LCM",
            Sampler::FlowEuler => "Euler",
        };
        let schedule = match (spacing, self) {
            (SigmaSpacing::Karras, _) => "Karras",
            (SigmaSpacing::Exponential, _) => "Exponential",
            (SigmaSpacing::Beta, _) => "Beta",
            (SigmaSpacing::Normal, Sampler::FlowEuler) => "Simple",
            (SigmaSpacing::Normal, Sampler::DpmPp2m | Sampler::DpmPp2mSde | Sampler::DpmPpSde) => "Uniform",
            (SigmaSpacing::Normal, _) => "Automatic",
        };
        (sampler, schedule)
    }

    /// Whether the sampler can run on sigmas that are spaced otherwise than the model's.
    #[must_use]
    pub fn takes_sigmas(self) -> bool {
        !matches!(self, Sampler::Ddim | Sampler::Ddpm | Sampler::Pndm | Sampler::Lcm | Sampler::FlowEuler)
    }
}

/// A sampler's name with or without a spacing of sigmas behind it: `euler`, `dpm++2m-karras`.
///
/// # Errors
/// When it is none. Names of other programs (`k_euler_a`, `dpmpp_2m`, `DPM++ 2M Karras`) are not taken, but the error's
/// hint says the name here.
pub fn parse_scheduler(name: &str) -> Result<(Sampler, Option<SigmaSpacing>), UnknownName> {
    let (base, spacing) = split_spacing(name);
    base.parse().map(|sampler| (sampler, spacing)).map_err(|unknown: UnknownName| {
        let suffix = spacing.map_or_else(String::new, |s| format!("-{s}"));
        let meant =
            meant_by(name).or_else(|| near_spacing(name)).or_else(|| unknown.nearest().map(|n| format!("{n}{suffix}")));
        UnknownName { name: name.into(), meant, ..unknown }
    })
}

fn split_spacing(name: &str) -> (&str, Option<SigmaSpacing>) {
    SigmaSpacing::ALL
        .iter()
        .find_map(|spacing| {
            let at = name.len().checked_sub(spacing.name().len() + 1)?;
            let (base, suffix) = name.split_at_checked(at)?;
            suffix.strip_prefix('-')?.eq_ignore_ascii_case(spacing.name()).then_some((base, Some(*spacing)))
        })
        .unwrap_or((name, None))
}

/// The name here of what another program calls `name`.
fn meant_by(name: &str) -> Option<String> {
    let squashed = squash(name);
    let squashed = squashed.strip_prefix("sample").unwrap_or(&squashed);
    let spacing = SigmaSpacing::ALL.iter().find(|s| squashed.ends_with(s.name()));
    let base = spacing.map_or(squashed, |s| squashed.trim_end_matches(s.name()));
    let base = base.trim_end_matches("scheduler").trim_end_matches("discrete");
    let known = |base: &str| Sampler::ALL.iter().find(|s| squash(s.name()) == base);
    let sampler = known(base).or_else(|| known(base.strip_prefix('k')?))?;
    Some(spacing.map_or_else(|| sampler.to_string(), |spacing| format!("{sampler}-{spacing}")))
}

/// A sampler with a spacing that is spelt wrong.
fn near_spacing(name: &str) -> Option<String> {
    let (base, suffix) = name.rsplit_once('-')?;
    let sampler: Sampler = base.parse().ok()?;
    let spacing = suffix.parse::<SigmaSpacing>().err()?.nearest()?;
    Some(format!("{sampler}-{spacing}"))
}

/// A name without case and separators, with the words that programs spell differently made equal.
fn squash(name: &str) -> String {
    let letters: String = name.to_lowercase().chars().filter(|c| c.is_alphanumeric() || *c == '+').collect();
    let one_word = [("pp", "++"), ("ancestral", "a"), ("plms", "pndm")];
    one_word.iter().fold(letters, |name, (theirs, ours)| name.replace(theirs, ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(name: &str) -> Option<String> {
        parse_scheduler(name).unwrap_err().meant
    }

    #[test]
    fn suffixes() {
        assert_eq!(parse_scheduler("euler"), Ok((Sampler::Euler, None)));
        assert_eq!(parse_scheduler("DPM++2M-Karras"), Ok((Sampler::DpmPp2m, Some(SigmaSpacing::Karras))));
        assert_eq!(parse_scheduler("euler-a-beta"), Ok((Sampler::EulerA, Some(SigmaSpacing::Beta))));
        assert_eq!(parse_scheduler("dpm++2m-sde"), Ok((Sampler::DpmPp2mSde, None)));
        for wrong in ["", "-karras", "karras", "euler-", "é-karras", "eulerkarras"] {
            assert!(parse_scheduler(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_misspelt_suffix_is_mended() {
        assert_eq!(meant("dpm++2m-karas").as_deref(), Some("dpm++2m-karras"));
        assert_eq!(meant("euler-a-exponetial").as_deref(), Some("euler-a-exponential"));
        assert_eq!(meant("euler-zzz"), meant("euler-yyy"), "no spacing is near");
    }

    #[test]
    fn names_of_other_programs_are_understood_in_the_hint() {
        for (theirs, ours) in [
            ("k_euler_a", "euler-a"),
            ("euler_ancestral", "euler-a"),
            ("sample_euler_ancestral", "euler-a"),
            ("Euler a", "euler-a"),
            ("EulerAncestralDiscreteScheduler", "euler-a"),
            ("k_heun", "heun"),
            ("dpmpp_2m", "dpm++2m"),
            ("dpmpp_2m_sde", "dpm++2m-sde"),
            ("dpmpp_sde", "dpm++sde"),
            ("DPM++ 2M Karras", "dpm++2m-karras"),
            ("DPM++ SDE Karras", "dpm++sde-karras"),
            ("uni_pc", "unipc"),
            ("PLMS", "pndm"),
            ("LCMScheduler", "lcm"),
            ("flow_euler", "flow-euler"),
        ] {
            assert_eq!(meant(theirs).as_deref(), Some(ours), "{theirs}");
        }
    }

    #[test]
    fn typing_errors_keep_their_suffix() {
        assert_eq!(parse_scheduler("elur").unwrap_err().hint(), "did you mean `euler`?");
        assert_eq!(parse_scheduler("dpm+2m-karras").unwrap_err().hint(), "did you mean `dpm++2m-karras`?");
        assert!(parse_scheduler("xyz").unwrap_err().hint().starts_with("one of: ddim, ddpm"));
    }

    #[test]
    fn a1111_names() {
        assert_eq!(Sampler::EulerA.a1111_label(SigmaSpacing::Normal), ("Euler a", "Automatic"));
        assert_eq!(Sampler::DpmPp2m.a1111_label(SigmaSpacing::Karras), ("DPM++ 2M", "Karras"));
        assert_eq!(Sampler::DpmPp2m.a1111_label(SigmaSpacing::Normal), ("DPM++ 2M", "Uniform"));
    }
}
