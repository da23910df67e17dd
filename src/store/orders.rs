//! Writing orders: the first write of a uid wins, and every other is judged against it.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use sqlx::postgres::{PgBindIterExt, PgConnection};

use super::bisect::{self, Insertion, Stored};
use super::connection::with_timeout;
use super::copy_in::CopyGate;
use super::erasures::erased_among;
use super::{Error, Store};
use crate::digest::Sha256Digest;

/// An order to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewOrder<'a> {
    /// The order's id, the primary key of the table.
    pub uid: &'a str,
    /// The bytes of the message, as published.
    pub document: &'a [u8],
    /// The message's sequence in its channel or stream.
    pub sequence: u64,
    /// The stream of JetStream that the message was in; none for the channel of NATS Streaming.
    pub source: Option<&'a str>,
}

/// What became of one order of a batch. All but [`Outcome::Indeterminate`] and
/// [`Outcome::Refused`] are committed facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is new, and committed.
    Stored,
    /// The very same bytes are stored already.
    Duplicate,
    /// Other bytes are stored under its uid, and stay.
    Conflict {
        /// The bytes that are stored under the id.
        kept: Bytes,
        /// Whether both are the same JSON, written differently.
        formatting_only: bool,
    },
    /// Postgres refuses this order for its content, also when it comes alone.
    Refused {
        /// SQLSTATE and message of Postgres.
        detail: String,
    },
    /// The order of its uid was erased, and must not be stored again.
    Erased,
    /// Neither was it inserted nor is anything found under its uid (a row deleted meanwhile, or
    /// the first of its uid in this batch was refused). It must come again.
    Indeterminate,
}

impl Store {
    /// Stores a batch and says what became of each order, in the order of the batch. Among
    /// those of one uid the lowest sequence is the first. An error means that nothing is known
    /// of any of them, and that the whole batch may be sent again.
    ///
    /// It is quickest when all are new; see [`Store::insert_orders_again`].
    pub async fn insert_orders(&self, batch: &[NewOrder<'_>]) -> Result<Vec<Outcome>, Error> {
        self.write(batch, Some(&self.copy_gate)).await
    }

    /// Like [`Store::insert_orders`], and quicker when some of them were stored before.
    pub async fn insert_orders_again(&self, batch: &[NewOrder<'_>]) -> Result<Vec<Outcome>, Error> {
        self.write(batch, None).await
    }

    async fn write(
        &self,
        batch: &[NewOrder<'_>],
        gate: Option<&CopyGate>,
    ) -> Result<Vec<Outcome>, Error> {
        let first_per_uid = first_per_uid(batch);
        if first_per_uid.is_empty() {
            return Ok(Vec::new());
        }
        let insertion = self.run_unbounded(async |connection| {
            let insertion = bisect::insert(self, &mut *connection, gate, &first_per_uid).await?;
            let is_older = |uid: &&str| {
                !insertion.stored.contains(uid) && !insertion.refused.contains_key(uid)
            };
            let mut older: Vec<_> =
                first_per_uid.iter().map(|first| first.uid).filter(is_older).collect();
            let kept = if older.is_empty() {
                HashMap::new()
            } else {
                let kept = with_timeout(fetch(&mut *connection, &older));
                self.traced("SELECT orders", kept).await?
            };
            older.retain(|uid| !kept.contains_key(*uid));
            let erased = self.erased_of(&mut *connection, &older).await?;
            if insertion.warned || !kept.is_empty() || !erased.is_empty() {
                self.until_replicated(connection).await?;
            }
            Ok::<_, Error>((insertion, kept, erased))
        });
        let (insertion, kept, erased) = insertion.await?;
        if matches!(insertion.stored, Stored::All) && first_per_uid.len() == batch.len() {
            return Ok(vec![Outcome::Stored; batch.len()]);
        }

        let first_per_uid = first_per_uid.into_iter().map(|first| (first.uid, first)).collect();
        let result = BatchResult { first_per_uid, insertion, kept, erased };
        Ok(batch.iter().map(|order| result.of(order)).collect())
    }

    /// Says what would become of each order of a batch now, and stores none of them. What
    /// Postgres would refuse for its content is not foreseen.
    pub async fn dry_run_orders(&self, batch: &[NewOrder<'_>]) -> Result<Vec<Outcome>, Error> {
        let first_per_uid = first_per_uid(batch);
        let uids: Vec<_> = first_per_uid.iter().map(|first| first.uid).collect();
        let kept = async |connection: &mut PgConnection| {
            let kept = with_timeout(fetch(&mut *connection, &uids)).await?;
            let erased = self.erased_of(connection, &uids).await?;
            Ok::<_, Error>((kept, erased))
        };
        let (kept, erased) = self.run_unbounded(kept).await?;

        let is_new = |uid: &str| !kept.contains_key(uid) && !erased.contains(uid);
        let new = first_per_uid.iter().filter(|first| is_new(first.uid));
        let stored = Stored::Some(new.map(|first| first.uid).collect());
        let insertion = Insertion { stored, ..Insertion::default() };
        let first_per_uid = first_per_uid.into_iter().map(|first| (first.uid, first)).collect();
        let result = BatchResult { first_per_uid, insertion, kept, erased };
        Ok(batch.iter().map(|order| result.of(order)).collect())
    }

    /// Those of these uids whose order was erased.
    async fn erased_of<'a>(
        &self,
        connection: &mut PgConnection,
        uids: &[&'a str],
    ) -> Result<HashSet<&'a str>, Error> {
        if uids.is_empty() {
            return Ok(HashSet::new());
        }
        let digests: Vec<_> = uids.iter().map(|uid| Sha256Digest::of(uid.as_bytes())).collect();
        let erased = with_timeout(erased_among(connection, &digests));
        let erased = self.traced("SELECT erasures", erased).await?;
        let is_erased = |(_, digest): &(_, _)| erased.contains(*digest);
        Ok(uids.iter().zip(&digests).filter(is_erased).map(|(uid, _)| *uid).collect())
    }
}

/// One order for each uid, that of the lowest sequence, sorted by uid. Rejects that are tried again
/// may be of several sources; then the channel of NATS Streaming comes first, for it was read first.
fn first_per_uid<'b, 'a>(batch: &'b [NewOrder<'a>]) -> Vec<&'b NewOrder<'a>> {
    let mut first_per_uid: Vec<&NewOrder<'_>> = batch.iter().collect();
    first_per_uid.sort_by_key(|order| (order.uid, order.source, order.sequence));
    first_per_uid.dedup_by_key(|order| order.uid);
    first_per_uid
}

/// What is stored under `uids`.
async fn fetch(
    connection: &mut PgConnection,
    uids: &[&str],
) -> sqlx::Result<HashMap<String, Bytes>> {
    if uids.is_empty() {
        return Ok(HashMap::new());
    }
    let documents = sqlx::query!(
        "select order_uid, document from orders where order_uid = any($1)",
        uids.iter().copied().bind_iter() as _,
    )
    .map(|order| (order.order_uid, Bytes::from(order.document)));
    Ok(documents.fetch_all(connection).await?.into_iter().collect())
}

/// All that is needed to judge each order of a batch.
struct BatchResult<'b, 'a> {
    first_per_uid: HashMap<&'b str, &'b NewOrder<'a>>,
    insertion: Insertion<'a>,
    kept: HashMap<String, Bytes>,
    erased: HashSet<&'b str>,
}

impl BatchResult<'_, '_> {
    fn of(&self, order: &NewOrder<'_>) -> Outcome {
        let Some(first) = self.first_per_uid.get(order.uid) else {
            return Outcome::Indeterminate;
        };
        if self.insertion.stored.contains(order.uid) {
            return if std::ptr::eq(*first, order) {
                Outcome::Stored
            } else {
                compare(order.document, first.document, || Bytes::copy_from_slice(first.document))
            };
        }
        if let Some(detail) = self.insertion.refused.get(order.uid) {
            return if first.document == order.document {
                Outcome::Refused { detail: detail.clone() }
            } else {
                Outcome::Indeterminate
            };
        }
        match self.kept.get(order.uid) {
            Some(kept) => compare(order.document, kept, || kept.clone()),
            None if self.erased.contains(order.uid) => Outcome::Erased,
            None => Outcome::Indeterminate,
        }
    }
}

fn compare(new: &[u8], kept: &[u8], keep: impl FnOnce() -> Bytes) -> Outcome {
    if new == kept {
        return Outcome::Duplicate;
    }
    Outcome::Conflict { kept: keep(), formatting_only: is_same_json(new, kept) }
}

fn is_same_json(left: &[u8], right: &[u8]) -> bool {
    let parse = serde_json::from_slice::<serde_json::Value>;
    matches!((parse(left), parse(right)), (Ok(left), Ok(right)) if left == right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(uid: &'static str, document: &'static str, sequence: u64) -> NewOrder<'static> {
        NewOrder { uid, document: document.as_bytes(), sequence, source: None }
    }

    #[test]
    fn leaders_are_sorted_by_byte_and_lead_by_the_lowest_sequence() {
        let batch = [
            order("b", "3", 3),
            order("a", "4", 4),
            order("Z", "9", 9),
            order("b", "2", 2),
            order("a", "4 again", 4),
        ];
        let first_per_uid: Vec<_> = first_per_uid(&batch).into_iter().copied().collect();
        assert_eq!(first_per_uid, [order("Z", "9", 9), order("a", "4", 4), order("b", "2", 2)]);
    }

    #[test]
    fn a_message_of_the_channel_leads_whatever_its_sequence() {
        let moved = NewOrder { source: Some("jetstream:ORDERS"), ..order("a", "new", 1) };
        let batch = [moved, order("a", "old", 7)];
        assert_eq!(first_per_uid(&batch), [&order("a", "old", 7)]);
    }

    #[test]
    fn a_difference_in_spaces_order_of_keys_or_escapes_is_formatting_only() {
        for (left, right) in [
            (r#"{"a":1,"b":"é"}"#, r#"{ "b" : "\u00e9", "a" : 1 }"#),
            (r#"{"a":[1,2]}"#, "{\"a\":[1,\n2]}"),
        ] {
            assert!(is_same_json(left.as_bytes(), right.as_bytes()), "{left} {right}");
        }
        for (left, right) in
            [(r#"{"a":1}"#, r#"{"a":2}"#), (r#"{"a":1}"#, r#"{"a":"1"}"#), ("{}", ""), ("", "")]
        {
            assert!(!is_same_json(left.as_bytes(), right.as_bytes()), "{left} {right}");
        }
    }
}
