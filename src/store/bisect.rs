//! One statement for a batch of orders; when it is refused, the search for those at fault.

use std::collections::{HashMap, HashSet};

use sqlx::postgres::{PgBindIterExt, PgConnection};

use super::connection::with_timeout;
use super::warnings::Warnings;
use super::{Class, Error, NewOrder, classify};

/// What became of a batch of distinct orders. Who is in neither was there before.
#[derive(Debug, Default)]
pub(super) struct Insertion<'a> {
    /// The uids of the rows that are new.
    pub(super) stored: HashSet<String>,
    /// What Postgres said, by the uid of each order it refused.
    pub(super) refused: HashMap<&'a str, String>,
    /// Whether Postgres warned of something: a commit may not be replicated as it should be.
    pub(super) warned: bool,
}

/// Inserts orders of distinct uids, sorted by uid: writers that insert overlapping batches in
/// different orders would deadlock.
///
/// When the content is refused, the batch is halved until the orders at fault stand alone. One
/// is blamed only after failing alone twice, and only while most of the batch is well.
pub(super) async fn insert<'a>(
    connection: &mut PgConnection,
    warnings: &Warnings,
    orders: &[&NewOrder<'a>],
) -> Result<Insertion<'a>, Error> {
    let mut insertion = Insertion::default();
    let mut parts = vec![orders];
    let mut alone_before = None;
    while let Some(part) = parts.pop() {
        let (answer, warned) = warnings.capture(insert_once(connection, part)).await;
        insertion.warned |= warned;
        let error = match answer {
            Ok(stored) => {
                insertion.stored.extend(stored);
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
    Ok(insertion)
}

/// Inserts in one round trip and one transaction, and names the uids of the new rows.
async fn insert_once(
    connection: &mut PgConnection,
    orders: &[&NewOrder<'_>],
) -> sqlx::Result<Vec<String>> {
    let insertion = sqlx::query_scalar!(
        "insert into orders (order_uid, document, channel_sequence) \
         select * from unnest($1::text[], $2::bytea[], $3::bigint[]) \
         on conflict do nothing returning order_uid",
        orders.iter().map(|order| order.uid).bind_iter() as _,
        orders.iter().map(|order| order.document).bind_iter() as _,
        orders.iter().map(|order| super::bigint(order.sequence)).bind_iter() as _,
    );
    with_timeout(insertion.fetch_all(connection)).await
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
