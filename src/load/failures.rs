//! The kinds of failures: what many results have in common.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;

use http::StatusCode;

use super::expectation;
use super::vegeta::Outcome;

/// More kinds than this are counted as one.
const MOST: u16 = 64;

/// Characters of a kind's name.
const LONGEST: usize = 160;

const OTHER: &str = "another failure";

/// The kinds that were met so far, each with a number from 1 on. 0 is success.
#[derive(Debug, Default)]
pub struct Failures {
    names: Vec<String>,
    numbers: HashMap<String, u16>,
}

impl Failures {
    /// The number of the kind of this outcome; 0 if it is a success.
    pub fn number(&mut self, outcome: &Outcome<'_>) -> u16 {
        if expectation::is_right(&outcome.url, outcome.code) {
            return 0;
        }
        let name = name(outcome);
        if let Some(number) = self.numbers.get(&*name) {
            return *number;
        }
        let last = u16::try_from(self.names.len()).unwrap_or(u16::MAX);
        if last > MOST {
            return last;
        }
        let name = if last == MOST { OTHER.to_owned() } else { name.into_owned() };
        self.names.push(name.clone());
        self.numbers.insert(name, last + 1);
        last + 1
    }

    /// The name of a kind.
    #[must_use]
    pub fn name(&self, number: u16) -> &str {
        let place = usize::from(number).checked_sub(1);
        place.and_then(|place| self.names.get(place)).map_or(OTHER, |name| name)
    }
}

fn name<'a>(outcome: &'a Outcome<'_>) -> Cow<'a, str> {
    if outcome.code == 0 {
        return without_addresses(&outcome.error);
    }
    let reason = StatusCode::from_u16(outcome.code).ok().and_then(|code| code.canonical_reason());
    let status = format!("{} {}", outcome.code, reason.unwrap_or_default());
    let status = status.trim_end();
    if (200..400).contains(&outcome.code) && !expectation::is_right("", outcome.code) {
        return format!("{status}, a redirect").into();
    }
    if outcome.code < 400 {
        return format!("{status} for an order that nobody has").into();
    }
    status.to_owned().into()
}

/// An error of vegeta without what differs each time: the request that Go's HTTP client puts
/// before it, and addresses with their ports.
fn without_addresses(error: &str) -> Cow<'_, str> {
    let error = match error.split_once("\": ") {
        Some((request, rest)) if request.contains(" \"") => rest,
        _ => error,
    };
    let mut text = String::with_capacity(error.len());
    for word in error.split_whitespace() {
        let bare = word.trim_end_matches([':', ',', ';']);
        let ends = &word[bare.len()..];
        if bare.contains("->") || is_address(bare) {
            text.push_str(ends);
            continue;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    match text.char_indices().nth(LONGEST) {
        _ if text.is_empty() => "no answer".into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// Whether this is a host and a port.
fn is_address(word: &str) -> bool {
    word.parse::<SocketAddr>().is_ok()
        || word.rsplit_once(':').is_some_and(|(host, port)| {
            let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
            !host.is_empty() && host.chars().all(is_host) && port.parse::<u16>().is_ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(code: u16, error: &str, url: &'static str) -> Outcome<'static> {
        Outcome { code, error: error.to_owned().into(), url: url.into(), ..Outcome::default() }
    }

    #[test]
    fn what_differs_each_time_is_left_out_of_an_error() {
        for (error, kind) in [
            (
                "Get \"http://a/b\": dial tcp 0.0.0.0:0->127.0.0.1:1: connect: connection refused",
                "dial tcp: connect: connection refused",
            ),
            (
                "Get \"http://a/b\": read tcp 127.0.0.1:3->127.0.0.1:1: read: connection reset by peer",
                "read tcp: read: connection reset by peer",
            ),
            (
                "Post \"http://a/b\": dial tcp: lookup a on 10.0.0.10:53: no such host",
                "dial tcp: lookup a on: no such host",
            ),
            ("Get \"http://a/b\": dial tcp [::1]:80: i/o timeout", "dial tcp: i/o timeout"),
            (
                "Get \"http://a/b\": context deadline exceeded (Client.Timeout exceeded)",
                "context deadline exceeded (Client.Timeout exceeded)",
            ),
            ("Get \"http://a/b\": EOF", "EOF"),
            ("no targets to attack", "no targets to attack"),
            ("", "no answer"),
        ] {
            assert_eq!(without_addresses(error), kind);
        }
        let long = "é".repeat(500);
        assert_eq!(without_addresses(&long).chars().count(), LONGEST + 1);
    }

    #[test]
    fn kinds_are_numbered_and_success_is_0() {
        let mut failures = Failures::default();
        let missing = "http://a/api/v1/orders/no-such-order-1";
        let kinds = [
            (outcome(200, "", "http://a/b"), 0, ""),
            (outcome(404, "404 Not Found", missing), 0, ""),
            (outcome(404, "404 Not Found", "http://a/b"), 1, "404 Not Found"),
            (outcome(200, "", missing), 2, "200 OK for an order that nobody has"),
            (outcome(302, "", "http://a/b"), 3, "302 Found, a redirect"),
            (outcome(500, "500 Internal Server Error", missing), 4, "500 Internal Server Error"),
            (outcome(0, "Get \"http://a/b\": EOF", missing), 5, "EOF"),
            (outcome(404, "404 Not Found", "http://a/c"), 1, "404 Not Found"),
        ];
        for (outcome, number, name) in kinds {
            assert_eq!(failures.number(&outcome), number, "{outcome:?}");
            if number > 0 {
                assert_eq!(failures.name(number), name);
            }
        }
    }

    #[test]
    fn kinds_without_end_become_one() {
        let mut failures = Failures::default();
        let numbers: Vec<u16> = (0..1_000)
            .map(|number| failures.number(&outcome(0, &format!("failure {number}"), "")))
            .collect();
        assert_eq!(numbers[..3], [1, 2, 3]);
        assert_eq!(numbers[999], MOST + 1);
        assert_eq!((failures.name(64), failures.name(MOST + 1)), ("failure 63", OTHER));
    }
}
