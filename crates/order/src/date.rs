//! Dates of RFC 3339, with the limits of a Postgres `timestamptz`.

use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

/// What [`is_valid`] accepts, for error texts.
pub(super) const LEGAL: &str = "an RFC 3339 date like 2021-11-26T06:22:19Z \
     (year from 0001, offset within 15:59, at most 9 decimals)";

/// Whether `text` is a date and time of RFC 3339 that Postgres can read as a `timestamptz` too:
/// it has no year 0 and no offset of 16 hours or more.
/// Second 60 is valid where a leap second can be, at the end of a month in UTC, and without decimals.
pub(super) fn is_valid(text: &str) -> bool {
    parse(text.as_bytes()).is_some()
}

fn parse(text: &[u8]) -> Option<()> {
    let (stamp, rest) = text.split_at_checked(19)?;
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T' | b't',
        h1,
        h2,
        b':',
        i1,
        i2,
        b':',
        s1,
        s2,
    ] = *stamp
    else {
        return None;
    };
    let year = u16::from(two_digits(y1, y2)?) * 100 + u16::from(two_digits(y3, y4)?);
    if year == 0 {
        return None;
    }
    let month = Month::try_from(two_digits(m1, m2)?).ok()?;
    let date = Date::from_calendar_date(year.into(), month, two_digits(d1, d2)?).ok()?;
    let second = two_digits(s1, s2)?;
    let leap = second == 60;
    let time =
        Time::from_hms(two_digits(h1, h2)?, two_digits(i1, i2)?, if leap { 59 } else { second })
            .ok()?;
    let offset = parse_offset(skip_decimals(rest)?)?;
    if leap {
        let utc = PrimitiveDateTime::new(date, time)
            .assume_offset(offset)
            .checked_to_offset(UtcOffset::UTC)?;
        let last_day = utc.month().length(utc.year());
        let at_month_end = (utc.day(), utc.hour(), utc.minute()) == (last_day, 23, 59);
        if !at_month_end || rest.starts_with(b".") {
            return None;
        }
    }
    Some(())
}

/// What follows the decimals of the second, if there are any.
fn skip_decimals(text: &[u8]) -> Option<&[u8]> {
    let Some(decimals) = text.strip_prefix(b".") else {
        return Some(text);
    };
    let digits = decimals.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=9).contains(&digits).then(|| &decimals[digits..])
}

fn parse_offset(text: &[u8]) -> Option<UtcOffset> {
    match *text {
        [b'Z' | b'z'] => Some(UtcOffset::UTC),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let hours = i8::try_from(two_digits(h1, h2)?).ok()?;
            let minutes = i8::try_from(two_digits(m1, m2)?).ok()?;
            if hours > 15 || minutes > 59 {
                return None;
            }
            let sign = if sign == b'-' { -1 } else { 1 };
            UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
        }
        _ => None,
    }
}

fn two_digits(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_rfc_3339_are_legal() {
        for text in [
            "2021-11-26T06:22:19Z",
            "2021-11-26t06:22:19z",
            "2021-11-26T06:22:19.5Z",
            "2021-11-26T06:22:19.123456789+03:00",
            "2021-11-26T06:22:19-00:00",
            "2021-11-26T06:22:19+15:59",
            "0001-01-01T00:00:00+15:59",
            "9999-12-31T23:59:59-15:59",
            "2024-02-29T00:00:00Z",
            "2016-12-31T23:59:60Z",
            "2017-01-01T02:59:60+03:00",
        ] {
            assert!(is_valid(text), "{text}");
        }
    }

    #[test]
    fn everything_else_is_not() {
        for text in [
            "",
            "2021-11-26",
            "2021-11-26T06:22:19",
            "2021-11-26 06:22:19Z",
            "2021-11-26T06:22Z",
            "2021-11-26T06:22:19.Z",
            "2021-11-26T06:22:19.1234567890Z",
            "2021-11-26T06:22:19,5Z",
            "2021-11-26T06:22:19+0300",
            "2021-11-26T06:22:19+03",
            "2021-11-26T06:22:19+16:00",
            "2021-11-26T06:22:19+03:60",
            "2021-11-26T06:22:19ZZ",
            " 2021-11-26T06:22:19Z",
            "0000-01-01T00:00:00Z",
            "-001-01-01T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "2021-00-26T06:22:19Z",
            "2021-13-26T06:22:19Z",
            "2021-11-00T06:22:19Z",
            "2021-11-31T06:22:19Z",
            "2023-02-29T00:00:00Z",
            "2021-11-26T24:00:00Z",
            "2021-11-26T06:60:19Z",
            "2021-11-26T06:22:60Z",
            "2021-11-26T23:59:60Z",
            "2021-12-31T23:59:60+03:00",
            "2021-12-31T23:59:61Z",
            "2016-12-31T23:59:60.5Z",
            "٢٠٢١-11-26T06:22:19Z",
        ] {
            assert!(!is_valid(text), "{text}");
        }
    }
}
