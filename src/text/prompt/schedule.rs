//! Prompt editing: which text stands at which step.
//!
//! `[a:b:0.5]` is `a` for half of the steps, then `b`; `[b:5]` and `[a::5]` let one come or go; `[a|b]` changes every step. A
//! number with a dot is a share of the steps, without one a step. Reference:
//! `get_learned_conditioning_prompt_schedules` of A1111 with its newer timelines.

use super::grammar::{parse, Node};

/// A text and the last step (counted from 1, inclusive) it is used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The last step of this text.
    pub last_step: usize,
    /// The prompt with editing resolved; brackets of weights are still in it.
    pub text: String,
}

/// The texts of a prompt over `steps` steps, in order; the last one reaches to `steps`.
#[must_use]
pub fn schedule(prompt: &str, steps: usize) -> Vec<Span> {
    let Some(nodes) = parse(prompt) else {
        return vec![Span { last_step: steps, text: prompt.to_string() }];
    };
    let mut ends = vec![steps];
    collect_ends(&nodes, steps, &mut ends);
    ends.sort_unstable();
    ends.dedup();
    let span = |last_step| {
        let mut text = String::new();
        write_at(&nodes, last_step, steps, &mut text);
        Span { last_step, text }
    };
    ends.into_iter().map(span).collect()
}

/// Whether the prompt has a bar that keeps its `[a:b:0.5]` from being edited; worth telling the user.
#[must_use]
pub fn is_unedited(prompt: &str) -> bool {
    parse(prompt).is_none() && prompt.contains('[')
}

fn collect_ends(nodes: &[Node], steps: usize, ends: &mut Vec<usize>) {
    for node in nodes {
        match node {
            Node::Text(_) => {}
            Node::Scheduled { before, after, when } => {
                let step = step_of(when, steps);
                if step >= 1 {
                    ends.push(step);
                }
                collect_ends(before, steps, ends);
                collect_ends(after, steps, ends);
            }
            Node::Alternate(options) => {
                ends.extend(1..=steps);
                options.iter().for_each(|option| collect_ends(option, steps, ends));
            }
        }
    }
}

/// The last step of `before`; 0 when `after` stands there from the start.
fn step_of(when: &str, steps: usize) -> usize {
    let number: f64 = when.parse().unwrap_or(0.0);
    let step = if when.contains('.') { number * steps as f64 } else { number };
    // A negative number saturates to 0.
    (step as usize).min(steps)
}

fn write_at(nodes: &[Node], step: usize, steps: usize, text: &mut String) {
    for node in nodes {
        match node {
            Node::Text(piece) => text.push_str(piece),
            Node::Scheduled { before, after, when } => {
                let chosen = if step <= step_of(when, steps) { before } else { after };
                write_at(chosen, step, steps, text);
            }
            Node::Alternate(options) => {
                // Steps count from 1, and there are two options at least.
                write_at(&options[step.saturating_sub(1) % options.len()], step, steps, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_table_of_a1111() {
        let table = include_str!("../../../tests/fixtures/prompts/schedules.json");
        let table: serde_json::Value = serde_json::from_str(table).unwrap();
        let cases = table["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 62);
        for case in cases {
            for (steps, expected) in case["steps"].as_object().unwrap() {
                let expected: Vec<(usize, String)> = serde_json::from_value(expected.clone()).unwrap();
                let found = schedule(case["prompt"].as_str().unwrap(), steps.parse().unwrap());
                let found: Vec<_> = found.into_iter().map(|s| (s.last_step, s.text)).collect();
                assert_eq!(found, expected, "{} in {steps} steps", case["prompt"]);
            }
        }
    }

    #[test]
    fn a_bar_outside_of_brackets_is_noticed() {
        assert!(is_unedited("red | blue [a:b:0.5]"));
        assert!(!is_unedited("red [a|b]"));
        assert!(!is_unedited("red | blue"));
    }

    #[test]
    fn no_steps_at_all() {
        assert_eq!(schedule("[a:b:0.5]", 0), [Span { last_step: 0, text: "a".into() }]);
        assert_eq!(schedule("[a|b]", 0), [Span { last_step: 0, text: "a".into() }]);
    }
}
