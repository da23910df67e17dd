//! The kinds of values settings have, and what each calls valid.

use std::{
    fmt, fs, net::SocketAddr, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration,
};

use super::{
    ByteSize, names,
    reader::{Section, Shown},
};

impl Section<'_> {
    /// A text for which `is_valid` holds.
    pub(super) fn text(
        &mut self,
        key: &'static str,
        expected: &str,
        is_valid: impl FnOnce(&str) -> bool,
    ) -> String {
        self.required(key, expected, String::new(), |text| is_valid(text).then(|| text.to_owned()))
    }

    /// The same, or nothing if it is not set or empty.
    pub(super) fn optional_text(
        &mut self,
        key: &'static str,
        expected: &str,
        is_valid: impl FnOnce(&str) -> bool,
    ) -> Option<String> {
        self.optional(key, expected, |text| is_valid(text).then(|| text.to_owned()))
    }

    /// The place of an HTTP server, or nothing if it is not set or empty.
    pub(super) fn http_url(&mut self, key: &'static str) -> Option<String> {
        let expected = "a URL such as `http://127.0.0.1:4318`, without user and password";
        // Someone may have written a password: it must not be repeated.
        self.read_or_reason(key, expected, Shown::Masked, |text| {
            names::check_http_url(text)?;
            Ok(text.to_owned())
        })
    }

    /// A number in `range`.
    pub(super) fn number<T>(&mut self, key: &'static str, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + fmt::Display + Copy,
    {
        let (least, most) = (range.start(), range.end());
        let expected = format!("a whole number from {least} to {most}");
        self.required_shown(key, &expected, Shown::Bare, |text| parse_within(text, &range))
            .unwrap_or(*least)
    }

    /// A share of a whole.
    pub(super) fn ratio(&mut self, key: &'static str) -> f64 {
        self.required_shown(key, "a number from 0 to 1", Shown::Bare, |text| {
            parse_within(text, &(0.0..=1.0))
        })
        .unwrap_or_default()
    }

    /// A number of bytes in `range`.
    pub(super) fn size(&mut self, key: &'static str, range: RangeInclusive<ByteSize>) -> ByteSize {
        let (least, most) = (range.start(), range.end());
        let expected = format!("a size such as `4MiB` or `1000` from {least} to {most}");
        self.required(key, &expected, *least, |text| parse_within(text, &range))
    }

    /// A duration in `range`.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let expected = format!("a duration such as `30s` or `500ms` {}", span(&range));
        self.required(key, &expected, *range.start(), |text| {
            parse_duration(text).filter(|duration| range.contains(duration))
        })
    }

    /// A duration in `range` of whole seconds: the broker knows no shorter ones.
    pub(super) fn seconds(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let expected = format!("a duration in whole seconds such as `30s` {}", span(&range));
        self.required(key, &expected, *range.start(), |text| {
            let duration = parse_duration(text)?;
            (range.contains(&duration) && duration.subsec_nanos() == 0).then_some(duration)
        })
    }

    /// A duration in `range`, or `0s` for "off".
    pub(super) fn duration_or_off(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let expected = format!("`0s` (off) or a duration {}", span(&range));
        self.required(key, &expected, Duration::ZERO, |text| {
            parse_duration(text).filter(|duration| duration.is_zero() || range.contains(duration))
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        self.required_shown(key, "`true` or `false`", Shown::Bare, |text| text.parse().ok())
            .unwrap_or_default()
    }

    /// An address to listen on.
    pub(super) fn address(&mut self, key: &'static str) -> SocketAddr {
        let expected = "an IP address and port such as `0.0.0.0:8080`";
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        self.required(key, expected, nowhere, |text| text.parse().ok())
    }

    /// A file that can be read.
    pub(super) fn file(&mut self, key: &'static str) -> Option<PathBuf> {
        self.optional(key, "a file that can be read", |text| {
            // Opening a directory succeeds, reading it does not.
            let is_file = fs::metadata(text).is_ok_and(|metadata| !metadata.is_dir());
            (is_file && fs::File::open(text).is_ok()).then(|| PathBuf::from(text))
        })
    }

    /// A URL that may hold a password, or nothing if it is not set or empty.
    pub(super) fn secret_url<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.read_or_reason(key, expected, Shown::Masked, parse)
    }

    /// The same, but it must be set.
    pub(super) fn required_secret_url<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        placeholder: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        self.must_be_set(key, expected, |section| section.secret_url(key, expected, parse))
            .unwrap_or(placeholder)
    }
}

fn parse_within<T: FromStr + PartialOrd>(text: &str, range: &RangeInclusive<T>) -> Option<T> {
    text.parse().ok().filter(|value| range.contains(value))
}

fn parse_duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

fn span(range: &RangeInclusive<Duration>) -> String {
    let (least, most) = (range.start(), range.end());
    let write = humantime::format_duration;
    format!("from {} to {}", write(*least), write(*most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, duration) in [
            ("0s", Some(Duration::ZERO)),
            ("500ms", Some(Duration::from_millis(500))),
            ("30s", Some(Duration::from_secs(30))),
            ("1m 30s", Some(Duration::from_secs(90))),
            ("1m30s", Some(Duration::from_secs(90))),
            ("2h", Some(Duration::from_hours(2))),
            ("30", None),
            ("-1s", None),
            ("1.5", None),
            ("s", None),
            ("soon", None),
        ] {
            assert_eq!(parse_duration(text), duration, "{text}");
        }
    }
}
