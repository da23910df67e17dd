//! Keeping what could not become an order.

mod prune;
mod read;
mod usage;

use std::borrow::Cow;

use order::uids_named;
use sqlx::postgres::PgBindIterExt;

use super::connection::with_timeout;
use super::erasures::erased_among;
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
    ///
    /// One that names an erased order as its `order_uid` is not kept: says so of each, in the
    /// order of the batch.
    pub async fn insert_rejects(&self, batch: &[NewReject<'_>]) -> Result<Vec<bool>, Error> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let mut rejects: Vec<(Sha256Digest, usize, &NewReject<'_>)> = batch
            .iter()
            .enumerate()
            .map(|(place, reject)| (Sha256Digest::of(reject.payload), place, reject))
            .collect();
        // In one order everywhere, or two writers of overlapping batches would deadlock.
        rejects.sort_by_key(|(sha256, _, reject)| (reject.channel, reject.sequence, *sha256));
        let named: Vec<(usize, Sha256Digest)> =
            batch.iter().enumerate().flat_map(|(place, reject)| named_in(place, reject)).collect();

        self.run_unbounded(async |connection| {
            let insertion = sqlx::query!(
                "insert into rejected_messages \
                 (channel, sequence, sha256, reason, detail, formatting_only, payload) \
                 select channel, sequence, sha256, reason, detail, formatting_only, payload \
                 from unnest($1::text[], $2::bigint[], $3::bytea[], $4::text[], $5::text[], \
                     $6::boolean[], $7::bytea[], $8::bigint[]) \
                     as new (channel, sequence, sha256, reason, detail, formatting_only, payload, place) \
                 where not exists ( \
                     select from unnest($9::bigint[], $10::bytea[]) as named (place, uid_sha256) \
                     join erasures using (uid_sha256) where named.place = new.place \
                 ) on conflict do nothing",
                rejects.iter().map(|(_, _, reject)| reject.channel).bind_iter() as _,
                rejects.iter().map(|(_, _, reject)| bigint(reject.sequence)).bind_iter() as _,
                rejects.iter().map(|(sha256, _, _)| *sha256).bind_iter() as _,
                rejects.iter().map(|(_, _, reject)| reject.reason).bind_iter() as _,
                rejects.iter().map(|(_, _, reject)| storable(reject.detail)).bind_iter() as _,
                rejects.iter().map(|(_, _, reject)| reject.formatting_only).bind_iter() as _,
                rejects.iter().map(|(_, _, reject)| reject.payload).bind_iter() as _,
                rejects.iter().map(|(_, place, _)| bigint(*place as u64)).bind_iter() as _,
                named.iter().map(|(place, _)| bigint(*place as u64)).bind_iter() as _,
                named.iter().map(|(_, uid_sha256)| *uid_sha256).bind_iter() as _,
            );
            let insertion = with_timeout(insertion.execute(&mut *connection));
            let insertion = self.traced("INSERT rejected_messages", insertion);
            let (inserted, warned) = self.warnings.capture(insertion).await;
            let all_are_new = inserted?.rows_affected() == rejects.len() as u64;
            let mut is_erased = vec![false; batch.len()];
            if !all_are_new && !named.is_empty() {
                let digests: Vec<_> = named.iter().map(|(_, uid_sha256)| *uid_sha256).collect();
                let erased = with_timeout(erased_among(&mut *connection, &digests));
                let erased = self.traced("SELECT erasures", erased).await?;
                for (place, _) in named.iter().filter(|(_, digest)| erased.contains(digest)) {
                    is_erased[*place] = true;
                }
            }
            if warned || !all_are_new {
                self.until_replicated(connection).await?;
            }
            Ok::<_, Error>(is_erased)
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

/// The SHA-256 of each id that a reject names as `order_uid`, with the reject's place.
fn named_in(place: usize, reject: &NewReject<'_>) -> impl Iterator<Item = (usize, Sha256Digest)> {
    uids_named(reject.payload).map(move |uid| (place, Sha256Digest::of(uid.as_str().as_bytes())))
}

/// A detail may quote the message, and `text` cannot hold a NUL.
fn storable(detail: &str) -> Cow<'_, str> {
    if detail.contains('\0') {
        Cow::Owned(detail.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(detail)
    }
}
