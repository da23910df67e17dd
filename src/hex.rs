//! Bytes as lower-case hexadecimal digits, and back.

use std::fmt::Write as _;

/// Two digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The SHA-256 that the 64 digits of `text` stand for.
pub(crate) fn sha256(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_the_way_there_and_back() {
        let bytes = std::array::from_fn(|place| u8::try_from(place * 8).unwrap());
        assert_eq!(sha256(&hex(&bytes)), Some(bytes));
    }

    #[test]
    fn what_is_no_digest_is_none() {
        for text in ["", "00", &"0".repeat(63), &"+0".repeat(32), &"é".repeat(32)] {
            assert_eq!(sha256(text), None, "{text}");
        }
    }
}
