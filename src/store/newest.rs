//! The orders that were stored last, for operators.

use serde::Serialize;

use super::{Error, Store};

/// What is told of a stored order: nothing of its contents but its id.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredOrder {
    /// The order's id.
    pub uid: String,
    /// Sequence of the message that was stored, in its channel or stream.
    pub sequence: u64,
    /// The stream of JetStream that it was in; none for the channel of NATS Streaming.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When its row was written, RFC 3339 in UTC to the millisecond, by the clock of Postgres.
    pub stored_at: String,
    /// How long ago that was in seconds, by the same clock.
    pub age_seconds: f64,
}

impl Store {
    /// The `limit` orders whose transactions are the youngest, the newest first; of one
    /// transaction those with the highest sequence first.
    ///
    /// It walks down the index on `tx` and reads 10,000 rows of it at most, which is the largest
    /// batch there is, even where somebody has inserted millions of rows in one transaction.
    pub async fn newest_orders(&self, limit: u32) -> Result<Vec<StoredOrder>, Error> {
        // Rows restored from another server may have transactions that are yet to come here: they
        // are older than those that have been.
        let newest = sqlx::query!(
            "with now as ( \
                 select clock_timestamp() as told_at, \
                     pg_snapshot_xmax(pg_current_snapshot())::text::bigint as horizon \
             ), newest as ( \
                 (select order_uid, channel_sequence, source, received_at, tx, true as is_ours \
                  from (select * from orders where tx < (select horizon from now) \
                        order by tx desc limit 10000) as written \
                  order by tx desc, channel_sequence desc limit $1) \
                 union all \
                 (select order_uid, channel_sequence, source, received_at, tx, false \
                  from (select * from orders where tx >= (select horizon from now) \
                        order by tx desc limit 10000) as restored \
                  order by tx desc, channel_sequence desc limit $1) \
             ) \
             select order_uid as \"uid!\", channel_sequence as \"sequence!\", source, \
                 to_char(received_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') \
                     as \"stored_at!\", \
                 greatest(0, round(extract(epoch from told_at - received_at)::numeric, 3))::float8 \
                     as \"age_seconds!\" \
             from newest, now \
             order by is_ours desc, tx desc, channel_sequence desc limit $1",
            i64::from(limit),
        )
        .map(|order| StoredOrder {
            uid: order.uid,
            sequence: order.sequence.unsigned_abs(),
            source: order.source,
            stored_at: order.stored_at,
            age_seconds: order.age_seconds,
        });
        self.run("SELECT orders", async |connection| newest.fetch_all(connection).await).await
    }
}
