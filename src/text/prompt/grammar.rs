//! The grammar of prompt editing, as A1111's:
//!
//! ```text
//! start:      (prompt | "[" | "]" | "(" | ")" | ":")*
//! prompt:     (emphasized | scheduled | alternate | plain)*
//! emphasized: "(" prompt ")" | "(" prompt ":" prompt ")" | "[" prompt "]"
//! scheduled:  "[" [prompt ":"] prompt ":" NUMBER "]"
//! alternate:  "[" prompt ("|" prompt)+ "]"
//! plain:      no backslash, bracket, colon or bar; or a backslash and any character but a line's end
//! ```
//!
//! A bracket that opens nothing is text. A bar that divides nothing is not in the grammar: A1111 then edits nothing in the
//! whole prompt, and so does [`parse`].

use std::collections::HashSet;

/// Deeper brackets are text; A1111 ends at Python's recursion limit.
const MAX_DEPTH: usize = 100;

/// A part of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Text that stays, brackets of weights included.
    Text(String),
    /// `[before:after:when]`.
    Scheduled {
        /// What stands there first.
        before: Vec<Node>,
        /// What stands there later.
        after: Vec<Node>,
        /// The step or the share of the steps, as written.
        when: String,
    },
    /// `[a|b|c]`: one of them a step.
    Alternate(Vec<Vec<Node>>),
}

/// The parts of a prompt, or `None` when the grammar does not hold it and no part is to be edited.
#[must_use]
pub fn parse(prompt: &str) -> Option<Vec<Node>> {
    let mut parser = Parser { text: prompt, at: 0, depth: 0, failed: HashSet::new() };
    let mut nodes = Vec::new();
    loop {
        nodes.append(&mut parser.prompt());
        let Some(stray) = parser.peek() else { return Some(nodes) };
        if matches!(stray, '|' | '\\') {
            return None;
        }
        parser.at += stray.len_utf8();
        push_text(&mut nodes, &stray.to_string());
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Places of brackets that are known to open nothing, so that no text is read more than a few times.
    failed: HashSet<usize>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    /// Reads as far as the rule `prompt` goes.
    fn prompt(&mut self) -> Vec<Node> {
        let mut nodes = Vec::new();
        loop {
            let start = self.at;
            match self.peek() {
                Some('[' | '(') => match self.bracket() {
                    Some(mut found) => nodes.append(&mut found),
                    None => return nodes,
                },
                _ => {
                    self.at += plain_length(&self.text[start..]);
                    if self.at == start {
                        return nodes;
                    }
                    push_text(&mut nodes, &self.text[start..self.at]);
                }
            }
        }
    }

    /// A bracket with its content; where it opens nothing, the place is left as it was.
    fn bracket(&mut self) -> Option<Vec<Node>> {
        let start = self.at;
        if self.failed.contains(&start) || self.depth == MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let found = if self.eat('(') { self.round() } else { self.square() };
        self.depth -= 1;
        if found.is_none() {
            self.at = start;
            self.failed.insert(start);
        }
        found
    }

    fn round(&mut self) -> Option<Vec<Node>> {
        let mut nodes = vec![Node::Text("(".into())];
        nodes.append(&mut self.prompt());
        if self.eat(':') {
            push_text(&mut nodes, ":");
            nodes.append(&mut self.prompt());
        }
        push_text(&mut nodes, ")");
        self.eat(')').then_some(nodes)
    }

    fn square(&mut self) -> Option<Vec<Node>> {
        self.at += 1;
        let first = self.prompt();
        match self.peek()? {
            ']' => {
                self.at += 1;
                let mut nodes = vec![Node::Text("[".into())];
                nodes.extend(first);
                push_text(&mut nodes, "]");
                Some(nodes)
            }
            '|' => self.alternate(first),
            ':' => self.scheduled(first),
            _ => None,
        }
    }

    fn alternate(&mut self, first: Vec<Node>) -> Option<Vec<Node>> {
        let mut options = vec![first];
        while self.eat('|') {
            options.push(self.prompt());
        }
        self.eat(']').then(|| vec![Node::Alternate(options)])
    }

    fn scheduled(&mut self, first: Vec<Node>) -> Option<Vec<Node>> {
        self.at += 1;
        if let Some(when) = self.when() {
            return Some(vec![Node::Scheduled { before: Vec::new(), after: first, when }]);
        }
        let after = self.prompt();
        if !self.eat(':') {
            return None;
        }
        let when = self.when()?;
        Some(vec![Node::Scheduled { before: first, after, when }])
    }

    /// ` 0.5 ]`; where no number stands, the place is left as it was.
    fn when(&mut self) -> Option<String> {
        let rest = &self.text[self.at..];
        let body = rest.trim_start();
        let length = number_length(body)?;
        let tail = body[length..].trim_start().strip_prefix(']')?;
        self.at += rest.len() - tail.len();
        Some(body[..length].to_string())
    }
}

/// Appends to the last text, so that runs of text are one node.
fn push_text(nodes: &mut Vec<Node>, text: &str) {
    match nodes.last_mut() {
        Some(Node::Text(last)) => last.push_str(text),
        _ => nodes.push(Node::Text(text.to_string())),
    }
}

fn plain_length(text: &str) -> usize {
    let mut length = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        length += match c {
            '[' | ']' | '(' | ')' | ':' | '|' => break,
            '\\' => match chars.next() {
                None | Some('\n') => break,
                Some(escaped) => 1 + escaped.len_utf8(),
            },
            c => c.len_utf8(),
        };
    }
    length
}

/// Length of a number with sign, fraction and exponent at the start of the text.
fn number_length(text: &str) -> Option<usize> {
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let sign = |from: usize| usize::from(text[from..].starts_with(['+', '-']));
    let start = sign(0);
    let whole = digits(start);
    let mut end = start + whole;
    if text[end..].starts_with('.') {
        let fraction = digits(end + 1);
        if whole + fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    } else if whole == 0 {
        return None;
    }
    if text[end..].starts_with(['e', 'E']) {
        let exponent_start = end + 1 + sign(end + 1);
        let exponent = digits(exponent_start);
        if exponent > 0 {
            end = exponent_start + exponent;
        }
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, length) in
            [("5]", 1), ("0.5 ", 3), (".5", 2), ("5.", 2), ("-2", 2), ("+1e1]", 4), ("1e]", 1), ("1.5E-3", 6)]
        {
            assert_eq!(number_length(text), Some(length), "{text}");
        }
        for text in ["", ".", "-", "x", "e1", "+."] {
            assert_eq!(number_length(text), None, "{text}");
        }
    }

    #[test]
    fn a_lone_bar_ends_all_editing() {
        assert_eq!(parse("a | [b:c:5]"), None);
        assert_eq!(parse("[b:c:5] \\"), None);
        assert!(parse("a \\| [b:c:5]").is_some());
    }

    #[test]
    fn hostile_nesting_is_read_quickly() {
        for open in ["[", "(", "[a|", "[a:"] {
            let text = open.repeat(20_000);
            let _ = parse(&text);
            let _ = parse(&format!("{text}{}", "]".repeat(20_000)));
        }
    }
}
