//! Text and bytes of unknown senders, made fit for a terminal and a page.

use std::fmt::{self, Display, Formatter, Write as _};

/// Bytes in a line of a dump.
const DUMP_LINE: usize = 16;

/// A text with every character that is not seen as itself written as its code: controls and
/// escape sequences, marks that turn the direction of writing, characters of no width.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a> {
    text: &'a str,
    keeps_lines: bool,
}

impl<'a> Escaped<'a> {
    /// A text for one line: ends of lines are escaped too.
    #[must_use]
    pub fn line(text: &'a str) -> Self {
        Self { text, keeps_lines: false }
    }

    /// For a text of many lines, whose ends stay.
    #[must_use]
    pub fn lines(text: &'a str) -> Self {
        Self { text, keeps_lines: true }
    }
}

impl Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for character in self.text.chars() {
            let is_line_end = self.keeps_lines && character == '\n';
            // These are escaped in literals of Rust alone.
            let is_plain = matches!(character, '"' | '\'' | '\\') || is_line_end;
            if is_plain || character.escape_debug().eq([character]) {
                formatter.write_char(character)?;
            } else {
                write!(formatter, "{}", character.escape_default())?;
            }
        }
        Ok(())
    }
}

/// One line of at most `max_chars` characters, harmless.
#[must_use]
pub fn shortened(text: &str, max_chars: usize) -> String {
    let mut shown = Escaped::line(text).to_string();
    if let Some((end, _)) = shown.char_indices().nth(max_chars) {
        let cut = shown[..end].char_indices().nth_back(2).map_or(0, |(at, _)| at);
        shown.truncate(cut);
        shown.push_str("...");
    }
    shown
}

/// What is left of `bytes` as text, if they are text; when `is_cut`, they may end within a
/// character.
#[must_use]
pub fn text(bytes: &[u8], is_cut: bool) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if is_cut && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

/// Bytes as people read them: place, hexadecimal digits, printable ASCII.
#[derive(Debug, Clone, Copy)]
pub struct HexDump<'a>(pub &'a [u8]);

impl Display for HexDump<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for (number, line) in self.0.chunks(DUMP_LINE).enumerate() {
            write!(formatter, "{:08x} ", number * DUMP_LINE)?;
            for place in 0..DUMP_LINE {
                let gap = if place == DUMP_LINE / 2 { "  " } else { " " };
                match line.get(place) {
                    Some(byte) => write!(formatter, "{gap}{byte:02x}")?,
                    None => write!(formatter, "{gap}  ")?,
                }
            }
            formatter.write_str("  |")?;
            for byte in line {
                let is_shown = matches!(byte, b' '..=b'~');
                formatter.write_char(if is_shown { char::from(*byte) } else { '.' })?;
            }
            formatter.write_str("|\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_as_itself_is_written_as_its_code() {
        for (text, shown) in [
            ("plain \"it's\" C:\\ – é ß 日本 😀", "plain \"it's\" C:\\ – é ß 日本 😀"),
            ("\u{1b}[31mred\u{1b}]0;title\u{7}", r"\u{1b}[31mred\u{1b}]0;title\u{7}"),
            ("\u{9b}2J\u{7f}\0\u{8}", r"\u{9b}2J\u{7f}\u{0}\u{8}"),
            ("a\r\tb", r"a\r\tb"),
            ("\u{202e}gnp\u{2066}\u{200f}\u{61c}", r"\u{202e}gnp\u{2066}\u{200f}\u{61c}"),
            ("\u{200b}\u{feff}\u{2028}\u{e0041}", r"\u{200b}\u{feff}\u{2028}\u{e0041}"),
        ] {
            assert_eq!(Escaped::line(text).to_string(), shown);
        }
        assert_eq!(Escaped::line("a\nb").to_string(), r"a\nb");
        assert_eq!(Escaped::lines("a\nb\r").to_string(), "a\nb\\r");
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        assert_eq!(shortened("ééééé", 5), "ééééé");
        assert_eq!(shortened("éééééé", 5), "éé...");
        assert_eq!(shortened("\u{1b}\u{1b}", 5), r"\u...");
    }

    #[test]
    fn text_may_be_cut_within_a_character() {
        let euro = "1 €".as_bytes();
        assert_eq!(text(euro, false), Some("1 €"));
        assert_eq!(text(&euro[..4], true), Some("1 "));
        assert_eq!(text(&euro[..4], false), None);
        assert_eq!(text(b"1 \xff 2", true), None);
    }

    #[test]
    fn a_dump_has_place_digits_and_letters() {
        let dump = HexDump(b"\x1f\x8b{\"order_uid\":~\x7f\n").to_string();
        assert_eq!(
            dump,
            "00000000  1f 8b 7b 22 6f 72 64 65  72 5f 75 69 64 22 3a 7e  |..{\"order_uid\":~|\n\
             00000010  7f 0a                                             |..|\n"
        );
        assert_eq!(HexDump(b"").to_string(), "");
    }
}
