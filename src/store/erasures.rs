//! Erasing orders, on record.
//!
//! The record of an erasure is the SHA-256 of the order's uid, when and why: it says nothing of
//! the order, and keeps it from ever being stored again. Only the functions of the migration
//! write it, and they delete no order without it.

mod find;
mod sweep;

use std::collections::HashSet;

use order::OrderUid;
use sqlx::Connection as _;
use sqlx::postgres::{PgBindIterExt, PgConnection};

use super::connection::with_timeout;
use super::{Error, Store};
use crate::digest::Sha256Digest;
use crate::source;

use find::Holding;
pub use find::Traces;

/// The record of an erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// SHA-256 of the uid.
    pub uid_sha256: Sha256Digest,
    /// When, RFC 3339; none for now, by the clock of Postgres.
    pub erased_at: Option<String>,
    /// Why.
    pub reason: String,
}

/// A message of a stream that became an order or a reject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamMessage {
    /// The name of the stream.
    pub stream: String,
    /// Its sequence there.
    pub sequence: u64,
}

/// What one transaction has erased.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// SHA-256 of the uids of erasures that were not on record before.
    pub recorded: HashSet<Sha256Digest>,
    /// Uids of the orders that were stored until now.
    pub orders: HashSet<String>,
    /// How many rejects were deleted.
    pub rejects: u64,
    /// The messages of those orders and rejects that came from streams, where they still are.
    pub messages: Vec<StreamMessage>,
}

impl Store {
    /// Erases orders, with every reject that names one of them as its `order_uid`, in one
    /// transaction. One that is not stored is put on record all the same, so that it never will
    /// be. To erase again is safe.
    ///
    /// Writers of orders and rejects wait for the end of the transaction. It waits for theirs for
    /// 2 s at most, so that they do not queue behind it for longer; then it is an
    /// [`Error::Retry`], and nothing is erased.
    pub async fn erase(&self, uids: &[OrderUid], reason: &str) -> Result<Erased, Error> {
        let holding = Holding::uids(uids);
        let erasures: Vec<Erasure> = uids
            .iter()
            .map(|uid| Erasure {
                uid_sha256: Sha256Digest::of(uid.as_str().as_bytes()),
                erased_at: None,
                reason: reason.to_owned(),
            })
            .collect();
        let uids: Vec<&str> = uids.iter().map(OrderUid::as_str).collect();
        self.run_unbounded(async |connection| {
            // Most of the search is done before anybody has to wait.
            let horizon = find::horizon(connection).await?;
            let mut rejects = find::rejects(connection, &holding, None).await?;
            let transaction = async {
                let mut transaction = with_timeout(connection.begin()).await?;
                lock(&mut transaction).await?;
                rejects.extend(find::rejects(&mut transaction, &holding, Some(&horizon)).await?);
                let erased = write(&mut transaction, &erasures, &uids, &rejects).await?;
                with_timeout(transaction.commit()).await?;
                Ok::<_, Error>(erased)
            };
            let transaction = self.traced("CALL erase_orders", transaction);
            let (erased, warned) = self.warnings.capture(transaction).await;
            let erased = erased?;
            if warned || erased.recorded.len() < erasures.len() {
                self.until_replicated(connection).await?;
            }
            Ok::<_, Error>(erased)
        })
        .await
    }

    /// The next `limit` erasures on record, by digest, after this one; none to begin with.
    pub async fn erasures(
        &self,
        after: Option<Sha256Digest>,
        limit: u32,
    ) -> Result<Vec<Erasure>, Error> {
        let page = sqlx::query_as!(
            Erasure,
            "select uid_sha256 as \"uid_sha256: Sha256Digest\", reason, \
                 to_char(erased_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
                     as erased_at \
             from erasures where $1::bytea is null or uid_sha256 > $1 order by uid_sha256 limit $2",
            after as _,
            i64::from(limit),
        );
        self.run("SELECT erasures", async |connection| page.fetch_all(connection).await).await
    }
}

/// Keeps writers of orders and rejects off until the end of the transaction.
async fn lock(transaction: &mut PgConnection) -> sqlx::Result<()> {
    let locked = sqlx::query!(
        "select set_config('lock_timeout', '2s', true) as bound, lock_for_erasure()::text as locked",
    );
    with_timeout(locked.fetch_one(transaction)).await?;
    Ok(())
}

/// The messages of streams that these orders and rejects were.
async fn stream_messages(
    transaction: &mut PgConnection,
    uids: &[&str],
    rejects: &[i64],
) -> sqlx::Result<Vec<StreamMessage>> {
    let messages = sqlx::query!(
        "select source as \"channel!\", channel_sequence as \"sequence!\" from orders \
         where order_uid = any($1) and source is not null \
         union all select channel, sequence from rejected_messages \
         where id = any($2) and starts_with(channel, $3)",
        uids.iter().copied().bind_iter() as _,
        rejects,
        source::JETSTREAM,
    );
    let messages = with_timeout(messages.fetch_all(transaction)).await?;
    let messages = messages.into_iter().filter_map(|message| {
        let stream = source::stream_of(&message.channel)?.to_owned();
        Some(StreamMessage { stream, sequence: message.sequence.unsigned_abs() })
    });
    Ok(messages.collect())
}

/// Puts `erasures` on record, and deletes those of `uids` that are, and these rejects.
async fn write(
    transaction: &mut PgConnection,
    erasures: &[Erasure],
    uids: &[&str],
    rejects: &[i64],
) -> sqlx::Result<Erased> {
    let messages = stream_messages(transaction, uids, rejects).await?;
    let erased = sqlx::query!(
        "select recorded as \"recorded!: Vec<Sha256Digest>\", deleted as \"deleted!\", \
             deleted_rejects as \"deleted_rejects!\" \
         from erase_orders($1, $2::text[]::timestamptz[], $3, $4, $5)",
        erasures.iter().map(|erasure| erasure.uid_sha256).bind_iter() as _,
        erasures.iter().map(|erasure| erasure.erased_at.as_deref()).bind_iter() as _,
        erasures.iter().map(|erasure| erasure.reason.as_str()).bind_iter() as _,
        uids.iter().copied().bind_iter() as _,
        rejects,
    );
    let erased = with_timeout(erased.fetch_one(transaction)).await?;
    Ok(Erased {
        recorded: erased.recorded.into_iter().collect(),
        orders: erased.deleted.into_iter().collect(),
        rejects: erased.deleted_rejects.unsigned_abs(),
        messages,
    })
}

/// Those of these SHA-256 of uids whose order was erased.
pub(super) async fn erased_among(
    connection: &mut PgConnection,
    digests: &[Sha256Digest],
) -> sqlx::Result<HashSet<Sha256Digest>> {
    let erased = sqlx::query_scalar!(
        "select uid_sha256 as \"uid_sha256: Sha256Digest\" from erasures where uid_sha256 = any($1)",
        digests as _,
    );
    Ok(erased.fetch_all(connection).await?.into_iter().collect())
}
