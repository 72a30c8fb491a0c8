//! Which part of a file's lines a process works on.

use std::fmt;

use crate::{Error, Result};

/// The number of shards, where a scheduler tells a job its own number only.
const SHARDS: &str = "SDGEN_SHARDS";

const FORM: &str = "give I/N, as in `2/4` for the second of four, or `auto`";

/// What `--shard` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardArg {
    /// What the scheduler's variables say.
    Auto,
    /// As typed.
    Given(Shard),
}

/// One of several equal parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    index: usize,
    of: usize,
}

impl Shard {
    fn new(index: usize, of: usize) -> Option<Self> {
        (1..=of).contains(&index).then_some(Shard { index, of })
    }

    /// Whether the shard has the element `order` (from 0): they go round.
    #[must_use]
    pub fn takes(self, order: usize) -> bool {
        order % self.of == self.index - 1
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// Reads `I/N` or `auto`.
///
/// # Errors
/// [`Error::Usage`] for anything else.
pub fn parse(text: &str) -> Result<ShardArg> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(ShardArg::Auto);
    }
    let numbers = text.split_once('/').and_then(|(i, n)| Some((i.trim().parse().ok()?, n.trim().parse().ok()?)));
    let (index, of) = numbers.ok_or_else(|| Error::usage(format!("`{text}` is no shard"), FORM))?;
    let shard = Shard::new(index, of);
    shard.map(ShardArg::Given).ok_or_else(|| Error::usage(format!("there is no shard {index} of {of}"), FORM))
}

impl ShardArg {
    /// The shard, by the variables of a process's environment where they are to tell it.
    ///
    /// # Errors
    /// [`Error::Usage`] when they do not, or when those of several schedulers are set.
    pub fn of(self, environment: impl Fn(&str) -> Option<String>) -> Result<Shard> {
        match self {
            ShardArg::Given(shard) => Ok(shard),
            ShardArg::Auto => Variables(&environment).shard(),
        }
    }
}

struct Variables<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Variables<'_> {
    fn shard(&self) -> Result<Shard> {
        let known = ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "PARALLEL_SEQ"];
        let set: Vec<&str> = known.into_iter().filter(|name| (self.0)(name).is_some()).collect();
        match set.as_slice() {
            ["SLURM_ARRAY_TASK_ID"] => self.slurm(),
            ["JOB_COMPLETION_INDEX"] => self.numbered("JOB_COMPLETION_INDEX", 0),
            ["PARALLEL_SEQ"] => self.numbered("PARALLEL_SEQ", 1),
            [] => {
                let message = format!("`--shard auto` finds none of {} in the environment", known.join(", "));
                Err(Error::usage(message, FORM))
            }
            several => {
                let message = format!("`--shard auto` finds several schedulers: {}", several.join(", "));
                Err(Error::usage(message, "say which part is meant: `--shard I/N`"))
            }
        }
    }

    /// An array is the shards when its numbers are evenly spaced: `--array=0-15`, `1-16`, `0-30:2`.
    fn slurm(&self) -> Result<Shard> {
        let number = |what: &str| self.number(&format!("SLURM_ARRAY_TASK_{what}"));
        let (id, min, max, count) = (number("ID")?, number("MIN")?, number("MAX")?, number("COUNT")?);
        let step = number("STEP")?;
        // Of a list such as 1,3,7 Slurm says the step 1.
        let last = step.checked_mul(count.saturating_sub(1)).and_then(|gaps| gaps.checked_add(min));
        let place = id.checked_sub(min).and_then(|gap| gap.checked_div(step)).filter(|place| min + place * step == id);
        let shard = place.filter(|_| last == Some(max)).and_then(|place| Shard::new(place + 1, count));
        let shard = shard.ok_or_else(|| {
            let message =
                format!("task {id} of this Slurm array of {count} has no certain place: the numbers are uneven");
            Error::usage(message, "give the array numbers without gaps, as in `--array=0-15`, or say `--shard I/N`")
        })?;
        match (self.0)(SHARDS) {
            Some(_) if self.number(SHARDS)? != count => {
                let message = format!("{SHARDS} is another number than the {count} tasks of the Slurm array");
                Err(Error::usage(message, format!("unset {SHARDS}, or say `--shard I/N`")))
            }
            _ => Ok(shard),
        }
    }

    /// A job that knows its number, counted from `first`, and not how many there are.
    fn numbered(&self, variable: &str, first: usize) -> Result<Shard> {
        let number = self.number(variable)?;
        if (self.0)(SHARDS).is_none() {
            let message = format!("{variable} says which shard this is, and nothing of how many");
            return Err(Error::usage(message, format!("set {SHARDS} to their number, or say `--shard I/N`")));
        }
        let of = self.number(SHARDS)?;
        let shard = (number + 1).checked_sub(first).and_then(|index| Shard::new(index, of));
        shard.ok_or_else(|| {
            let message = format!("{variable} is {number}, which is none of {of} shards counted from {first}");
            Error::usage(message, format!("set {SHARDS} to the number of all jobs"))
        })
    }

    fn number(&self, variable: &str) -> Result<usize> {
        let text = (self.0)(variable).unwrap_or_default();
        let number = text.trim().parse().ok().filter(|number| *number < usize::MAX);
        number.ok_or_else(|| Error::usage(format!("{variable} is `{text}`, and no number"), "say `--shard I/N`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(variables: &[(&str, &str)]) -> Result<String, String> {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        ShardArg::Auto.of(find).map(|shard| shard.to_string()).map_err(|e| {
            assert!(e.hint().is_some());
            e.to_string()
        })
    }

    fn slurm(id: &str, min: &str, max: &str, step: &str, count: &str) -> Result<String, String> {
        auto(&[
            ("SLURM_ARRAY_TASK_ID", id),
            ("SLURM_ARRAY_TASK_MIN", min),
            ("SLURM_ARRAY_TASK_MAX", max),
            ("SLURM_ARRAY_TASK_STEP", step),
            ("SLURM_ARRAY_TASK_COUNT", count),
        ])
    }

    #[test]
    fn shards_share_all_and_nothing_twice() {
        for of in 1..5 {
            for order in 0..20 {
                let takers = (1..=of).filter(|index| Shard::new(*index, of).unwrap().takes(order)).count();
                assert_eq!(takers, 1);
            }
        }
        assert_eq!(parse(" 2/4").unwrap(), ShardArg::Given(Shard { index: 2, of: 4 }));
        assert_eq!(parse("AUTO").unwrap(), ShardArg::Auto);
        for text in ["0/4", "5/4", "1/0", "2", "a/b", "", "-1/4"] {
            assert!(parse(text).unwrap_err().hint().unwrap().contains("I/N"), "{text}");
        }
    }

    #[test]
    fn a_slurm_array_knows_both_numbers() {
        for (id, min, max, step, count, shard) in [
            ("0", "0", "15", "1", "16", "1/16"),
            ("15", "0", "15", "1", "16", "16/16"),
            ("1", "1", "4", "1", "4", "1/4"),
            ("7", "1", "7", "2", "4", "4/4"),
            ("9", "9", "9", "1", "1", "1/1"),
        ] {
            assert_eq!(slurm(id, min, max, step, count).unwrap(), shard);
        }
        for (id, min, max, step, count) in [
            ("3", "1", "7", "1", "3"),
            ("1", "1", "7", "1", "3"),
            ("2", "1", "7", "2", "4"),
            ("0", "1", "4", "1", "4"),
            ("1", "1", "4", "0", "4"),
            ("x", "1", "4", "1", "4"),
        ] {
            assert!(slurm(id, min, max, step, count).is_err(), "{id} {min} {max} {step} {count}");
        }
    }

    #[test]
    fn others_know_their_own_number_only() {
        assert_eq!(auto(&[("JOB_COMPLETION_INDEX", "0"), (SHARDS, "3")]).unwrap(), "1/3");
        assert_eq!(auto(&[("PARALLEL_SEQ", "3"), (SHARDS, "3")]).unwrap(), "3/3");
        for (variables, word) in [
            (&[("JOB_COMPLETION_INDEX", "0")][..], "how many"),
            (&[("JOB_COMPLETION_INDEX", "3"), (SHARDS, "3")], "none of 3"),
            (&[("PARALLEL_SEQ", "0"), (SHARDS, "3")], "none of 3"),
            (&[("PARALLEL_SEQ", "1"), (SHARDS, "many")], "`many`"),
            (&[("PARALLEL_SEQ", "1"), ("JOB_COMPLETION_INDEX", "1"), (SHARDS, "3")], "several"),
            (&[], "PARALLEL_SEQ"),
        ] {
            let said = auto(variables).unwrap_err();
            assert!(said.contains(word), "{said}");
        }
    }
}
