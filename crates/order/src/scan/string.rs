//! Strings: where they end, and what their escape sequences mean.

use std::borrow::Cow;

use super::Scanner;
use crate::refusal::{Fault, Reason};

/// A string as it stands in the text, without its quotes and known to be valid.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    raw: &'a str,
    has_escapes: bool,
}

impl<'a> Text<'a> {
    /// The string with its escape sequences resolved.
    pub(crate) fn unescaped(self) -> Cow<'a, str> {
        if !self.has_escapes {
            return Cow::Borrowed(self.raw);
        }
        let mut meaning = String::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some(plain) = rest.find('\\') {
            meaning.push_str(&rest[..plain]);
            let mut scanner = Scanner::new(&rest[plain..]);
            // The scanner has accepted every escape of this string before.
            meaning.extend(scanner.escape());
            rest = &rest[plain + scanner.position..];
        }
        meaning.push_str(rest);
        Cow::Owned(meaning)
    }
}

impl<'a> Scanner<'a> {
    /// Whether the string that begins here is `expected`, written without escapes.
    pub(super) fn starts_with_string(&self, expected: &str) -> bool {
        let string = &self.text.as_bytes()[self.position + 1..];
        string.get(expected.len()) == Some(&b'"') && string.starts_with(expected.as_bytes())
    }

    /// Steps over the string that begins here and is known to be `raw`.
    pub(super) fn take_string(&mut self, raw: &'a str) -> Text<'a> {
        self.position += raw.len() + 2;
        Text { raw, has_escapes: false }
    }

    /// Reads a string and steps over it.
    pub(crate) fn string(&mut self) -> Result<Text<'a>, Fault> {
        let start = self.position + 1;
        let has_escapes = self.skip_string()?;
        Ok(Text { raw: &self.text[start..self.position - 1], has_escapes })
    }

    /// Steps over a string, and says whether there are escape sequences in it.
    pub(crate) fn skip_string(&mut self) -> Result<bool, Fault> {
        self.position += 1;
        let mut has_escapes = false;
        loop {
            self.position += plain(&self.text.as_bytes()[self.position..]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                _ => return Err(self.expected("the rest of a string (control characters escaped)")),
            }
        }
        self.position += 1;
        Ok(has_escapes)
    }

    /// Steps over an escape sequence and returns what it means.
    fn escape(&mut self) -> Result<char, Fault> {
        let start = self.position;
        self.position += 1;
        let meaning = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(start),
            _ => return Err(self.expected("an escape that JSON knows")),
        };
        self.position += 1;
        Ok(meaning)
    }

    /// The rest of an escape sequence that began at `start` and goes on with a `u`.
    fn unicode_escape(&mut self, start: usize) -> Result<char, Fault> {
        let first = self.four_hex_digits()?;
        let code = match first {
            0xd800..=0xdbff if self.text[self.position..].starts_with("\\u") => {
                self.position += 1;
                match self.four_hex_digits()? {
                    second @ 0xdc00..=0xdfff => {
                        0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                    }
                    _ => first,
                }
            }
            code => code,
        };
        match char::from_u32(code) {
            Some('\0') => Err(Fault::new(
                Reason::IllegalText,
                format!("found \\u0000 at byte {start}, U+0000 is not allowed in text"),
            )),
            Some(character) => Ok(character),
            None => Err(Fault::new(
                Reason::IllegalText,
                format!("found half a surrogate pair at byte {start}, must be a whole pair"),
            )),
        }
    }

    /// Steps over a `u` and the four hexadecimal digits that must follow it.
    fn four_hex_digits(&mut self) -> Result<u32, Fault> {
        self.position += 1;
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return Err(self.expected("four hexadecimal digits"));
            };
            code = code * 16 + digit;
            self.position += 1;
        }
        Ok(code)
    }
}

/// How many bytes a string goes on before a quote, a backslash or a control character.
pub(super) fn plain(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let plain = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | ..b' '));
    words.len() * 8 + plain.count()
}

/// The highest bit of the first of eight bytes, the lowest one first, that is a quote, a
/// backslash or a control character; bits of bytes behind it may be set too.
///
/// After "Determine if a word has a byte less than n" in Sean Anderson's Bit Twiddling Hacks.
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = ONES << 7;
    let quotes = word ^ (ONES * b'"' as u64);
    let backslashes = word ^ (ONES * b'\\' as u64);
    let quotes = quotes.wrapping_sub(ONES) & !quotes;
    let backslashes = backslashes.wrapping_sub(ONES) & !backslashes;
    let controls = word.wrapping_sub(ONES * b' ' as u64) & !word;
    (quotes | backslashes | controls) & HIGHEST
}
