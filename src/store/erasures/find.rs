//! Finding what is left of an order that is erased, or was.

use std::collections::HashSet;

use order::{OrderUid, uids_named};
use sqlx::postgres::{PgBindIterExt, PgConnection};

use super::super::connection::with_timeout;
use super::super::{Error, Store};
use super::erased_among;
use crate::digest::Sha256Digest;

/// Payloads that are judged at a time: all are in memory.
const PAYLOADS_AT_ONCE: i64 = 50;

/// More ids than this are not looked for one by one.
const MOST_NEEDLES: usize = 8;

/// Which rejects are looked for.
pub(super) struct Holding {
    /// One of these bytes is in each of them, unless it is written with escapes.
    needles: Vec<Vec<u8>>,
    /// The SHA-256 of the uids; none for all that were erased.
    digests: Option<HashSet<Sha256Digest>>,
}

impl Holding {
    /// Rejects that name one of these as their `order_uid`.
    pub(super) fn uids(uids: &[OrderUid]) -> Self {
        let bytes = || uids.iter().map(|uid| uid.as_str().as_bytes());
        let digests = Some(bytes().map(Sha256Digest::of).collect());
        if uids.len() > MOST_NEEDLES {
            return Self { digests, ..Self::erased() };
        }
        Self { needles: bytes().map(<[u8]>::to_vec).collect(), digests }
    }

    /// Rejects that name an order that was erased.
    pub(super) fn erased() -> Self {
        Self { needles: vec![b"order_uid".to_vec()], digests: None }
    }
}

/// The first transaction that may not be over, as a `xid`.
pub(super) async fn horizon(connection: &mut PgConnection) -> sqlx::Result<String> {
    let horizon = sqlx::query_scalar!(
        "select pg_snapshot_xmin(pg_current_snapshot())::xid::text as \"horizon!\"",
    );
    with_timeout(horizon.fetch_one(connection)).await
}

/// The ids of the rejects that hold such an order; with `since`, of those alone that a search
/// begun at that [`horizon`] may not have seen.
pub(super) async fn rejects(
    connection: &mut PgConnection,
    holding: &Holding,
    since: Option<&str>,
) -> sqlx::Result<Vec<i64>> {
    let (mut found, mut last) = (Vec::new(), 0);
    loop {
        // A backslash and a u: one that is written with escapes.
        let candidates = sqlx::query!(
            "select id, payload from rejected_messages where id > $1 and case \
                 when $2::text is not null and age(xmin) > age($2::text::xid) then false \
                 else position('\\x5c75'::bytea in payload) > 0 or exists ( \
                     select from unnest($3::bytea[]) as needle where position(needle in payload) > 0 \
                 ) end \
             order by id limit $4",
            last,
            since,
            holding.needles.iter().map(Vec::as_slice).bind_iter() as _,
            PAYLOADS_AT_ONCE,
        );
        let candidates = with_timeout(candidates.fetch_all(&mut *connection)).await?;
        let Some(newest) = candidates.last() else { return Ok(found) };
        last = newest.id;
        let named: Vec<(i64, Sha256Digest)> = candidates
            .iter()
            .flat_map(|reject| uids_named(&reject.payload).map(|uid| (reject.id, uid)))
            .map(|(id, uid)| (id, Sha256Digest::of(uid.as_str().as_bytes())))
            .collect();
        let among = if let Some(digests) = &holding.digests {
            digests
        } else {
            let digests: Vec<_> = named.iter().map(|(_, digest)| *digest).collect();
            &with_timeout(erased_among(&mut *connection, &digests)).await?
        };
        let holds = named.iter().filter(|(_, digest)| among.contains(digest));
        found.extend(holds.map(|(id, _)| *id));
    }
}

/// Where the tables still have something of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// When it was erased, RFC 3339 in UTC, and why; none if it was not.
    pub erasure: Option<(String, String)>,
    /// Whether it is stored.
    pub is_stored: bool,
    /// The rejects in whose payload or detail the bytes of its uid stand, wherever.
    pub rejects: Vec<i64>,
}

impl Store {
    /// Looks for an order in every table.
    pub async fn traces(&self, uid: &OrderUid) -> Result<Traces, Error> {
        let (uid, digest) = (uid.as_str(), Sha256Digest::of(uid.as_str().as_bytes()));
        let traces = sqlx::query!(
            "select exists (select from orders where order_uid = $1) as \"is_stored!\", \
                 array(select id from rejected_messages \
                     where position(convert_to($1, 'UTF8') in payload) > 0 \
                         or position($1 in detail) > 0 order by id) as \"rejects!\", \
                 e.reason as \"reason?\", \
                 to_char(e.erased_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
                     as erased_at \
             from (values (0)) as asked left join erasures e on e.uid_sha256 = $2",
            uid,
            digest as _,
        );
        let traces = self
            .run("SELECT orders", async |connection| traces.fetch_one(connection).await)
            .await?;
        Ok(Traces {
            erasure: traces.erased_at.zip(traces.reason),
            is_stored: traces.is_stored,
            rejects: traces.rejects,
        })
    }
}
