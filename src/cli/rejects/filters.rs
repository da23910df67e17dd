//! Which rejects a command means.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use order::Reason;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::store::RejectFilter;

/// The options that `list`, `export`, `replay` and `prune` have in common.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Filters {
    /// Only those refused for this reason; may be given several times
    #[arg(long = "reason", value_name = "REASON", value_parser = reason())]
    reasons: Vec<Reason>,
    /// Only those first seen since then: RFC 3339 as in 2026-11-23T10:00:00Z, or an age such as 2h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<OffsetDateTime>,
    /// Only those first seen before then; the same notations
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<OffsetDateTime>,
    /// Only those from this channel
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// At most this many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

impl Filters {
    /// The same for the store.
    pub(super) fn filter(&self) -> RejectFilter {
        let reasons = self.reasons.iter().map(|reason| reason.as_str());
        RejectFilter {
            ids: None,
            reasons: (!self.reasons.is_empty()).then(|| reasons.collect()),
            since: self.since,
            until: self.until,
            channel: self.channel.clone(),
        }
    }

    /// What stands on the command line, for the audit log.
    pub(super) fn told(&self) -> Vec<String> {
        let mut told: Vec<_> =
            self.reasons.iter().map(|reason| format!("reason={}", reason.as_str())).collect();
        for (name, moment) in [("since", self.since), ("until", self.until)] {
            told.extend(moment.map(|moment| format!("{name}={moment}")));
        }
        told.extend(self.channel.iter().map(|channel| format!("channel={channel}")));
        told.extend(self.limit.map(|limit| format!("limit={limit}")));
        told
    }

    /// The most that may be looked at.
    pub(super) fn limit(&self) -> u64 {
        self.limit.unwrap_or(u64::MAX)
    }
}

/// The closed list: clap names all of it when something else is given.
fn reason() -> impl TypedValueParser<Value = Reason> {
    PossibleValuesParser::new(Reason::ALL.map(Reason::as_str)).try_map(|name| {
        let mut all = Reason::ALL.into_iter();
        all.find(|reason| reason.as_str() == name).ok_or("not a reason")
    })
}

/// A moment, or one as long ago as an age says. Nothing was refused before 1970.
fn moment(text: &str) -> Result<OffsetDateTime, String> {
    let moment = match humantime::parse_duration(text) {
        Ok(age) => age.try_into().ok().and_then(|age| OffsetDateTime::now_utc().checked_sub(age)),
        Err(_) => OffsetDateTime::parse(text, &Rfc3339).ok(),
    };
    moment.filter(|moment| moment.unix_timestamp() >= 0).ok_or_else(|| {
        "must be a time from 1970 on as in 2026-11-23T10:00:00Z or 2026-11-23T10:00:00+03:00, \
         or an age such as 90s, 2h or 30days"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        filters: Filters,
    }

    fn parse(line: &str) -> Result<Filters, String> {
        Command::try_parse_from(["list"].into_iter().chain(line.split_whitespace()))
            .map(|command| command.filters)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn reasons_are_those_of_the_closed_list() {
        let filter = parse("--reason conflict --reason not_json").unwrap().filter();
        assert_eq!(filter.reasons, Some(vec!["conflict", "not_json"]));
        assert_eq!(parse("").unwrap().filter().reasons, None);
        let error = parse("--reason mood").unwrap_err();
        for reason in Reason::ALL {
            assert!(error.contains(reason.as_str()), "{reason} is not named in {error}");
        }
    }

    #[test]
    fn a_time_is_a_moment_or_an_age() {
        let since = |text: &str| parse(&format!("--since={text}")).map(|filters| filters.since);
        let moment = since("2026-11-23T10:00:00.5+03:00").unwrap().unwrap();
        assert_eq!(moment.unix_timestamp(), 1_795_417_200);
        let ago = OffsetDateTime::now_utc() - since("2h").unwrap().unwrap();
        assert!((ago - Duration::from_hours(2)).abs() < Duration::from_mins(1), "{ago}");
        for text in [
            "yesterday",
            "2026-11-23",
            "0000-01-01T00:00:00Z",
            "9000years",
            "400000000000years",
            "-1s",
            "2",
        ] {
            let error = since(text).unwrap_err();
            assert!(error.contains("must be a time"), "{text}: {error}");
        }
    }

    #[test]
    fn a_limit_of_nothing_is_refused() {
        assert_eq!(parse("").unwrap().limit(), u64::MAX);
        assert_eq!(parse("--limit 3").unwrap().limit(), 3);
        assert!(parse("--limit 0").unwrap_err().contains("1.."));
    }
}
