//! Sizes in bytes, written with binary units.

use std::{fmt, str::FromStr};

const UNITS: [(&str, usize); 4] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// A number of bytes, written `512MiB` or `1000`.
///
/// Units are binary only: whether `MB` means 1000² or 1024² is a guess, and a
/// limit must not be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(usize);

impl ByteSize {
    /// The size of so many `bytes`.
    #[must_use]
    pub const fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// The size as a number of bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.0
    }
}

/// The text is not a size.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a size such as `4MiB`, `256KiB` or a number of bytes")]
pub struct InvalidByteSize;

impl FromStr for ByteSize {
    type Err = InvalidByteSize;

    fn from_str(text: &str) -> Result<Self, InvalidByteSize> {
        let (digits, unit) = UNITS
            .iter()
            .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))
            .unwrap_or((text, 1));
        // `parse` would also take a sign.
        if !digits.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(InvalidByteSize);
        }
        let count: usize = digits.parse().map_err(|_| InvalidByteSize)?;
        count.checked_mul(unit).map(Self).ok_or(InvalidByteSize)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        match whole {
            Some((suffix, unit)) => write!(formatter, "{}{suffix}", self.0 / unit),
            None => write!(formatter, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written_with_binary_units() {
        for (text, bytes, written) in [
            ("0", 0, "0"),
            ("1023", 1023, "1023"),
            ("1024", 1024, "1KiB"),
            ("256KiB", 262_144, "256KiB"),
            ("1024KiB", 1_048_576, "1MiB"),
            ("4MiB", 4_194_304, "4MiB"),
            ("3GiB", 3_221_225_472, "3GiB"),
            ("1TiB", 1_099_511_627_776, "1TiB"),
            ("1048577", 1_048_577, "1048577"),
        ] {
            let size: ByteSize = text.parse().expect(text);
            assert_eq!(size.bytes(), bytes, "{text}");
            assert_eq!(size.to_string(), written, "{text}");
        }
    }

    #[test]
    fn anything_else_is_not_a_size() {
        for text in [
            "",
            "MiB",
            "4MB",
            "4mib",
            "4 MiB",
            "-1",
            "+1",
            "1.5MiB",
            "0x10",
            "1_000",
            "16777216TiB",
            "18446744073709551616",
        ] {
            assert_eq!(text.parse::<ByteSize>(), Err(InvalidByteSize), "{text}");
        }
    }
}
