//! What both tables hold in the end.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use bytes::Bytes;

use crate::ledger::{Digest, digest};
use crate::origin::{Origin, Place};
use crate::world::World;

/// What both tables hold.
pub(crate) struct Tables {
    /// Document and message by uid.
    pub(crate) orders: HashMap<String, (Bytes, Place)>,
    /// Reason by message and digest.
    pub(crate) rejects: BTreeMap<(Place, Digest), String>,
}

/// Uid, document, source and sequence.
type OrderRow = (String, Vec<u8>, Option<String>, i64);

/// Channel, sequence, digest, payload and reason.
type RejectRow = (String, i64, Vec<u8>, Vec<u8>, String);

impl Tables {
    pub(crate) async fn read(world: &World) -> Result<Self> {
        let origin = |name: &dyn Fn(Origin) -> bool| {
            world.sources.origins().iter().copied().find(|origin| name(*origin))
        };
        let orders: Vec<OrderRow> =
            sqlx::query_as("select order_uid, document, source, channel_sequence from orders")
                .fetch_all(&world.sql)
                .await?;
        let rejects: Vec<RejectRow> = sqlx::query_as(
            "select channel, sequence, sha256, payload, reason from rejected_messages",
        )
        .fetch_all(&world.sql)
        .await?;
        let mut history = world.ledger.history();
        let tally = &mut history.tally;
        tally.orders += orders.len() as u64;
        tally.rejects += rejects.len() as u64;
        let mut tables = Self { orders: HashMap::new(), rejects: BTreeMap::new() };
        for (uid, document, source, sequence) in orders {
            let Some(origin) = origin(&|origin| origin.source() == source) else {
                tally.violation("wrong", format!("order {uid} is of another source"));
                continue;
            };
            let row = (Bytes::from(document), (origin, sequence.cast_unsigned()));
            if tables.orders.insert(uid.clone(), row).is_some() {
                tally.violation("duplicated", format!("order {uid} is there twice"));
            }
        }
        for (channel, sequence, sha256, payload, reason) in rejects {
            let Some(origin) = origin(&|origin| origin.reject_channel() == channel) else {
                tally.violation("wrong", format!("reject {sequence} is of another channel"));
                continue;
            };
            let key = ((origin, sequence.cast_unsigned()), digest(&payload));
            if sha256 != key.1 {
                tally.violation("wrong", format!("reject {sequence} bears another digest"));
            }
            if tables.rejects.insert(key, reason).is_some() {
                tally.violation("duplicated", format!("reject {sequence} is there twice"));
            }
        }
        Ok(tables)
    }
}
