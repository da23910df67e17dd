//! A strict scanner of JSON (RFC 8259): it checks and steps over, and builds nothing.

use std::borrow::Cow;

use super::refusal::{Fault, Reason};

/// How deeply objects and arrays may be nested; the outermost counts as 1.
pub(super) const MAX_DEPTH: usize = 32;

/// A place in a text that should be JSON.
pub(super) struct Scanner<'a> {
    text: &'a str,
    position: usize,
}

/// A string as it stands in the text, without its quotes and known to be valid.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    raw: &'a str,
    has_escapes: bool,
}

/// How many bytes a string goes on before a quote, a backslash or a control character.
fn plain(bytes: &[u8]) -> usize {
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

impl<'a> Text<'a> {
    /// The string with its escape sequences resolved.
    pub(super) fn unescaped(self) -> Cow<'a, str> {
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
            Some(b'{') => self.object(depth, |scanner, _| scanner.skip_value(depth + 1)),
            Some(b'[') => self.array(depth, |scanner| scanner.skip_value(depth + 1)),
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(self.expected("a JSON value")),
        }
    }

    /// Steps over an object; `value` must step over the value it is called at.
    pub(super) fn object(
        &mut self,
        depth: usize,
        mut value: impl FnMut(&mut Self, Text<'a>) -> Result<(), Fault>,
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
            let key = self.string()?;
            self.skip_blanks();
            if !self.take(b':') {
                return Err(self.expected("a colon after the key"));
            }
            self.skip_blanks();
            value(self, key).map_err(|fault| fault.within(&key.unescaped()))?;
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

    /// Reads a string and steps over it.
    pub(super) fn string(&mut self) -> Result<Text<'a>, Fault> {
        self.position += 1;
        let start = self.position;
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
        let raw = &self.text[start..self.position];
        self.position += 1;
        Ok(Text { raw, has_escapes })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with `text` as one JSON value, if anything.
    fn fault(text: &str) -> Option<Fault> {
        let mut scanner = Scanner::new(text);
        match scanner.skip_value(1) {
            Ok(()) if scanner.peek().is_some() => Some(scanner.expected("the end")),
            outcome => outcome.err(),
        }
    }

    #[test]
    fn what_the_grammar_allows_is_accepted() {
        let numbers = "0 -0 10 1.0 1e5 1E+5 1e-05 -1.5e400 123456789012345678901234567890";
        let others = r#"true false null "" "\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00" [] {} [1,2] {"":{}} {"a":1,"a":2}"#;
        for text in numbers.split(' ').chain(others.split(' ')) {
            assert!(fault(text).is_none(), "{text}: {:?}", fault(text));
        }
        for text in ["[ ]", "{ }", "[ 1 , 2 ]", "{\t\"a\"\r:\n1 }", "\"\u{7f} \u{85}é\u{10ffff}\""]
        {
            assert!(fault(text).is_none(), "{text}: {:?}", fault(text));
        }
    }

    #[test]
    fn what_the_grammar_forbids_is_refused() {
        let numbers = "- +1 01 -01 .5 1. 1.e5 1e 1e+ 0x10 1_000 NaN Infinity -Infinity";
        let strings = r#"' 'a' " "\" "\x41" "\u12" "\u12g4" "\u+123" "\U0041" "\"#;
        let arrays = "[ [1 [1, [1,] [,1] [1}2] ] [1} [}";
        let objects =
            r#"{ {"a" {"a": {"a":1 {"a":1, {"a":1,} {"a"1} {a:1} {1:1} {"a":} {,} {"a":1] {]"#;
        let others = "nul nulll True TRUE /**/1 1// \u{a0}1 \u{c}1 \0 \u{feff}1 é";
        for text in
            [numbers, strings, arrays, objects, others].iter().flat_map(|list| list.split(' '))
        {
            assert!(fault(text).is_some(), "{text:?}");
        }
        for text in ["", "1 2", "[1 2]", "\"\n\"", "\"\u{1f}\"", "\"\0\""] {
            assert!(fault(text).is_some(), "{text:?}");
        }
    }

    #[test]
    fn a_string_ends_where_it_ends_byte_by_byte() {
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..b' ');
        let agrees = |bytes: &[u8]| {
            let expected = bytes.iter().position(&special).unwrap_or(bytes.len());
            assert_eq!(plain(bytes), expected, "{bytes:?}");
        };
        for byte in 0..=u8::MAX {
            for at in 0..20 {
                let mut bytes = [0xff; 20];
                bytes[at] = byte;
                agrees(&bytes);
                bytes[at..].fill(byte);
                agrees(&bytes);
            }
        }
        proptest::proptest!(|(bytes: Vec<u8>)| agrees(&bytes));
    }

    #[test]
    fn what_is_accepted_is_what_serde_json_accepts() {
        proptest::proptest!(|(text in r#"[\[\]{}",:0-2eE.+\-\\u/ntrueDdC8 é]{0,12}"#)| {
            let accepted = fault(text.trim_ascii()).is_none();
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            // `IgnoredAny` lets half a surrogate pair and U+0000 pass.
            proptest::prop_assert!(!accepted || theirs, "{} is accepted", text);
            if !accepted && theirs {
                proptest::prop_assert!(text.contains("\\u"), "{} is refused", text);
            }
        });
    }

    #[test]
    fn an_escaped_string_means_what_serde_json_says() {
        for text in [r#""a\u0062c""#, r#""\uD83D\uDE00\\u0041\/""#, r#""\"\n\\\\n""#, "\"é\\t€\""]
        {
            let mut scanner = Scanner::new(text);
            let Ok(string) = scanner.string() else {
                panic!("{text} is refused");
            };
            let theirs: String = serde_json::from_str(text).unwrap();
            assert_eq!(string.unescaped(), theirs);
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_refused_wherever_it_stands() {
        for text in r#""\ud800" "\udc00" "\ud800\ud800" "\ud800\u0041" "\ud800\n" "\ude00\ud83d""#
            .split(' ')
        {
            let fault = fault(text).expect(text);
            assert_eq!(crate::Refusal::from(fault).reason, Reason::IllegalText);
        }
    }
}
