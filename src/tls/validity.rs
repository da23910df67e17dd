//! From when until when a certificate is valid.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use humantime::format_rfc3339_seconds;

/// How long before the end of a certificate its renewal is overdue, unless it is so short-lived
/// that a fifth of its life is less.
const OVERDUE: i64 = 7 * 24 * 60 * 60;

/// The two moments in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

/// What there is to say of a certificate at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Valid,
    /// It is still valid, and should have been renewed.
    Expiring,
    /// It has expired, or is of the future.
    Invalid,
}

impl Validity {
    pub(super) fn standing(self, now: i64) -> Standing {
        let overdue = OVERDUE.min((self.not_after - self.not_before) / 5);
        if now < self.not_before || now > self.not_after {
            Standing::Invalid
        } else if now > self.not_after - overdue {
            Standing::Expiring
        } else {
            Standing::Valid
        }
    }

    /// Both moments in RFC 3339.
    pub(super) fn span(self) -> String {
        format!("from {} to {}", moment(self.not_before), moment(self.not_after))
    }

    pub(super) fn end(self) -> String {
        moment(self.not_after)
    }
}

fn moment(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60;

    #[test]
    fn renewal_is_overdue_in_the_last_week_or_fifth() {
        for (days, expiring_from) in [(90, 83), (365, 358), (5, 4), (35, 28)] {
            let validity = Validity { not_before: 0, not_after: days * DAY };
            assert_eq!(validity.standing(-1), Standing::Invalid);
            assert_eq!(validity.standing(0), Standing::Valid);
            assert_eq!(validity.standing(expiring_from * DAY), Standing::Valid, "{days}");
            assert_eq!(validity.standing(expiring_from * DAY + 1), Standing::Expiring, "{days}");
            assert_eq!(validity.standing(days * DAY), Standing::Expiring);
            assert_eq!(validity.standing(days * DAY + 1), Standing::Invalid);
        }
    }

    #[test]
    fn moments_are_told_as_people_write_them() {
        let validity = Validity { not_before: 0, not_after: 90 * DAY };
        assert_eq!(validity.span(), "from 1970-01-01T00:00:00Z to 1970-04-01T00:00:00Z");
    }
}
