//! What is JSON and what is not.

use super::string::plain;
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
    for text in ["[ ]", "{ }", "[ 1 , 2 ]", "{\t\"a\"\r:\n1 }", "\"\u{7f} \u{85}é\u{10ffff}\""] {
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
    for text in [numbers, strings, arrays, objects, others].iter().flat_map(|list| list.split(' '))
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
    for text in [r#""a\u0062c""#, r#""\uD83D\uDE00\\u0041\/""#, r#""\"\n\\\\n""#, "\"é\\t€\""] {
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
    for text in
        r#""\ud800" "\udc00" "\ud800\ud800" "\ud800\u0041" "\ud800\n" "\ude00\ud83d""#.split(' ')
    {
        let fault = fault(text).expect(text);
        assert_eq!(crate::Refusal::from(fault).reason, Reason::IllegalText);
    }
}
