//! Following the table: which orders were committed or erased since the last look.

use super::{Error, Store};
use crate::digest::Sha256Digest;

/// A place in the table's history: which transactions could be seen from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The transaction after the newest whose rows were there. Younger ones that had begun do not
    /// count: after a crash Postgres gives their ids again if nothing of them was flushed to its
    /// log, whereas the id of a committed transaction is never given again.
    unseen_from: i64,
    /// Older ones that were under way, and may commit later than younger ones.
    under_way: Vec<i64>,
}

impl Cursor {
    /// Whether rows were there at the other that are not, or not yet, at this.
    #[must_use]
    pub fn is_before(&self, other: &Self) -> bool {
        self.unseen_from < other.unseen_from
    }
}

/// What was committed since a [`Cursor`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The uids of the new orders, the newest first.
    pub uids: Vec<String>,
    /// The SHA-256 of the uids of orders that were erased, all of them.
    pub erased: Vec<Sha256Digest>,
    /// Where to go on from.
    pub next: Cursor,
    /// Whether there were more than asked for, and the older ones were left out.
    pub skipped: bool,
}

impl Store {
    /// The place of now: whatever is committed later will be seen from here.
    pub async fn cursor_now(&self) -> Result<Cursor, Error> {
        let nowhere = Cursor { unseen_from: i64::MAX, under_way: Vec::new() };
        Ok(self.committed_since(&nowhere, 0).await?.next)
    }

    /// The highest sequence among those of the newest 100 orders of a source, by its column: where
    /// the source was by then. None if there are none among the newest 10,000 orders of all. The
    /// newest alone would not do, for of two writers the one with the earlier messages may commit
    /// last.
    pub async fn newest_sequence(&self, source: Option<&str>) -> Result<Option<u64>, Error> {
        let newest = sqlx::query_scalar!(
            "select max(channel_sequence) \
             from (select channel_sequence \
                   from (select channel_sequence, source, tx from orders \
                         order by tx desc limit 10000) as newest \
                   where source is not distinct from $1 order by tx desc limit 100) as of_source",
            source as Option<&str>,
        );
        let newest = self
            .run("SELECT orders", async |connection| newest.fetch_one(connection).await)
            .await?;
        Ok(newest.map(i64::unsigned_abs))
    }

    /// The newest `cap` orders committed since `cursor`, each once (a standby may repeat some,
    /// because it does not tell which transactions are under way).
    ///
    /// After a restore that turned the ids of transactions back there is nothing to see, and
    /// the next cursor is the restored server's.
    pub async fn committed_since(&self, cursor: &Cursor, cap: u32) -> Result<Followed, Error> {
        // The two ranges stand apart so that each is a short walk over the index. The upper
        // bound is for rows restored from another server, whose transactions are yet to come.
        let fresh = sqlx::query!(
            "with now as ( \
                 select pg_current_snapshot() as snapshot, \
                     pg_snapshot_xmax(pg_current_snapshot())::text::bigint as horizon \
             ), newest as ( \
                 select coalesce(greatest( \
                     (select max(tx) from orders where tx < horizon), \
                     (select max(tx) from erasures where tx < horizon) \
                 ), 0) as tx from now \
             ) \
             select \
                 case when pg_is_in_recovery() \
                     then least(newest.tx + 1, pg_snapshot_xmin(snapshot)::text::bigint) \
                     else newest.tx + 1 end as \"unseen_from!\", \
                 array(select xip::text::bigint from pg_snapshot_xip(snapshot) as xip) \
                     as \"under_way!\", \
                 array( \
                     select order_uid from ( \
                         (select order_uid, tx from orders where tx >= $1 and tx < horizon \
                          order by tx desc limit $3) \
                         union all \
                         (select order_uid, tx from orders where tx = any($2) and tx < $1 \
                          order by tx desc limit $3) \
                     ) as fresh order by tx desc limit $3 \
                 ) as \"uids!\", \
                 array( \
                     select uid_sha256 from erasures where tx >= $1 and tx < horizon \
                     union all \
                     select uid_sha256 from erasures where tx = any($2) and tx < $1 \
                 ) as \"erased!: Vec<Sha256Digest>\" \
             from now, newest",
            cursor.unseen_from,
            &cursor.under_way,
            // One more than asked for tells whether there is more.
            i64::from(cap) + 1,
        );
        let fresh =
            self.run("SELECT orders", async |connection| fresh.fetch_one(connection).await).await?;
        let (unseen_from, under_way) = (fresh.unseen_from, fresh.under_way);
        let (mut uids, erased) = (fresh.uids, fresh.erased);
        let cap = usize::try_from(cap).unwrap_or(usize::MAX);
        let skipped = uids.len() > cap;
        uids.truncate(cap);
        Ok(Followed { uids, erased, next: Cursor { unseen_from, under_way }, skipped })
    }

    /// The SHA-256 of the uids of all orders that were ever erased, 32 bytes each.
    pub async fn erased_orders(&self) -> Result<Vec<Sha256Digest>, Error> {
        let erased =
            sqlx::query_scalar!("select uid_sha256 as \"uid_sha256: Sha256Digest\" from erasures");
        self.run("SELECT erasures", async |connection| erased.fetch_all(connection).await).await
    }

    /// The documents of those `uids` that are stored, in no particular order. All are held in
    /// memory at once, so the caller asks for few at a time.
    pub async fn documents(&self, uids: &[String]) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let documents =
            sqlx::query!("select order_uid, document from orders where order_uid = any($1)", uids)
                .map(|order| (order.order_uid, order.document));
        self.run("SELECT orders", async |connection| documents.fetch_all(connection).await).await
    }
}
