//! A reject as a line of JSON.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::ser::Formatter;

use crate::store::KeptReject;

#[derive(Serialize)]
struct Record<'a> {
    #[serde(flatten)]
    kept: &'a KeptReject,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// Writes one line. What a line holds of unknown senders is ASCII, so that no terminal that
/// shows it takes it for a command.
pub(super) fn write(
    out: &mut impl Write,
    kept: &KeptReject,
    payload: Option<&[u8]>,
) -> io::Result<()> {
    let record = Record { kept, payload_base64: payload.map(|bytes| STANDARD.encode(bytes)) };
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, Ascii);
    record.serialize(&mut serializer)?;
    out.write_all(b"\n")
}

/// Writes strings with every character beyond printable ASCII escaped, which loses nothing.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for character in fragment.chars() {
            if matches!(character, ' '..='~') {
                write!(writer, "{character}")?;
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::digest::Sha256Digest;

    #[test]
    fn a_line_is_ascii_and_loses_nothing() {
        let detail = "\u{9b}31m \u{202e} \u{1b} \u{7f} é 😀 \" \\ \n";
        let kept = KeptReject {
            id: 7,
            first_seen: "2026-11-23T10:00:00.000000Z".to_owned(),
            channel: "orders".to_owned(),
            sequence: 3,
            reason: "not_json".to_owned(),
            detail: detail.to_owned(),
            formatting_only: None,
            size_bytes: 2,
            sha256: Sha256Digest::of(b"hello"),
        };
        let mut line = Vec::new();
        write(&mut line, &kept, Some(b"\xff\0")).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert!(line.trim_end().bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line}");
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["detail"], detail);
        assert_eq!(read["sha256"], Sha256Digest::of(b"hello").to_string());
        assert_eq!(read["payload_base64"], "/wA=");

        let mut line = Vec::new();
        write(&mut line, &kept, None).unwrap();
        assert!(!String::from_utf8(line).unwrap().contains("payload"));
    }
}
