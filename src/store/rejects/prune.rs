//! Removing rejects: those that became orders after all, and those that nobody wants any more.

use super::super::{Error, Store};
use super::matching;
use super::read::{RejectFilter, bind};

/// Rejects removed by one statement, so that none holds its locks for long.
const ROWS_AT_ONCE: i64 = 500;

/// What a filter matches, all in all.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RejectSpan {
    /// How many rejects match.
    #[sqlx(try_from = "i64")]
    pub count: u64,
    /// Sum of the lengths of their payloads, in bytes.
    #[sqlx(try_from = "i64")]
    pub size_bytes: u64,
    /// When the oldest was first seen, RFC 3339 in UTC; empty when there is none.
    pub first: String,
    /// The same of the newest.
    pub last: String,
    /// The highest id among them.
    pub last_id: i64,
}

macro_rules! moment {
    ($which:literal) => {
        concat!(
            "coalesce(to_char(",
            $which,
            "(first_seen) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), '')"
        )
    };
}

impl Store {
    /// How many rejects match and what they span; of more than `limit`, only the oldest.
    pub async fn reject_span(
        &self,
        filter: &RejectFilter,
        limit: u64,
    ) -> Result<RejectSpan, Error> {
        let sql = concat!(
            "select count(*), coalesce(sum(size), 0)::bigint as size_bytes, ",
            moment!("min"),
            " as first, ",
            moment!("max"),
            " as last, coalesce(max(id), 0) as last_id from \
             (select id, first_seen, length(payload)::bigint as size from rejected_messages where ",
            matching!(),
            " order by id limit $6) as matched"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let span = bind(sqlx::query_as(sql), filter).bind(limit);
        self.run("SELECT rejected_messages", async |connection| span.fetch_one(connection).await)
            .await
    }

    /// Removes some of the rejects that match, up to the id `last_id`, and says how many;
    /// 0 means that none is left.
    pub async fn prune_rejects(&self, filter: &RejectFilter, last_id: i64) -> Result<u64, Error> {
        let sql = concat!(
            "with removed as (delete from rejected_messages where id = any(array( \
             select id from rejected_messages where ",
            matching!(),
            " and id <= $6 order by id limit $7)) returning 1) select count(*) from removed"
        );
        let removal = bind(sqlx::query_as::<_, (i64,)>(sql), filter);
        let removal = removal.bind(last_id).bind(ROWS_AT_ONCE);
        let (removed,) = self
            .run("DELETE rejected_messages", async |connection| removal.fetch_one(connection).await)
            .await?;
        Ok(removed.unsigned_abs())
    }

    /// Removes the rejects that are orders now. The caller has seen their orders committed.
    pub async fn remove_rejects(&self, ids: &[i64]) -> Result<(), Error> {
        let removal = sqlx::query!("delete from rejected_messages where id = any($1)", ids);
        self.run("DELETE rejected_messages", async |connection| removal.execute(connection).await)
            .await?;
        Ok(())
    }

    /// Removes some rejects first seen more than `age_seconds` ago, unless another replica is at
    /// it right now, and says how many; fewer than asked for mean that there are no more.
    pub async fn expire_rejects(&self, age_seconds: f64, most_rows: u32) -> Result<u64, Error> {
        // The lock is the transaction's, which is this one statement: nothing can be left held.
        let removal = sqlx::query_scalar!(
            "with removed as (delete from rejected_messages where id = any(array( \
             select id from rejected_messages \
             where (select pg_try_advisory_xact_lock(hashtextextended('waybill rejects', 0))) \
             and first_seen < clock_timestamp() - make_interval(secs => $1) \
             order by first_seen limit $2)) returning 1) \
             select count(*) as \"count!\" from removed",
            age_seconds,
            i64::from(most_rows),
        );
        let removed = self
            .run("DELETE rejected_messages", async |connection| removal.fetch_one(connection).await)
            .await?;
        Ok(removed.unsigned_abs())
    }
}
