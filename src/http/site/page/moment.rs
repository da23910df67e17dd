//! Points in time in the words of a person, all in UTC so that they can be compared.

use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// The names of the months, January first, as they stand in a date.
pub(super) type Months = [&'static str; 12];

/// A point in time as a page shows it.
pub(super) struct Moment {
    /// In the reader's language and UTC; what is no date is shown as it was sent.
    pub(super) text: String,
    /// The same for programs, to the second: `2021-11-26T06:22:19Z`. `None` of what is no date,
    /// and of years that HTML has no notation for (before 1).
    pub(super) datetime: Option<String>,
    /// As it was sent; empty if nobody has sent it.
    pub(super) sent: String,
}

impl Moment {
    /// Seconds since 1970; a number that is no date (before the year −9999, after 9999:
    /// milliseconds, most likely) is shown as it is.
    pub(super) fn from_unix(seconds: i64, months: &Months) -> Self {
        let moment = OffsetDateTime::from_unix_timestamp(seconds).ok();
        Self::new(moment, seconds.to_string(), months)
    }

    /// An RFC 3339 date; what cannot be read as one is shown as it is.
    pub(super) fn from_rfc3339(text: &str, months: &Months) -> Self {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok();
        let moment = moment.and_then(|moment| moment.checked_to_offset(UtcOffset::UTC));
        Self::new(moment, text.to_owned(), months)
    }

    /// The present moment.
    pub(super) fn now(months: &Months) -> Self {
        Self::new(Some(OffsetDateTime::now_utc()), String::new(), months)
    }

    fn new(moment: Option<OffsetDateTime>, sent: String, months: &Months) -> Self {
        Self {
            text: moment.map_or_else(|| sent.clone(), |moment| readable(moment, months)),
            datetime: moment.and_then(datetime),
            sent,
        }
    }
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

fn datetime(moment: OffsetDateTime) -> Option<String> {
    (moment.year() > 0).then(|| moment.truncate_to_second().format(&Rfc3339).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::site::page::texts::{ENGLISH, RUSSIAN};

    #[test]
    fn months_have_the_names_of_the_language() {
        let moment = Moment::from_unix(1_637_907_727, &RUSSIAN.months);
        assert_eq!(moment.text, "26 ноября 2021, 06:22:07 UTC");
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
            let moment = Moment::from_unix(seconds, &ENGLISH.months);
            assert_eq!(moment.text, expected);
            assert_eq!(moment.sent, seconds.to_string());
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
            let moment = Moment::from_rfc3339(text, &ENGLISH.months);
            assert_eq!((moment.text.as_str(), moment.sent.as_str()), (expected, text));
        }
    }

    #[test]
    fn a_date_is_told_to_programs_in_the_notation_of_html() {
        for (text, expected) in [
            ("2021-11-26T06:22:19Z", Some("2021-11-26T06:22:19Z")),
            ("2021-11-26T00:22:19.123456789+03:00", Some("2021-11-25T21:22:19Z")),
            ("2016-12-31T23:59:60Z", Some("2016-12-31T23:59:59Z")),
            ("0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00Z")),
            ("0000-12-31T23:59:59Z", None),
            ("yesterday", None),
        ] {
            assert_eq!(Moment::from_rfc3339(text, &ENGLISH.months).datetime.as_deref(), expected);
        }
        let year_0 = Moment::from_unix(-62_135_596_801, &ENGLISH.months);
        assert_eq!((year_0.text.as_str(), year_0.datetime), ("31 December 0, 23:59:59 UTC", None));
        assert_eq!(Moment::from_unix(i64::MAX, &ENGLISH.months).datetime, None);
    }

    proptest! {
        #[test]
        fn no_number_and_no_text_panics(seconds: i64, text in ".*") {
            Moment::from_unix(seconds, &ENGLISH.months);
            Moment::from_rfc3339(&text, &RUSSIAN.months);
        }
    }
}
