//! What stands between braces in an output template.

use super::naming::{safe_value, slug};
use super::template::{Number, Stamp};
use crate::request::Request;
use crate::{suggest, Error, Result};

/// The most digits a number is padded to.
const MOST_DIGITS: usize = 20;

/// A piece of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// As typed.
    Text(String),
    /// A placeholder, and the digits a number is padded to.
    Field(Field, usize),
}

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Seed,
    Index,
    Line,
    Model,
    Date,
    Time,
    Prompt,
    Steps,
    Guidance,
    Scheduler,
    Width,
    Height,
}

const FIELDS: &[(&str, Field)] = &[
    ("seed", Field::Seed),
    ("index", Field::Index),
    ("line", Field::Line),
    ("model", Field::Model),
    ("date", Field::Date),
    ("time", Field::Time),
    ("prompt", Field::Prompt),
    ("steps", Field::Steps),
    ("guidance", Field::Guidance),
    ("scheduler", Field::Scheduler),
    ("width", Field::Width),
    ("height", Field::Height),
];

impl Part {
    /// The text of a piece that was typed.
    pub(super) fn text(&self) -> &str {
        match self {
            Part::Text(text) => text,
            Part::Field(..) => "",
        }
    }

    /// The piece of one picture's name, without anything that separates folders.
    pub(super) fn render(&self, request: &Request, model: &str, which: Number, stamp: &Stamp) -> String {
        let (field, width) = match self {
            Part::Text(text) => return text.clone(),
            Part::Field(field, width) => (field, *width),
        };
        let number = |value: Option<String>| format!("{:0>width$}", value.unwrap_or_else(|| "auto".into()));
        match field {
            Field::Seed => number(request.sampling.seed.map(|n| n.to_string())),
            Field::Index => number(Some(which.index.to_string())),
            Field::Line => number(which.line.map(|n| n.to_string())),
            Field::Steps => number(request.sampling.steps.map(|n| n.to_string())),
            Field::Guidance => number(request.sampling.guidance.map(|x| x.to_string())),
            Field::Width => number(request.image.width.map(|n| n.to_string())),
            Field::Height => number(request.image.height.map(|n| n.to_string())),
            Field::Model => safe_value(model),
            Field::Prompt => slug(&request.prompt.text),
            Field::Scheduler => request.sampling.scheduler.map_or("auto", |s| s.name()).into(),
            Field::Date => stamp.date.clone(),
            Field::Time => stamp.time.clone(),
        }
    }
}

/// What stands between two braces: a name, and for numbers a width.
///
/// # Errors
/// An unknown name, or a width that is none.
pub(super) fn placeholder(inside: &str) -> Result<Part> {
    let (name, width) = inside.split_once(':').map_or((inside, None), |(name, width)| (name, Some(width)));
    let field = FIELDS.iter().find(|(known, _)| *known == name).map(|(_, field)| *field);
    let field = field.ok_or_else(|| unknown_placeholder(name))?;
    let Some(width) = width else {
        return Ok(Part::Field(field, 0));
    };
    if matches!(field, Field::Model | Field::Date | Field::Time | Field::Prompt | Field::Scheduler) {
        return Err(Error::usage(format!("`{{{name}}}` is no number and takes no width"), format!("use `{{{name}}}`")));
    }
    match width.parse() {
        Ok(digits @ 1..=MOST_DIGITS) => Ok(Part::Field(field, digits)),
        _ => {
            let message = format!("`{width}` is no width for `{{{name}}}`");
            Err(Error::usage(message, format!("give digits, 1 to {MOST_DIGITS}, such as `{{{name}:04}}`")))
        }
    }
}

fn unknown_placeholder(name: &str) -> Error {
    let hint = match suggest::nearest(name, FIELDS.iter().map(|(known, _)| known)) {
        Some(known) => format!("did you mean `{{{known}}}`?"),
        None => {
            let known: Vec<String> = FIELDS.iter().map(|(known, _)| format!("{{{known}}}")).collect();
            format!("one of: {}; `{{{{` stands for a brace", known.join(" "))
        }
    };
    Error::usage(format!("unknown placeholder `{{{name}}}` in the output name"), hint)
}
