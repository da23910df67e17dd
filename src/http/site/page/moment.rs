//! Points in time in the words of a person, all in UTC so that they can be compared.

use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// Seconds since 1970 as a date; a number that is no date (before the year −9999,
/// after 9999: milliseconds, most likely) is shown as it is.
pub(super) fn from_unix(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds).map_or_else(|_| seconds.to_string(), readable)
}

/// An RFC 3339 date; what cannot be read as one is shown as it is.
pub(super) fn from_rfc3339(text: &str) -> String {
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .and_then(|moment| moment.checked_to_offset(UtcOffset::UTC))
        .map_or_else(|| text.to_owned(), readable)
}

fn readable(moment: OffsetDateTime) -> String {
    let (hour, minute, second) = moment.to_hms();
    format!(
        "{} {} {}, {hour:02}:{minute:02}:{second:02} UTC",
        moment.day(),
        moment.month(),
        moment.year()
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seconds_become_a_date_or_stay_a_number() {
        let table = [
            (1_637_907_727, "26 November 2021, 06:22:07 UTC"),
            (0, "1 January 1970, 00:00:00 UTC"),
            (-1, "31 December 1969, 23:59:59 UTC"),
            (253_402_300_799, "31 December 9999, 23:59:59 UTC"),
            (253_402_300_800, "253402300800"),
            (1_637_907_727_000, "1637907727000"),
            (i64::MAX, "9223372036854775807"),
            (i64::MIN, "-9223372036854775808"),
        ];
        for (seconds, expected) in table {
            assert_eq!(from_unix(seconds), expected);
        }
    }

    #[test]
    fn a_date_is_shown_in_utc_or_as_it_was_sent() {
        let table = [
            ("2021-11-26T06:22:19Z", "26 November 2021, 06:22:19 UTC"),
            ("2021-11-26T00:22:19.5+03:00", "25 November 2021, 21:22:19 UTC"),
            ("2016-12-31T23:59:60Z", "31 December 2016, 23:59:59 UTC"),
            ("9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59-23:59"),
            ("yesterday", "yesterday"),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(from_rfc3339(text), expected);
        }
    }

    proptest! {
        #[test]
        fn no_number_and_no_text_panics(seconds: i64, text in ".*") {
            from_unix(seconds);
            from_rfc3339(&text);
        }
    }
}
