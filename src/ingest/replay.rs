//! Rejects once more: the same parsing and the same writing as for a message off the channel.

use bytes::Bytes;
use order::{Order, Reason};

use super::apply::Applied;
use super::batch::{Batch, Candidate, Reject, rows};
use crate::source;
use crate::store::{Error, KeptReject, Outcome, Store};

/// Gives rejects another try, after the fault that made them rejects is mended.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Where rejects come from and orders go.
    pub store: Store,
    /// Longest message that can be an order, in bytes.
    pub max_message_bytes: usize,
    /// Whether to say only what would become of them.
    pub dry_run: bool,
}

/// A reject with its payload, to be tried again.
#[derive(Debug, Clone)]
pub struct Retried {
    /// What is known of it.
    pub kept: KeptReject,
    /// The message as it came.
    pub payload: Bytes,
}

impl Candidate for Retried {
    fn payload(&self) -> &Bytes {
        &self.payload
    }

    fn sequence(&self) -> u64 {
        self.kept.sequence
    }
}

/// What became of a reject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// It is an order now, and no reject any more.
    Stored,
    /// Its order was stored already, byte for byte; it is no reject any more.
    Duplicate,
    /// Its order was erased; it is no reject any more either.
    Erased,
    /// It stays a reject, for this reason. What is kept of it is not changed.
    Refused {
        /// The reason it is refused for now, which may be another than before.
        reason: Reason,
        /// The reason in words, with place and value.
        detail: String,
    },
    /// It stays: an order of its id came and went at the same time.
    Unsettled,
}

impl Replayed {
    /// Whether it is no reject any more.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Stored | Self::Duplicate | Self::Erased)
    }
}

impl Replay {
    /// Tries a batch, and says what became of each, the lowest id first. A reject is removed
    /// only after its order is committed. After an error some may be orders and rejects both;
    /// to try again is safe.
    pub async fn run(&self, batch: Vec<Retried>) -> Result<Vec<(KeptReject, Replayed)>, Error> {
        let Batch { orders, rejects } = Batch::parse(batch, self.max_message_bytes);
        let mut done: Vec<_> = rejects.into_iter().map(refused).collect();
        let outcomes = self.write(&orders).await?;
        let applied = Applied::new(orders, outcomes);
        for (orders, replayed) in [
            (applied.stored, Replayed::Stored),
            (applied.duplicates, Replayed::Duplicate),
            (applied.erased, Replayed::Erased),
            (applied.indeterminate, Replayed::Unsettled),
        ] {
            done.extend(orders.into_iter().map(|(retried, _)| (retried.kept, replayed.clone())));
        }
        done.extend(applied.rejects.into_iter().map(refused));
        let settled: Vec<i64> = done
            .iter()
            .filter(|(_, replayed)| replayed.is_settled())
            .map(|(kept, _)| kept.id)
            .collect();
        if !self.dry_run && !settled.is_empty() {
            self.store.remove_rejects(&settled).await?;
        }
        done.sort_by_key(|(kept, _)| kept.id);
        Ok(done)
    }

    async fn write(&self, orders: &[(Retried, Order)]) -> Result<Vec<Outcome>, Error> {
        let rows = rows(orders, |retried| source::column(&retried.kept.channel));
        if self.dry_run {
            return self.store.dry_run_orders(&rows).await;
        }
        match self.store.insert_orders_again(&rows).await {
            // The guard against a constraint that refuses most of what flows in. Among rejects
            // most may well be refused, so each is asked for alone.
            Err(Error::Halt { .. }) => {
                let mut outcomes = Vec::with_capacity(rows.len());
                for row in rows.chunks(1) {
                    outcomes.extend(self.store.insert_orders_again(row).await?);
                }
                Ok(outcomes)
            }
            written => written,
        }
    }
}

fn refused(reject: Reject<Retried>) -> (KeptReject, Replayed) {
    let Reject { message, reason, detail, .. } = reject;
    (message.kept, Replayed::Refused { reason, detail })
}
