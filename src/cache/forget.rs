//! What becomes of the orders in memory when Postgres is another primary than before.

use std::time::Duration;

use super::CacheSync;
use crate::retry::{self, until_done};
use crate::store::Error;

/// Orders asked for at once.
const AT_ONCE: usize = 1_000;

/// Time between two attempts while Postgres is away.
const RETRY: Duration = Duration::from_millis(500);

impl CacheSync {
    /// Takes all orders out of memory, for the primary before may have taken them along; the ids
    /// of those that the new one lacks.
    pub(super) async fn forget(&self) -> Vec<String> {
        let orders = self.cache.take_all();
        let uids = orders.iter().filter_map(|order| str::from_utf8(order.uid()).ok());
        let uids: Vec<String> = uids.map(str::to_owned).collect();
        drop(orders);
        let lacking = self.lacking(uids).await;
        if !lacking.is_empty() {
            let orders = lacking.len();
            tracing::warn!(orders, "The new primary lacks orders that were in memory");
        }
        lacking
    }

    /// Tells which orders are lost: neither did the new primary have them, nor has a repair found
    /// them. `lacking` are those that it lacked.
    pub(super) async fn tell_lost(&self, lacking: Vec<String>) {
        let lost = self.lacking(lacking).await;
        if lost.is_empty() {
            return;
        }
        self.metrics.primary.lost.inc_by(lost.len() as u64);
        tracing::error!(
            orders = lost.len(),
            "Orders that were served are lost with the primary before, and not in the channel or \
             stream any more; /statusz.json names them: publish them again"
        );
        self.primary.lose(lost);
    }

    /// Which of these Postgres does not have, and has not erased.
    async fn lacking(&self, uids: Vec<String>) -> Vec<String> {
        let mut lacking = Vec::new();
        for part in uids.chunks(AT_ONCE) {
            let report = |error: &Error| tracing::debug!(%error, "Orders cannot be compared yet");
            let ask = || self.store.lacking_among(part);
            lacking.extend(until_done(retry::every(RETRY), ask, report).await);
        }
        lacking
    }
}
