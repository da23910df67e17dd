//! Keeping what could not become an order.

mod prune;
mod read;
mod usage;

use std::borrow::Cow;

use sqlx::postgres::PgBindIterExt;

use super::connection::with_timeout;
use super::{Error, Store, bigint};
use crate::digest::Sha256Digest;

pub use prune::RejectSpan;
pub use read::{Direction, KeptReject, RejectFilter};
pub use usage::RejectsMeasured;

/// The rejects a [`RejectFilter`] lets through, as `read::bind` binds it. A null lets all through.
macro_rules! matching {
    () => {
        "($1::bigint[] is null or id = any($1)) \
         and ($2::text[] is null or reason = any($2)) \
         and ($3::text is null or first_seen >= $3::timestamptz) \
         and ($4::text is null or first_seen < $4::timestamptz) \
         and ($5::text is null or channel = $5)"
    };
}
use matching;

/// A message that could not become an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewReject<'a> {
    /// Channel the message came from.
    pub channel: &'a str,
    /// Its sequence in that channel.
    pub sequence: u64,
    /// Why, one of the list that the table's constraint closes.
    pub reason: &'static str,
    /// The reason in words, with place and value.
    pub detail: &'a str,
    /// For a conflict, whether it differs from the stored order in formatting only.
    pub formatting_only: Option<bool>,
    /// The message as it came.
    pub payload: &'a [u8],
}

impl Store {
    /// Keeps a batch of rejects. One that is kept already, from an earlier delivery, stays as
    /// it is. They are committed when this returns without an error.
    pub async fn insert_rejects(&self, batch: &[NewReject<'_>]) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut rejects: Vec<(Sha256Digest, &NewReject<'_>)> =
            batch.iter().map(|reject| (Sha256Digest::of(reject.payload), reject)).collect();
        // In one order everywhere, or two writers of overlapping batches would deadlock.
        rejects.sort_by_key(|(sha256, reject)| (reject.channel, reject.sequence, *sha256));

        self.run_unbounded(async |connection| {
            let insertion = sqlx::query!(
                "insert into rejected_messages \
                 (channel, sequence, sha256, reason, detail, formatting_only, payload) \
                 select * from unnest($1::text[], $2::bigint[], $3::bytea[], $4::text[], \
                 $5::text[], $6::boolean[], $7::bytea[]) on conflict do nothing",
                rejects.iter().map(|(_, reject)| reject.channel).bind_iter() as _,
                rejects.iter().map(|(_, reject)| bigint(reject.sequence)).bind_iter() as _,
                rejects.iter().map(|(sha256, _)| *sha256).bind_iter() as _,
                rejects.iter().map(|(_, reject)| reject.reason).bind_iter() as _,
                rejects.iter().map(|(_, reject)| storable(reject.detail)).bind_iter() as _,
                rejects.iter().map(|(_, reject)| reject.formatting_only).bind_iter() as _,
                rejects.iter().map(|(_, reject)| reject.payload).bind_iter() as _,
            );
            let insertion = with_timeout(insertion.execute(&mut *connection));
            let insertion = self.traced("INSERT rejected_messages", insertion);
            let (inserted, warned) = self.warnings.capture(insertion).await;
            let all_are_new = inserted?.rows_affected() == rejects.len() as u64;
            if warned || !all_are_new {
                self.until_replicated(connection).await?;
            }
            Ok::<_, Error>(())
        })
        .await
    }

    /// How many rejects are kept.
    pub async fn count_rejects(&self) -> Result<u64, Error> {
        let count = sqlx::query_scalar!("select count(*) as \"count!\" from rejected_messages");
        let count = self
            .run("SELECT rejected_messages", async |connection| count.fetch_one(connection).await)
            .await?;
        Ok(count.unsigned_abs())
    }
}

/// A detail may quote the message, and `text` cannot hold a NUL.
fn storable(detail: &str) -> Cow<'_, str> {
    if detail.contains('\0') {
        Cow::Owned(detail.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(detail)
    }
}
