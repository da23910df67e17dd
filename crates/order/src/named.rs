//! Which orders a message names that may be no order.

use memchr::memmem;

use crate::OrderUid;

/// The member whose value is the id of an order.
const KEY: &str = "order_uid";

/// The most characters that are read of a string.
const MOST: usize = 128;

/// The ids that a message gives as `order_uid`, in the order of its bytes: at any depth, however
/// JSON writes the characters, and also where the rest of the message is no JSON.
///
/// The cost is linear in the length of the message.
pub fn uids_named(message: &[u8]) -> impl Iterator<Item = OrderUid> {
    let quotes = may_name_one(message).then(|| memchr::memchr_iter(b'"', message));
    quotes.into_iter().flatten().filter_map(|quote| {
        let (key, rest) = string(&message[quote + 1..])?;
        let value = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let (uid, _) = (key == KEY).then(|| string(value.strip_prefix(b"\"")?))??;
        OrderUid::try_from(&*uid).ok()
    })
}

/// Whether the key may be in there, as it is or with escapes.
fn may_name_one(message: &[u8]) -> bool {
    memmem::find(message, KEY.as_bytes()).is_some() || memmem::find(message, br"\u").is_some()
}

/// The characters of an id that a JSON string begins with after its opening quote, and what
/// follows the closing one; none if other characters are in it, or too many.
fn string(mut rest: &[u8]) -> Option<(String, &[u8])> {
    let mut text = String::new();
    loop {
        let (character, length) = match *rest {
            [b'"', ..] => return Some((text, &rest[1..])),
            [b'\\', b'u', a, b, c, d, ..] => (hexadecimal([a, b, c, d])?, 6),
            [byte, ..] => (byte, 1),
            [] => return None,
        };
        let is_of_an_id = matches!(character, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~');
        if !is_of_an_id || text.len() == MOST {
            return None;
        }
        text.push(char::from(character));
        rest = &rest[length..];
    }
}

/// The character of four hexadecimal digits, if one byte is enough for it.
fn hexadecimal(digits: [u8; 4]) -> Option<u8> {
    let digits = std::str::from_utf8(&digits).ok()?;
    // `from_str_radix` takes a sign too.
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
    u32::from_str_radix(digits, 16).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(message: impl AsRef<[u8]>) -> Vec<String> {
        uids_named(message.as_ref()).map(|uid| uid.as_str().to_owned()).collect()
    }

    #[test]
    fn an_id_is_found_however_it_is_written() {
        for message in [
            r#"{"order_uid":"a-b"}"#,
            "{ \"order_uid\"\r\n\t: \"a-b\" , ",
            r#"{"order\u005fuid":"\u0061-b"}"#,
            r#"{"order_\u0075ID":1,"x":[{"order_uid":"a-b"}]}"#,
            r#"no JSON " at all "order_uid": "a-b" and more"#,
            "\u{feff}{\"order_uid\":\"a-b\"",
        ] {
            assert_eq!(named(message), ["a-b"], "{message}");
        }
        assert_eq!(named(b"\xff\"order_uid\":\"a\"\0\"order_uid\":\"b\""), ["a", "b"]);
        let longest = "x".repeat(MOST);
        assert_eq!(named(format!("\"order_uid\":\"{longest}\"")), [longest]);
    }

    #[test]
    fn what_names_no_id_is_passed_over() {
        for message in [
            "",
            "\"",
            "\"order_uid\"",
            "\"order_uid\":",
            "\"order_uid\":\"",
            r#"{"order_uid":"cut of"#,
            r#"{"order_uid":7,"uid":"a"}"#,
            r#"{"order_uid":"a b"}"#,
            r#"{"order_uid":"\u00+1"}"#,
            r#"{"order_uid":"\u0161"}"#,
            r#"{"order_uid":"."}"#,
            r#"{"order_uid":""}"#,
            r#"{"payment":{"transaction":"a"}}"#,
        ] {
            assert_eq!(named(message), Vec::<String>::new(), "{message}");
        }
        assert_eq!(named(format!("\"order_uid\":\"{}\"", "x".repeat(MOST + 1))), [""; 0]);
    }
}
