//! What people type or paste in place of an id.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// What mail programs, chats and spreadsheets put around an id.
const AROUND: [char; 12] = ['"', '\'', '`', '“', '”', '„', '‘', '’', '«', '»', '<', '>'];

/// The id without blanks, line ends and quotes around it; of the address of a page or of the API,
/// the id in it. What is none of these is returned as it is, for the reader to be told what is
/// wrong with it.
pub(in crate::http::site) fn uid(typed: &str) -> Cow<'_, str> {
    let is_around = |character: char| {
        character.is_whitespace() || character == '\u{feff}' || AROUND.contains(&character)
    };
    let typed = typed.trim_matches(is_around);
    match typed.rsplit_once("/orders/") {
        Some((_, behind)) => {
            let end = behind.find(['?', '#']).unwrap_or(behind.len());
            percent_decode_str(behind[..end].trim_end_matches('/')).decode_utf8_lossy()
        }
        None => typed.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::uid;

    #[test]
    fn an_id_is_found_in_what_people_paste() {
        for (typed, id) in [
            ("abc", "abc"),
            (" abc\t", "abc"),
            ("\u{feff}abc\r\n", "abc"),
            ("\u{a0}\"abc\"", "abc"),
            ("«abc»", "abc"),
            ("“abc”", "abc"),
            ("http://127.0.0.1:8080/orders/abc", "abc"),
            ("https://shop/way-bill/orders/a%62c?lang=ru#items", "abc"),
            ("/api/v1/orders/abc/", "abc"),
            ("https://shop/", "https://shop/"),
            ("a b", "a b"),
            ("", ""),
            ("\"\"", ""),
            ("http://h/orders/%FF", "\u{fffd}"),
        ] {
            assert_eq!(uid(typed), id, "{typed}");
        }
    }
}
