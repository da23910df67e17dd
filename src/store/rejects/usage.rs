//! How much room the rejects take, at a price that does not grow with them.

use super::super::{Error, Store};

/// Pages of the table that are looked at, of 8 KiB each: all of a small table, a sample of a
/// large one. Long payloads are stored elsewhere and are not read.
const PAGES: i32 = 2000;

/// What is kept; exact for a small table, else an estimate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RejectsMeasured {
    /// How many rejects are kept.
    pub rows: u64,
    /// Sum of the lengths of their payloads, in bytes.
    pub bytes: u64,
}

impl Store {
    /// Measures what is kept. Space that removed rows have left is not counted, unlike the
    /// table's size on disk, so that an alarm ends when somebody prunes.
    pub async fn measure_rejects(&self) -> Result<RejectsMeasured, Error> {
        let measured = sqlx::query!(
            "with sampled as ( \
                 select count(*) as rows, coalesce(sum(length(payload)), 0) as bytes \
                 from rejected_messages tablesample system (least(100, 100.0 * $1::int / greatest(1, \
                     pg_relation_size('rejected_messages') / current_setting('block_size')::int))) \
             ), share as ( \
                 select least(1, $1::int::float8 / greatest(1, \
                     pg_relation_size('rejected_messages') / current_setting('block_size')::int)) \
                     as read \
             ) \
             select (rows / read)::bigint as \"rows!\", \
                 (bytes::float8 / read)::bigint as \"bytes!\" from sampled, share",
            PAGES,
        )
        .map(|sum| RejectsMeasured { rows: sum.rows.unsigned_abs(), bytes: sum.bytes.unsigned_abs() });
        self.run("SELECT rejected_messages", async |connection| {
            measured.fetch_one(connection).await
        })
        .await
    }
}
