//! Files of prompts, read a line at a time: whoever writes them may still be at it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::{Error, Result};

/// Bytes of a line. No text encoder reads as much, and no request is as long.
const LONGEST: u64 = 1 << 20;

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// A prompt.
    Prompt(String),
    /// A part of a request, as JSON.
    Json(String),
}

/// A line that asks for something.
#[derive(Debug)]
pub struct Line {
    /// From 1, with lines that ask for nothing.
    pub number: usize,
    /// What it asks for, or why that is not understood.
    pub content: Result<Content>,
}

/// The lines of a file or of standard input.
pub struct Lines {
    reader: Box<dyn BufRead>,
    label: String,
    number: usize,
    /// Whether every line is JSON, whatever it begins with.
    json: bool,
}

impl Lines {
    /// Opens a file; `-` is standard input.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("jsonl"));
        let label = path.display().to_string();
        if path == Path::new("-") {
            return Ok(Lines::new(Box::new(BufReader::new(io::stdin())), "standard input".into(), false));
        }
        let file = File::open(path).map_err(Error::io("read", path))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(Error::io("read", path)(io::ErrorKind::IsADirectory.into()));
        }
        Ok(Lines::new(Box::new(BufReader::new(file)), label, json))
    }

    fn new(reader: Box<dyn BufRead>, label: String, json: bool) -> Self {
        Lines { reader, label, number: 0, json }
    }

    /// What is read, for messages.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The next line that asks for something, as soon as it is there; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Io`] when reading fails.
    pub fn next(&mut self) -> Result<Option<Line>> {
        loop {
            let Some(bytes) = self.read().map_err(Error::io("read", &self.label))? else { return Ok(None) };
            self.number += 1;
            if let Some(content) = self.content(bytes).transpose() {
                return Ok(Some(Line { number: self.number, content }));
            }
        }
    }

    /// The bytes of the next line, at most one more than it may have.
    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        self.reader.by_ref().take(LONGEST + 1).read_until(b'\n', &mut bytes)?;
        if bytes.len() as u64 > LONGEST && !bytes.ends_with(b"\n") {
            self.reader.skip_until(b'\n')?;
        }
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    fn content(&self, bytes: Vec<u8>) -> Result<Option<Content>> {
        if bytes.len() as u64 > LONGEST {
            return Err(Error::usage(format!("the line is longer than {LONGEST} bytes"), "give a prompt a line"));
        }
        let text =
            String::from_utf8(bytes).map_err(|_| Error::usage("the line is no UTF-8 text", "save it as UTF-8"))?;
        let text = if self.number == 1 { text.trim_start_matches('\u{feff}') } else { &text };
        let text = text.trim();
        if text.contains(|c: char| c.is_control() && c != '\t') {
            return Err(Error::usage("the line holds control characters", "give a file of text, a prompt a line"));
        }
        Ok(match text {
            "" => None,
            comment if comment.starts_with('#') => None,
            json if self.json || is_json(json) => Some(Content::Json(json.into())),
            prompt => {
                Some(Content::Prompt(prompt.strip_prefix('\\').filter(|p| p.starts_with('#')).unwrap_or(prompt).into()))
            }
        })
    }
}

/// A brace alone begins a choice of the prompt language.
fn is_json(line: &str) -> bool {
    line.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with(['"', '}']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8], json: bool) -> Vec<(usize, Result<Content, String>)> {
        let mut lines = Lines::new(Box::new(io::Cursor::new(bytes.to_vec())), "test".into(), json);
        std::iter::from_fn(|| lines.next().unwrap())
            .map(|line| (line.number, line.content.map_err(|e| e.to_string())))
            .collect()
    }

    #[test]
    fn prompts_comments_and_requests_are_told_apart() {
        let text = "\u{feff}a cat\r\n\n# a comment\n  \t\n\\# one\n {red|green} apple \n{\"prompt\":\"x\"}\n{ }\n\\(a\\)\nlast";
        let prompt = |text: &str| Ok(Content::Prompt(text.into()));
        let json = |text: &str| Ok(Content::Json(text.into()));
        let expected = [
            (1, prompt("a cat")),
            (5, prompt("# one")),
            (6, prompt("{red|green} apple")),
            (7, json("{\"prompt\":\"x\"}")),
            (8, json("{ }")),
            (9, prompt("\\(a\\)")),
            (10, prompt("last")),
        ];
        assert_eq!(lines(text.as_bytes(), false), expected);
        assert_eq!(lines(b"# a comment\nx\n", true), [(2, json("x"))]);
        assert_eq!(lines(b"", false), []);
    }

    #[test]
    fn a_line_that_is_no_text_or_has_no_end_does_not_end_the_others() {
        let mut bytes = b"a\n\xff\xfe\n".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', 3 * LONGEST as usize));
        bytes.extend(b"\n");
        bytes.extend(std::iter::repeat_n(b'y', LONGEST as usize));
        bytes.extend(b"\nb");
        let found = lines(&bytes, false);
        let said: Vec<&str> =
            found.iter().filter_map(|(_, content)| content.as_ref().err()).map(String::as_str).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(lines(b"a\x1b[2J\n", false)[0].1.as_ref().is_err_and(|e| e.contains("control")));
        assert!(lines(b"a\tb\r\n", false)[0].1.is_ok());
        assert!(said[0].contains("UTF-8") && said[1].contains("longer") && said[2].contains("longer"));
        assert_eq!(found.last(), Some(&(5, Ok(Content::Prompt("b".into())))));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("missing")] {
            assert_eq!(Lines::open(&path).err().unwrap().exit_code(), crate::error::exit_code::MODEL);
        }
    }
}
