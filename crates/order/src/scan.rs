//! A strict scanner of JSON (RFC 8259): it checks and steps over, and builds nothing.

mod string;

use std::cell::Cell;

use super::refusal::{Fault, Reason};
use string::Text;

/// How deeply objects and arrays may be nested; the outermost counts as 1.
pub(super) const MAX_DEPTH: usize = 32;

/// A place in a text that should be JSON.
pub(super) struct Scanner<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    /// How many bytes are behind.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The next byte, not taken; `None` at the end.
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    pub(super) fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.position += 1;
        }
    }

    /// Steps over any value; `depth` is what it has if it is an object or an array.
    pub(super) fn skip_value(&mut self, depth: usize) -> Result<(), Fault> {
        match self.peek() {
            Some(b'{') => {
                self.object(depth, &Cell::default(), |scanner, _, _| scanner.skip_value(depth + 1))
            }
            Some(b'[') => self.array(depth, |scanner| scanner.skip_value(depth + 1)),
            Some(b'"') => self.skip_string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(self.expected("a JSON value")),
        }
    }

    /// Steps over an object; `value` must step over the value it is called at, and is told the key
    /// and whether that is the `likely` one, which is read more quickly.
    pub(super) fn object(
        &mut self,
        depth: usize,
        likely: &Cell<Option<&'static str>>,
        mut value: impl FnMut(&mut Self, Text<'a>, bool) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.open(depth)?;
        if self.closes(b'}') {
            return Ok(());
        }
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'"') {
                return Err(self.expected("a key in quotes"));
            }
            let is_likely = likely.get().is_some_and(|key| self.starts_with_string(key));
            let key = match likely.get() {
                Some(key) if is_likely => self.take_string(key),
                _ => self.string()?,
            };
            self.skip_blanks();
            if !self.take(b':') {
                return Err(self.expected("a colon after the key"));
            }
            self.skip_blanks();
            value(self, key, is_likely).map_err(|fault| fault.within(&key.unescaped()))?;
            if self.closes(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.expected("a comma or a closing brace"));
            }
        }
    }

    /// Steps over an array; `value` must step over the value it is called at.
    pub(super) fn array(
        &mut self,
        depth: usize,
        mut value: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.open(depth)?;
        if self.closes(b']') {
            return Ok(());
        }
        for index in 0.. {
            self.skip_blanks();
            value(self).map_err(|fault| fault.at_index(index))?;
            if self.closes(b']') {
                break;
            }
            if !self.take(b',') {
                return Err(self.expected("a comma or a closing bracket"));
            }
        }
        Ok(())
    }

    /// Steps over a number and returns it as it stands.
    pub(super) fn number(&mut self) -> Result<&'a str, Fault> {
        let start = self.position;
        self.take(b'-');
        // No digit may follow a leading zero; it is then taken for what follows the number.
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.position])
    }

    /// The kind of the value that begins here, with its article.
    pub(super) fn describe_value(&self) -> &'static str {
        match self.peek() {
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            _ => "a number",
        }
    }

    /// The next character in printable ASCII.
    pub(super) fn describe_next(&self) -> String {
        match self.text[self.position..].chars().next() {
            None => "the end".to_owned(),
            Some('\u{feff}') => "a byte order mark".to_owned(),
            Some(character) => format!("'{}'", character.escape_default()),
        }
    }

    /// The fault that something else than `what` stands here.
    fn expected(&self, what: &str) -> Fault {
        let found = self.describe_next();
        let position = self.position;
        Fault::new(Reason::NotJson, format!("expected {what}, found {found} at byte {position}"))
    }

    /// Steps over the bracket that opens an object or an array of depth `depth`.
    fn open(&mut self, depth: usize) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::new(
                Reason::TooDeep,
                format!("nested {depth} levels deep, must be at most {MAX_DEPTH}"),
            ));
        }
        self.position += 1;
        Ok(())
    }

    /// Steps over blanks and over `bracket` if that follows.
    fn closes(&mut self, bracket: u8) -> bool {
        self.skip_blanks();
        self.take(bracket)
    }

    /// Steps over `byte` if it is the next.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.position += usize::from(is_next);
        is_next
    }

    fn digits(&mut self) -> Result<(), Fault> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.expected("a digit"));
        }
        while let Some(b'0'..=b'9') = self.peek() {
            self.position += 1;
        }
        Ok(())
    }

    fn literal(&mut self, word: &'static str) -> Result<(), Fault> {
        if self.text[self.position..].starts_with(word) {
            self.position += word.len();
            Ok(())
        } else {
            Err(self.expected("a JSON value"))
        }
    }
}

#[cfg(test)]
mod tests;
