//! Being ready with a cold cache, where the alternative is to wait for a Postgres that is away.
//!
//! A replica that is not ready keeps its siblings where they are: the disruption budget lets none
//! of them be evicted. When the drained node is the one that Postgres' volume is bound to, the
//! new replica waits for Postgres, Postgres for the end of the drain, and the drain for the
//! replica. So a replica that cannot reach Postgres for long becomes ready as it is. Nothing
//! wrong is answered: what it does not have, it cannot tell.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::store::Store;

/// Longest time between two looks.
const LOOK: Duration = Duration::from_secs(5);

/// Makes a replica ready that cannot warm up.
#[derive(Debug, Clone)]
pub struct ColdStart {
    /// Where the cache would be filled from.
    pub store: Store,
    /// Told that the replica is ready as it is.
    pub health: Health,
    /// How long Postgres must have been out of reach; zero for never.
    pub after: Duration,
}

impl ColdStart {
    /// Watches until the cache is warm, and does nothing from then until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        if !self.after.is_zero() {
            stop.run_until_cancelled(self.watch()).await;
        }
        stop.cancelled().await;
    }

    async fn watch(&self) {
        let mut looks = interval(LOOK.min(self.after));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut away_since, mut was_reached) = (None, false);
        loop {
            looks.tick().await;
            let reached = self.store.reach().await;
            if self.health.is_warm() {
                return;
            }
            match &reached {
                Ok(()) => {
                    tracing::debug!("Postgres can be reached; the cache is not warm yet");
                    away_since = None;
                    // It had the time between two looks to bring up the schema. Something else
                    // than an outage is wrong, and that is what being unready is for.
                    if was_reached && self.health.is_preparing() && self.health.set_cold(false) {
                        tracing::warn!("Not ready any more: Postgres is back, but of no use");
                    }
                }
                Err(unreachable) => {
                    tracing::debug!(error = %unreachable, "The cache cannot be warmed");
                    let since = *away_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.after && self.health.set_cold(true) {
                        tracing::warn!(
                            error = %unreachable,
                            "Ready with a cold cache: lookups of what is not in memory are \
                             answered with 503 until Postgres is back"
                        );
                    }
                }
            }
            was_reached = reached.is_ok();
        }
    }
}
