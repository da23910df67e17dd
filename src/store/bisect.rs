//! Writing a batch of orders; when Postgres refuses it, the search for those at fault.

use std::collections::{HashMap, HashSet};

use sqlx::postgres::{PgBindIterExt, PgConnection};

use super::connection::with_timeout;
use super::copy_in::{CopyGate, copy_in};
use super::{Class, Error, NewOrder, Store, classify};

/// What became of a batch of distinct orders. Who is in neither was there before, or was erased.
#[derive(Debug, Default)]
pub(super) struct Insertion<'a> {
    /// Which rows are new.
    pub(super) stored: Stored<'a>,
    /// What Postgres said, by the uid of each order it refused.
    pub(super) refused: HashMap<&'a str, String>,
    /// Whether Postgres warned of something: a commit may not be replicated as it should be.
    pub(super) warned: bool,
}

/// The orders that were inserted.
#[derive(Debug)]
pub(super) enum Stored<'a> {
    All,
    /// Those with these uids.
    Some(HashSet<&'a str>),
}

impl Default for Stored<'_> {
    fn default() -> Self {
        Self::Some(HashSet::new())
    }
}

impl Stored<'_> {
    pub(super) fn contains(&self, uid: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(uids) => uids.contains(uid),
        }
    }
}

/// Inserts orders of distinct uids, sorted by uid: writers that insert overlapping batches in
/// different orders would deadlock.
///
/// With a `gate` they are expected to be new, and `COPY` is tried first.
///
/// When the content is refused, the batch is halved until the orders at fault stand alone. One
/// is blamed only after failing alone twice, and only while most of the batch is well.
pub(super) async fn insert<'a>(
    store: &Store,
    connection: &mut PgConnection,
    gate: Option<&CopyGate>,
    orders: &[&NewOrder<'a>],
) -> Result<Insertion<'a>, Error> {
    let mut insertion = Insertion::default();
    if let Some(gate) = gate.filter(|gate| gate.is_open(orders.len())) {
        let copy = copy_all(store, connection, gate, orders);
        let (copied, warned) = store.warnings.capture(copy).await;
        insertion.warned |= warned;
        if copied? {
            insertion.stored = Stored::All;
            return Ok(insertion);
        }
    }
    let mut stored = HashSet::with_capacity(orders.len());
    let mut parts = vec![orders];
    let mut alone_before = None;
    while let Some(part) = parts.pop() {
        let insert = store.traced("INSERT orders", insert_once(connection, part));
        let (answer, warned) = store.warnings.capture(insert).await;
        insertion.warned |= warned;
        let error = match answer {
            Ok(uids) => {
                stored.extend(uids);
                continue;
            }
            Err(error) if classify(&error) == Class::Content => error,
            Err(error) => return Err(error.into()),
        };
        match part {
            [order] if alone_before == Some(order.uid) => {
                insertion.refused.insert(order.uid, describe(&error));
                halt_if_most_fail(insertion.refused.len(), orders.len(), &error)?;
            }
            [order] => {
                alone_before = Some(order.uid);
                parts.push(part);
            }
            _ => {
                let (left, right) = part.split_at(part.len() / 2);
                parts.extend([right, left]);
            }
        }
    }
    insertion.stored = Stored::Some(stored);
    Ok(insertion)
}

/// Whether all orders were inserted, which they are not when Postgres objects to one of them.
async fn copy_all(
    store: &Store,
    connection: &mut PgConnection,
    gate: &CopyGate,
    orders: &[&NewOrder<'_>],
) -> Result<bool, Error> {
    let copied = match store.traced("COPY orders", copy_in(connection, orders)).await {
        // Fewer when a trigger left some out.
        Ok(rows) => rows == orders.len() as u64,
        Err(error) if classify(&error) == Class::Content => false,
        Err(error) => return Err(error.into()),
    };
    if copied {
        gate.succeeded();
    } else {
        gate.collided();
    }
    Ok(copied)
}

/// Inserts in one round trip and one transaction, and names the uids of the new rows.
async fn insert_once<'a>(
    connection: &mut PgConnection,
    orders: &[&NewOrder<'a>],
) -> sqlx::Result<Vec<&'a str>> {
    let insertion = sqlx::query_scalar!(
        "insert into orders (order_uid, document, channel_sequence, source) \
         select * from unnest($1::text[], $2::bytea[], $3::bigint[], $4::text[]) \
             as new (uid, document, sequence, source) \
         where not exists (select from erasures) or not exists ( \
             select from erasures where uid_sha256 = sha256(convert_to(new.uid, 'UTF8')) \
         ) \
         on conflict do nothing returning order_uid",
        orders.iter().map(|order| order.uid).bind_iter() as _,
        orders.iter().map(|order| order.document).bind_iter() as _,
        orders.iter().map(|order| super::bigint(order.sequence)).bind_iter() as _,
        orders.iter().map(|order| order.source).bind_iter() as _,
    );
    let uids = with_timeout(insertion.fetch_all(connection)).await?;
    let of = |uid: &String| {
        let at = orders.binary_search_by_key(&&**uid, |order| order.uid).ok()?;
        Some(orders[at].uid)
    };
    Ok(uids.iter().filter_map(of).collect())
}

fn halt_if_most_fail(refused: usize, total: usize, error: &sqlx::Error) -> Result<(), Error> {
    if total > 1 && refused * 2 > total {
        return Err(Error::Halt { refused, total, detail: describe(error) });
    }
    Ok(())
}

/// SQLSTATE and message, without the row that Postgres adds to some details.
fn describe(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(error) => format!("{}: {}", error.code().unwrap_or_default(), error.message()),
        None => error.to_string(),
    }
}
