//! Kinds of maps by name ("canny"), and the numbers that ControlNets for several kinds have for them.

use crate::control::Preprocessor;
use crate::hub::registry;
use crate::{suggest, Error, Result};

/// How names of kinds begin, with their numbers in xinsir's union of ControlNets. Those from 6 on are in the later one ("promax").
const NUMBERS: [(&str, usize); 15] = [
    ("openpose", 0),
    ("dw", 0),
    ("depth", 1),
    ("softedge", 2),
    ("hed", 2),
    ("pidi", 2),
    ("scribble", 2),
    ("teed", 2),
    ("canny", 3),
    ("lineart", 3),
    ("mlsd", 3),
    ("normal", 4),
    ("seg", 5),
    ("tile", 6),
    ("inpaint", 7),
];

/// Refuses a kind that nothing here knows.
///
/// # Errors
/// [`Error::Usage`] with the name that is most like it.
pub fn check(kind: &str) -> Result<()> {
    let mut known = registry::control_kinds();
    known.extend(NUMBERS.map(|(name, _)| name));
    if known.contains(&kind) || number(kind).is_some() || Preprocessor::parse(kind).is_ok() {
        return Ok(());
    }
    let hint = match suggest::nearest(kind, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("one of: {}", names(usize::MAX)),
    };
    Err(Error::usage(format!("there is no kind of map `{kind}`"), hint))
}

/// The number of a kind for a ControlNet that knows `types` of them; `label` names that.
///
/// # Errors
/// [`Error::Usage`] when the kind is not told, or is none of its.
pub fn of_union(label: &str, types: usize, kind: Option<&str>) -> Result<usize> {
    let known = format!("it knows {}", names(types));
    let Some(kind) = kind else {
        let message =
            format!("the ControlNet `{label}` is for several kinds of maps, and wants to be told which it is shown");
        return Err(Error::usage(message, format!("add the kind to its name: `--control NET#canny=IMAGE`; {known}")));
    };
    number(kind)
        .filter(|number| *number < types)
        .ok_or_else(|| Error::usage(format!("the ControlNet `{label}` does not know maps of the kind `{kind}`"), known))
}

fn number(kind: &str) -> Option<usize> {
    NUMBERS.iter().find(|(name, _)| kind.starts_with(name)).map(|(_, number)| *number)
}

/// The names of the first kinds.
fn names(types: usize) -> String {
    let names = NUMBERS.iter().filter(|(_, number)| *number < types).map(|(name, _)| *name);
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_numbers_of_the_published_net() {
        for (kind, number) in
            [("openpose-full", 0), ("depth", 1), ("scribble-hed", 2), ("lineart-anime", 3), ("seg", 5)]
        {
            assert_eq!(of_union("x", 6, Some(kind)).unwrap(), number, "{kind}");
        }
        assert_eq!(of_union("x", 8, Some("inpaint")).unwrap(), 7);
        let error = of_union("x", 6, Some("tile")).unwrap_err();
        assert!(error.to_string().contains("`tile`") && !error.hint().unwrap().contains("inpaint"), "{error}");
        assert!(of_union("x", 6, None).unwrap_err().hint().unwrap().contains("#canny"));
    }

    #[test]
    fn unknown_kinds_are_refused_with_the_nearest() {
        for kind in ["canny", "ip2p", "lineart-coarse", "mlsd", "shuffle"] {
            check(kind).unwrap();
        }
        let error = check("cany").unwrap_err();
        assert_eq!(error.exit_code(), crate::error::exit_code::USAGE);
        assert_eq!(error.hint(), Some("did you mean `canny`?".into()));
    }
}
