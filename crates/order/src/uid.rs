//! The id of an order: a key in Postgres, a path segment in a URL, a name in a file.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// The most characters an order's id may have.
const MAX_CHARS: usize = 128;

/// The id of an order: 1 to 128 of the characters that stand for themselves in a URL
/// (`A-Z a-z 0-9 - . _ ~`), but neither `.` nor `..`, which clients resolve away.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderUid(Box<str>);

/// Why a text is not the id of an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUid {
    /// It has no characters at all.
    #[error("order uid is empty, {MUST_BE}")]
    Empty,
    /// It has too many characters.
    #[error("order uid has more than {MAX_CHARS} characters, {MUST_BE}")]
    TooLong,
    /// It would mean a folder in a path.
    #[error("order uid is a dot segment, {MUST_BE}")]
    DotSegment,
    /// It has a character that is not allowed.
    #[error("order uid has '{}' at character {position}, {MUST_BE}", character.escape_default())]
    Character {
        /// The first character that is not allowed.
        character: char,
        /// Where it stands, counted from 1.
        position: usize,
    },
}

const MUST_BE: &str = "must be 1 to 128 of A-Z a-z 0-9 - . _ ~, but not . or ..";

impl OrderUid {
    /// The id as it stands in the document.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for OrderUid {
    type Error = InvalidUid;

    fn try_from(text: &str) -> Result<Self, InvalidUid> {
        // The first characters are enough to tell, so that a huge text costs no more than a small one.
        for (index, character) in text.chars().take(MAX_CHARS).enumerate() {
            if !matches!(character, 'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '.' | '_' | '~') {
                return Err(InvalidUid::Character { character, position: index + 1 });
            }
        }
        match text {
            "" => Err(InvalidUid::Empty),
            "." | ".." => Err(InvalidUid::DotSegment),
            _ if text.len() > MAX_CHARS => Err(InvalidUid::TooLong),
            _ => Ok(Self(text.into())),
        }
    }
}

impl FromStr for OrderUid {
    type Err = InvalidUid;

    fn from_str(text: &str) -> Result<Self, InvalidUid> {
        Self::try_from(text)
    }
}

impl Borrow<str> for OrderUid {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrderUid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unreserved_character_is_legal_and_no_other_of_the_first_256() {
        for code in 0..=255_u8 {
            let character = char::from(code);
            let valid = character.is_ascii_alphanumeric() || "-._~".contains(character);
            let text = format!("x{character}");
            assert_eq!(OrderUid::try_from(&*text).is_ok(), valid, "{text:?}");
        }
    }

    #[test]
    fn the_length_is_1_to_128() {
        assert_eq!(OrderUid::try_from(""), Err(InvalidUid::Empty));
        assert_eq!(OrderUid::try_from("a").unwrap().as_str(), "a");
        assert!(OrderUid::try_from(&*"a".repeat(128)).is_ok());
        assert_eq!(OrderUid::try_from(&*"a".repeat(129)), Err(InvalidUid::TooLong));
    }

    #[test]
    fn dot_segments_are_refused_and_longer_dots_are_not() {
        assert_eq!(OrderUid::try_from("."), Err(InvalidUid::DotSegment));
        assert_eq!(OrderUid::try_from(".."), Err(InvalidUid::DotSegment));
        assert!(OrderUid::try_from("...").is_ok());
    }

    #[test]
    fn the_error_says_what_where_and_what_it_must_be() {
        let error = "ab/c".parse::<OrderUid>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "order uid has '/' at character 3, \
             must be 1 to 128 of A-Z a-z 0-9 - . _ ~, but not . or .."
        );
        let error = "\u{202e}".parse::<OrderUid>().unwrap_err();
        assert!(error.to_string().contains(r"'\u{202e}' at character 1"));
    }
}
