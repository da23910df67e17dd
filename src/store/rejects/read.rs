//! Reading rejects page by page: however many there are, few are in memory at a time.

use serde::Serialize;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::QueryAs;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::{Error, Store};
use super::matching;
use crate::digest::Sha256Digest;

/// Which rejects are meant. The default is all of them.
#[derive(Debug, Clone, Default)]
pub struct RejectFilter {
    /// Only rejects with one of these ids.
    pub ids: Option<Vec<i64>>,
    /// Only rejects refused for one of these reasons.
    pub reasons: Option<Vec<&'static str>>,
    /// First seen at this moment or later.
    pub since: Option<OffsetDateTime>,
    /// First seen before this moment.
    pub until: Option<OffsetDateTime>,
    /// Only messages that came from this channel.
    pub channel: Option<String>,
}

/// What is known of a reject, but for its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct KeptReject {
    /// Its name in commands and pages.
    pub id: i64,
    /// When it was first refused, RFC 3339 in UTC.
    pub first_seen: String,
    /// The channel the message came from.
    pub channel: String,
    /// Its sequence in that channel.
    #[sqlx(try_from = "i64")]
    pub sequence: u64,
    /// Why, from the closed list.
    pub reason: String,
    /// The reason in words, with place and value.
    pub detail: String,
    /// Of a conflict: whether it is the same JSON, written differently.
    pub formatting_only: Option<bool>,
    /// Length of the payload in bytes.
    #[sqlx(try_from = "i64")]
    pub size_bytes: u64,
    /// SHA-256 of the payload, which names it in receipts too.
    pub sha256: Sha256Digest,
}

/// The way to go through the rejects, and the id to go on from, which is left out itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The newest first, below this id.
    NewestBelow(i64),
    /// The oldest first, above this id.
    OldestAbove(i64),
}

impl Direction {
    /// All of them, the newest first.
    pub const NEWEST_FIRST: Self = Self::NewestBelow(i64::MAX);
    /// All of them, the oldest first.
    pub const OLDEST_FIRST: Self = Self::OldestAbove(0);
}

macro_rules! page {
    ($rest:literal) => {
        concat!(
            "select id, channel, sequence, reason, detail, formatting_only, sha256, \
             length(payload)::bigint as size_bytes, \
             to_char(first_seen at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
             as first_seen from rejected_messages where ",
            matching!(),
            $rest
        )
    };
}

impl Store {
    /// The next `limit` rejects that match.
    pub async fn rejects(
        &self,
        filter: &RejectFilter,
        direction: Direction,
        limit: u32,
    ) -> Result<Vec<KeptReject>, Error> {
        let (sql, from) = match direction {
            Direction::NewestBelow(id) => (page!(" and id < $6 order by id desc limit $7"), id),
            Direction::OldestAbove(id) => (page!(" and id > $6 order by id limit $7"), id),
        };
        let page = bind(sqlx::query_as(sql), filter).bind(from).bind(i64::from(limit));
        self.run("SELECT rejected_messages", async |connection| page.fetch_all(connection).await)
            .await
    }

    /// The payloads of those `ids` that are still kept, in no particular order, each up to its
    /// first `most_bytes` bytes. All are held in memory at once.
    pub async fn reject_payloads(
        &self,
        ids: &[i64],
        most_bytes: usize,
    ) -> Result<Vec<(i64, Vec<u8>)>, Error> {
        let payloads = sqlx::query!(
            "select id, substring(payload from 1 for $2) as \"payload!\" from rejected_messages \
             where id = any($1)",
            ids,
            i32::try_from(most_bytes).unwrap_or(i32::MAX),
        )
        .map(|reject| (reject.id, reject.payload));
        self.run("SELECT rejected_messages", async |connection| {
            payloads.fetch_all(connection).await
        })
        .await
    }
}

/// Binds a filter to the `matching!` of a statement.
pub(super) fn bind<'q, T>(
    query: QueryAs<'q, Postgres, T, PgArguments>,
    filter: &'q RejectFilter,
) -> QueryAs<'q, Postgres, T, PgArguments> {
    query
        .bind(&filter.ids)
        .bind(&filter.reasons)
        .bind(filter.since.map(rfc3339))
        .bind(filter.until.map(rfc3339))
        .bind(&filter.channel)
}

fn rfc3339(moment: OffsetDateTime) -> String {
    moment.format(&Rfc3339).expect("the years 1970 to 9999 have a place in RFC 3339")
}
