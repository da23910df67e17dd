//! Reads typed values out of the merged settings and gathers what is wrong.

use std::collections::{BTreeMap, BTreeSet};

use config::Value;

use super::{Secret, error::printable};

/// A setting in force, as `config show` prints it.
#[derive(Debug, Clone)]
pub(super) struct Effective {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    /// The value, with passwords masked.
    pub(super) text: String,
    pub(super) shown: Shown,
    /// Where the value came from; nothing for a default.
    pub(super) origin: Option<String>,
}

/// A value without what surrounds it by accident: blanks, line ends, a byte order mark.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}')
}

/// How a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Whole, between backticks.
    Quoted,
    /// Whole, as a number or truth value.
    Bare,
    /// As a string, without the password in it.
    Masked,
}

/// The merged settings, on their way to typed ones.
///
/// A value that is wrong is noted and replaced by some valid one, so that reading
/// goes on and one run finds every mistake; with a mistake noted, none of the
/// values is ever used.
#[derive(Debug, Default)]
pub(super) struct Reader {
    values: BTreeMap<(String, String), Value>,
    /// What was asked for: this is how the known names are known.
    asked: BTreeSet<(&'static str, &'static str)>,
    effective: Vec<Effective>,
    problems: Vec<String>,
}

impl Reader {
    pub(super) fn new(values: BTreeMap<(String, String), Value>) -> Self {
        Self { values, ..Self::default() }
    }

    pub(super) fn section(&mut self, name: &'static str) -> Section<'_> {
        Section { reader: self, name }
    }

    /// The names read so far, in order.
    pub(super) fn known(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.asked.iter().copied()
    }

    /// The values nobody asked for: name and origin.
    pub(super) fn unknown(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.values
            .iter()
            .filter(|((section, key), _)| !self.asked.contains(&(section.as_str(), key.as_str())))
            .map(|((section, key), value)| {
                let origin = value.origin().unwrap_or("the defaults");
                (section.as_str(), key.as_str(), origin)
            })
    }

    pub(super) fn finish(self) -> (Vec<Effective>, Vec<String>) {
        (self.effective, self.problems)
    }
}

/// One section of the settings. Every method reads one key.
pub(super) struct Section<'reader> {
    reader: &'reader mut Reader,
    name: &'static str,
}

impl Section<'_> {
    /// A value, or nothing if it is not set or empty.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.read(key, expected, Shown::Quoted, parse)
    }

    /// A value that must be set.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        placeholder: T,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        self.required_shown(key, expected, Shown::Quoted, parse).unwrap_or(placeholder)
    }

    /// A value that must be set; nothing if that was noted as a mistake.
    pub(super) fn required_shown<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        shown: Shown,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.must_be_set(key, expected, |section| section.read(key, expected, shown, parse))
    }

    /// What `read` reads; nothing if it noted a mistake, or if the value is not set, which is one.
    pub(super) fn must_be_set<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let mistakes = self.reader.problems.len();
        let value = read(self);
        if value.is_none() && self.reader.problems.len() == mistakes {
            self.expect_set(key, expected);
        }
        value
    }

    /// Reads a value, or nothing if it is not set or empty.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        shown: Shown,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.read_or_reason(key, expected, shown, |text| parse(text).ok_or_else(String::new))
    }

    /// The same, where `parse` may say what is wrong with the value, without repeating it.
    ///
    /// Blanks and line ends around a value are not part of it: whoever writes a value into a
    /// file, or a Secret, often ends it with a line end.
    pub(super) fn read_or_reason<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        shown: Shown,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.reader.asked.insert((self.name, key));
        let name = (self.name.to_owned(), key.to_owned());
        let value = self.reader.values.get(&name)?;
        let origin = value.origin().map(str::to_owned);
        let Ok(text) = value.clone().into_string() else {
            let found = "a list or table";
            self.refuse(key, origin.as_deref(), found, expected);
            return None;
        };
        let text = trimmed(&text).to_owned();
        if text.is_empty() {
            return None;
        }
        let parsed = match parse(&text) {
            Ok(parsed) => parsed,
            Err(reason) => {
                let mut found = match shown {
                    Shown::Quoted | Shown::Bare => format!("`{}`", printable(&text)),
                    // Where the password is in what is no URL, nobody can tell.
                    Shown::Masked => "`***`".to_owned(),
                };
                if !reason.is_empty() {
                    found = format!("{found}: {reason}");
                }
                self.refuse(key, origin.as_deref(), &found, expected);
                return None;
            }
        };
        let text = match shown {
            Shown::Quoted | Shown::Bare => text,
            Shown::Masked => Secret::new(text).masked_url(),
        };
        self.reader.effective.push(Effective { section: self.name, key, text, shown, origin });
        Some(parsed)
    }

    /// Notes that a required value is absent.
    fn expect_set(&mut self, key: &str, expected: &str) {
        let name = (self.name.to_owned(), key.to_owned());
        match self.reader.values.get(&name) {
            Some(value) => {
                let origin = value.origin().map(str::to_owned);
                self.refuse(key, origin.as_deref(), "empty", expected);
            }
            None => self.refuse(key, None, "not set", expected),
        }
    }

    fn refuse(&mut self, key: &str, origin: Option<&str>, found: &str, expected: &str) {
        let section = self.name;
        let origin = origin.map_or_else(String::new, |origin| format!(" from {origin}"));
        self.reader
            .problems
            .push(format!("setting `{section}.{key}`{origin} is {found}; it must be {expected}"));
    }
}
