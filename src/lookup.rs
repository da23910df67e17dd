//! Finding an order: in memory, else in Postgres, and never a false "no".

mod single_flight;

use std::sync::Arc;
use std::time::Duration;

use order::OrderUid;
use tokio::time::{Instant, timeout, timeout_at};

use crate::cache::{Cache, Prepared};
use crate::metrics::Metrics;
use crate::primary::PrimaryState;
use crate::store::{Found, Store};
use single_flight::SingleFlight;

/// What can be said about an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The order, from memory or from Postgres.
    Found(Prepared),
    /// It was erased.
    Erased,
    /// A primary said that it is not, to a query begun after the request came.
    Absent,
    /// Nobody who knows could be asked in time.
    CannotTell,
}

impl Answer {
    /// The value of the label `result` in metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Found(_) => "found",
            Self::Erased => "erased",
            Self::Absent => "absent",
            Self::CannotTell => "cannot_tell",
        }
    }
}

/// Looks up orders. Clones share the cache and the queries under way.
#[derive(Debug, Clone)]
pub struct Lookup {
    cache: Cache,
    metrics: Metrics,
    postgres: Arc<Postgres>,
    queries: SingleFlight,
}

/// What a miss asks, and where the order goes that it finds.
#[derive(Debug)]
struct Postgres {
    store: Store,
    cache: Cache,
    primary: PrimaryState,
    timeout: Duration,
}

impl Lookup {
    /// `concurrency` queries at a time, each request answered within `timeout`. Queries run on
    /// the runtime that calls this.
    #[must_use]
    pub fn new(
        cache: Cache,
        store: Store,
        primary: PrimaryState,
        metrics: Metrics,
        concurrency: usize,
        timeout: Duration,
    ) -> Self {
        let postgres = Arc::new(Postgres { store, cache: cache.clone(), primary, timeout });
        Self { cache, metrics, postgres, queries: SingleFlight::new(concurrency, timeout) }
    }

    /// The order, if it is in memory.
    #[must_use]
    pub fn in_memory(&self, uid: &str) -> Option<Prepared> {
        let order = self.cache.get(uid)?;
        self.metrics.cache.hits.inc();
        Some(order)
    }

    /// The order from memory, else from Postgres.
    pub async fn find(&self, uid: &OrderUid) -> Answer {
        if let Some(order) = self.in_memory(uid.as_str()) {
            return Answer::Found(order);
        }
        if self.cache.is_erased(uid.as_str()) {
            return Answer::Erased;
        }
        self.metrics.cache.misses.inc();
        let asked = Instant::now();
        let query = || Arc::clone(&self.postgres).find(uid.clone());
        let answer = self.queries.ask(uid, asked, query);
        let answer = timeout_at(asked + self.postgres.timeout, answer).await;
        let mut answer = answer.unwrap_or(Answer::CannotTell);
        // The query may have read the order before it was erased.
        if matches!(answer, Answer::Found(_)) && self.cache.is_erased(uid.as_str()) {
            answer = Answer::Erased;
        }
        self.metrics.lookup.observe(answer.as_str(), asked.elapsed());
        answer
    }
}

impl Postgres {
    async fn find(self: Arc<Self>, uid: OrderUid) -> Answer {
        let generation = self.cache.generation();
        match timeout(self.timeout, self.store.find(uid.as_str())).await {
            Ok(Ok(Found::Document(document))) => {
                let order = Prepared::new(&uid, &document);
                self.cache.insert_of(generation, &order);
                Answer::Found(order)
            }
            Ok(Ok(Found::Erased)) => {
                // What was read before may still be on its way into memory.
                self.cache.erase_one(uid.as_str());
                Answer::Erased
            }
            // It may be one that the primary before has taken along.
            Ok(Ok(Found::Absent)) if self.primary.is_repairing() => Answer::CannotTell,
            Ok(Ok(Found::Absent)) => Answer::Absent,
            Ok(Ok(Found::UnknownOnStandby)) | Err(_) => Answer::CannotTell,
            Ok(Err(error)) => {
                tracing::debug!(%error, "Postgres could not be asked for an order");
                Answer::CannotTell
            }
        }
    }
}
