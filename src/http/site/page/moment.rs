//! Points in time in the words of a person, all in UTC so that they can be compared.

use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// The names of the months, January first, as they stand in a date.
pub(super) type Months = [&'static str; 12];

/// Seconds since 1970 as a date; a number that is no date (before the year −9999,
/// after 9999: milliseconds, most likely) is shown as it is.
pub(super) fn from_unix(seconds: i64, months: &Months) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_or_else(|_| seconds.to_string(), |moment| readable(moment, months))
}

/// An RFC 3339 date; what cannot be read as one is shown as it is.
pub(super) fn from_rfc3339(text: &str, months: &Months) -> String {
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .and_then(|moment| moment.checked_to_offset(UtcOffset::UTC))
        .map_or_else(|| text.to_owned(), |moment| readable(moment, months))
}

/// The present moment.
pub(super) fn now(months: &Months) -> String {
    readable(OffsetDateTime::now_utc(), months)
}

fn readable(moment: OffsetDateTime, months: &Months) -> String {
    let (hour, minute, second) = moment.to_hms();
    format!(
        "{} {} {}, {hour:02}:{minute:02}:{second:02} UTC",
        moment.day(),
        months[usize::from(u8::from(moment.month())) - 1],
        moment.year()
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::site::page::texts::{ENGLISH, RUSSIAN};

    #[test]
    fn months_have_the_names_of_the_language() {
        assert_eq!(from_unix(1_637_907_727, &RUSSIAN.months), "26 ноября 2021, 06:22:07 UTC");
    }

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
            assert_eq!(from_unix(seconds, &ENGLISH.months), expected);
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
            assert_eq!(from_rfc3339(text, &ENGLISH.months), expected);
        }
    }

    proptest! {
        #[test]
        fn no_number_and_no_text_panics(seconds: i64, text in ".*") {
            from_unix(seconds, &ENGLISH.months);
            from_rfc3339(&text, &RUSSIAN.months);
        }
    }
}
