//! clap's errors as [`crate::Error`], so that all errors have one shape: a sentence, and a hint.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::layers::Layered;
use crate::Error;

/// Whether an "error" is help or the version.
pub fn is_text(e: &clap::Error) -> bool {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    matches!(e.kind(), DisplayHelp | DisplayHelpOnMissingArgumentOrSubcommand | DisplayVersion)
}

/// A usage error with what clap and our parsers of values know. Options that were not typed are called by where they come from.
pub fn to_error(e: &clap::Error, layered: &Layered) -> Error {
    let origin = layered.name(&option(e));
    if let Some(inner) = e.source().and_then(|s| s.downcast_ref::<Error>()) {
        let name = origin.unwrap_or_else(|| format!("`{}`", option(e)));
        return Error::Usage { message: format!("{name}: {inner}"), hint: inner.hint() };
    }
    let hint = suggestion(e).unwrap_or_else(|| {
        command(e).map_or("see `sdgen --help` and `sdgen generate --help`".into(), |command| {
            format!("see `{command} --help`")
        })
    });
    match origin {
        Some(name) => Error::usage(format!("{name}: {}", message(e)), hint),
        None => Error::usage(message(e), hint),
    }
}

fn message(e: &clap::Error) -> String {
    match e.kind() {
        ErrorKind::UnknownArgument => format!("unknown argument `{}`", text(e, ContextKind::InvalidArg)),
        ErrorKind::InvalidSubcommand => format!("unknown command `{}`", text(e, ContextKind::InvalidSubcommand)),
        ErrorKind::InvalidValue => match text(e, ContextKind::InvalidValue) {
            value if value.is_empty() => format!("`{}` needs a value", option(e)),
            value => format!("unknown value `{value}` for `{}`", option(e)),
        },
        ErrorKind::MissingRequiredArgument => {
            let missing = several(e, ContextKind::InvalidArg);
            let verb = if missing.len() == 1 { "is" } else { "are" };
            format!("{} {verb} missing", listed(&missing))
        }
        ErrorKind::ArgumentConflict if e.get(ContextKind::PriorArg).is_some() => {
            let both: Vec<String> = [ContextKind::InvalidArg, ContextKind::PriorArg]
                .into_iter()
                .flat_map(|kind| several(e, kind))
                .filter_map(|option| Some(option.split_whitespace().next()?.into()))
                .collect();
            format!("{} do not go together", listed(&both))
        }
        ErrorKind::InvalidUtf8 => "a prompt, a name or a number is not valid UTF-8".into(),
        _ => first_line(e),
    }
}

/// The arguments that an error names.
fn several(e: &clap::Error, kind: ContextKind) -> Vec<String> {
    match e.get(kind) {
        Some(ContextValue::Strings(all)) => all.clone(),
        _ => vec![text(e, kind)],
    }
}

fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => names.concat(),
    }
}

/// What clap suggests, or what we know that users mean.
fn suggestion(e: &clap::Error) -> Option<String> {
    if e.kind() == ErrorKind::UnknownArgument && text(e, ContextKind::InvalidArg) == "--control" {
        return Some(
            "`sdgen controlnet` takes it, and with a picture to begin with `sdgen img2img` and `sdgen inpaint`".into(),
        );
    }
    let near = [ContextKind::SuggestedArg, ContextKind::SuggestedValue, ContextKind::SuggestedSubcommand];
    if let Some(near) = near.iter().map(|kind| text(e, *kind)).find(|s| !s.is_empty()) {
        return Some(format!("did you mean `{near}`?"));
    }
    match e.kind() {
        ErrorKind::UnknownArgument if !text(e, ContextKind::InvalidArg).starts_with('-') && takes_prompt(e) => {
            Some("put the prompt in quotes: `sdgen generate \"a red apple\"`".into())
        }
        ErrorKind::InvalidSubcommand => {
            Some(format!("to paint it: `sdgen generate \"{}\"`", text(e, ContextKind::InvalidSubcommand)))
        }
        ErrorKind::InvalidValue if !text(e, ContextKind::ValidValue).is_empty() => {
            Some(format!("one of: {}", text(e, ContextKind::ValidValue)))
        }
        ErrorKind::ArgumentConflict => Some("leave out one of them".into()),
        ErrorKind::InvalidUtf8 => {
            Some("check the encoding of the terminal, or of the script that holds the command".into())
        }
        ErrorKind::InvalidValue => Some(format!("give one: `{}`", text(e, ContextKind::InvalidArg))),
        _ => None,
    }
}

/// The command that was typed, "sdgen bench".
fn command(e: &clap::Error) -> Option<String> {
    let usage = text(e, ContextKind::Usage);
    let words: Vec<&str> = usage.strip_prefix("Usage: ")?.split_whitespace().take(2).collect();
    (words.len() == 2 && !words[1].starts_with(['[', '<'])).then(|| words.join(" "))
}

fn takes_prompt(e: &clap::Error) -> bool {
    text(e, ContextKind::Usage).contains("[PROMPT]")
}

/// The option an error is about, without its value's name.
fn option(e: &clap::Error) -> String {
    let arg = text(e, ContextKind::InvalidArg);
    arg.split([' ', '=', '[']).find(|s| !s.is_empty()).unwrap_or(&arg).to_string()
}

fn text(e: &clap::Error, kind: ContextKind) -> String {
    match e.get(kind) {
        Some(ContextValue::Strings(all)) if kind != ContextKind::ValidValue => all.first().cloned().unwrap_or_default(),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

/// clap's own sentence.
fn first_line(e: &clap::Error) -> String {
    let rendered = e.render().to_string();
    let line = rendered.lines().next().unwrap_or("wrong usage");
    line.strip_prefix("error: ").unwrap_or(line).to_string()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use crate::cli::parse;

    fn refused(line: &[&str]) -> (String, String) {
        let error = parse(std::iter::once(&"sdgen").chain(line)).unwrap_err();
        assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
        (error.to_string(), error.hint().unwrap())
    }

    #[test]
    fn near_names_are_suggested() {
        assert_eq!(refused(&["generate", "x", "--step", "3"]).1, "did you mean `--steps`?");
        assert_eq!(refused(&["genrate", "x"]).1, "did you mean `generate`?");
        assert!(refused(&["generate", "x", "--control", "canny=a.png"]).1.starts_with("`sdgen controlnet` takes it"));
        assert_eq!(refused(&["generate", "x", "--color", "alway"]).1, "did you mean `always`?");
    }

    #[test]
    fn a_forgotten_command_or_quote_is_recognised() {
        assert_eq!(
            refused(&["a red apple"]),
            ("unknown command `a red apple`".into(), "to paint it: `sdgen generate \"a red apple\"`".into())
        );
        assert!(refused(&["generate", "red", "apple"]).1.contains("quotes"));
        assert_eq!(refused(&["bench", "apple"]).1, "see `sdgen bench --help`");
    }

    #[test]
    fn values_are_listed_when_none_is_near() {
        let (message, hint) = refused(&["generate", "x", "--color", "zzz"]);
        assert_eq!(message, "unknown value `zzz` for `--color`");
        assert_eq!(hint, "one of: auto, always, never");
        assert_eq!(
            refused(&["generate", "x", "--output"]),
            ("`--output` needs a value".into(), "give one: `--output <TEMPLATE>`".into())
        );
        assert_eq!(refused(&["generate", "x", "--intermediates="]).0, "`--intermediates` needs a value");
    }

    #[test]
    fn all_that_is_missing_or_contradicts_is_named() {
        assert_eq!(refused(&["lora-merge", "-o", "x", "a"]).0, "`--model <MODEL>` is missing");
        let all = "`--output <PATH>`, `--model <MODEL>` and `<LORA>...` are missing";
        assert_eq!(refused(&["lora-merge"]).0, all);
        let both = refused(&["lora-merge", "a", "--lora-only", "--layout", "single", "-o", "x"]);
        assert_eq!(both, ("`--lora-only` and `--layout` do not go together".into(), "leave out one of them".into()));
    }

    #[test]
    fn every_other_error_keeps_its_sentence_and_gets_a_hint() {
        let (message, hint) = refused(&["generate", "x", "--json=3"]);
        assert!(message.contains("--json"), "{message}");
        assert!(hint.contains("--help"));
    }

    #[cfg(unix)]
    #[test]
    fn a_prompt_that_is_no_text_is_refused_and_a_path_is_not() {
        use std::os::unix::ffi::OsStringExt;
        let strange = OsString::from_vec(b"\xff.png".to_vec());
        let line =
            |option: &str| [OsString::from("sdgen"), "generate".into(), "x".into(), option.into(), strange.clone()];
        assert_eq!(parse(line("--prompt")).unwrap_err().exit_code(), crate::error::exit_code::USAGE);
        parse(line("--wildcards")).unwrap();
    }
}
