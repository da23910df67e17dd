//! Why a message is no order: a closed list of reasons, and a text for people.

use std::fmt;

/// The longest pointer shown in a detail, in characters; longer ones are cut.
const POINTER_MAX_CHARS: usize = 160;

/// The longest part of a pointer that comes from one key, in characters.
const KEY_MAX_CHARS: usize = 48;

/// Why a message was not stored as an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refusal {
    /// What kind of rule was broken.
    pub reason: Reason,
    /// What, where (as a JSON pointer) and what is valid, in printable ASCII, at most 300 characters.
    pub detail: String,
}

/// The closed list of reasons for which a message is kept as a reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// There is nothing but blanks.
    Empty,
    /// It is longer than the settings allow.
    TooLarge,
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The text breaks the grammar of RFC 8259.
    NotJson,
    /// It is JSON, but not an object.
    NotAnObject,
    /// Something other than blanks follows the object.
    TrailingData,
    /// Objects and arrays are nested too deeply.
    TooDeep,
    /// A field of an order is given twice in one object.
    DuplicateKey,
    /// A field of an order is not there.
    MissingField,
    /// A field of an order is of another JSON type.
    WrongType,
    /// An integer does not fit into 64 bits.
    NumberOutOfRange,
    /// A string holds U+0000 or half a surrogate pair.
    IllegalText,
    /// The order's id is not one.
    IllegalUid,
    /// A date is not one.
    IllegalDate,
    /// The id belongs to an order that was stored before, with other bytes.
    Conflict,
    /// The database refused the content of this message.
    Database,
}

impl Reason {
    /// Every reason, in the order in which lists show them.
    pub const ALL: [Self; 16] = [
        Self::Empty,
        Self::TooLarge,
        Self::NotUtf8,
        Self::NotJson,
        Self::NotAnObject,
        Self::TrailingData,
        Self::TooDeep,
        Self::DuplicateKey,
        Self::MissingField,
        Self::WrongType,
        Self::NumberOutOfRange,
        Self::IllegalText,
        Self::IllegalUid,
        Self::IllegalDate,
        Self::Conflict,
        Self::Database,
    ];

    /// The name under which the reason is stored, counted and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::TrailingData => "trailing_data",
            Self::TooDeep => "too_deep",
            Self::DuplicateKey => "duplicate_key",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::NumberOutOfRange => "number_out_of_range",
            Self::IllegalText => "illegal_text",
            Self::IllegalUid => "illegal_uid",
            Self::IllegalDate => "illegal_date",
            Self::Conflict => "conflict",
            Self::Database => "database",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A refusal on its way up; each object and array it passes adds its part of the pointer,
/// so that a message without faults pays nothing for it.
#[derive(Debug)]
pub(super) struct Fault {
    reason: Reason,
    text: String,
    /// The parts of the JSON pointer, innermost first.
    path: Vec<String>,
}

impl Fault {
    /// `text` must be printable ASCII, of at most 130 characters.
    pub(super) fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into(), path: Vec::new() }
    }

    /// The same fault seen from the object that holds it under `key`.
    pub(super) fn within(mut self, key: &str) -> Self {
        self.path.push(pointer_part(key));
        self
    }

    /// The same fault seen from the array that holds it at `index`.
    pub(super) fn at_index(mut self, index: usize) -> Self {
        self.path.push(index.to_string());
        self
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let Fault { reason, text, path } = fault;
        if path.is_empty() {
            return Self { reason, detail: text };
        }
        let pointer = path.iter().rev().fold(String::new(), |pointer, part| pointer + "/" + part);
        Self { reason, detail: format!("at {}: {text}", cut(pointer, POINTER_MAX_CHARS)) }
    }
}

/// A key as it stands in a JSON pointer (RFC 6901), with all that is not printable ASCII escaped:
/// keys are the sender's, and details end up on terminals and pages.
fn pointer_part(key: &str) -> String {
    let mut part = String::new();
    for character in key.chars() {
        match character {
            '~' => part.push_str("~0"),
            '/' => part.push_str("~1"),
            '"' | '\'' => part.push(character),
            _ => part.extend(character.escape_default()),
        }
        if part.len() > KEY_MAX_CHARS {
            break;
        }
    }
    cut(part, KEY_MAX_CHARS)
}

/// Shortens ASCII text to `max_chars` characters and marks that it did.
fn cut(mut text: String, max_chars: usize) -> String {
    if text.len() > max_chars {
        text.truncate(max_chars.saturating_sub(3));
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_listed_once_and_named_in_snake_case() {
        let mut names: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Reason::ALL.len());
        for (place, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, place, "{reason} stands elsewhere in the enum");
            let name = reason.as_str();
            assert!(
                name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')),
                "{name}"
            );
        }
    }

    #[test]
    fn a_pointer_is_escaped_and_cut() {
        let fault =
            Fault::new(Reason::NotJson, "text").within("\u{1b}[31m\0é").at_index(7).within("a/b~c");
        assert_eq!(Refusal::from(fault).detail, r"at /a~1b~0c/7/\u{1b}[31m\u{0}\u{e9}: text");
        let mut fault = Fault::new(Reason::NotJson, "text");
        for _ in 0..32 {
            fault = fault.within(&"\u{1f600}".repeat(1000));
        }
        let detail = Refusal::from(fault).detail;
        assert_eq!(detail.len(), 3 + POINTER_MAX_CHARS + 6, "{detail}");
    }
}
