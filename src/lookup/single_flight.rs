//! At most one query for an order at a time; whoever asks meanwhile shares its answer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::context::FutureExt as _;
use order::OrderUid;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

use super::Answer;

/// Queries that may wait for their turn, for each that may run: beyond it the answer is
/// [`Answer::CannotTell`] at once.
const WAITING_PER_RUNNING: usize = 128;

/// The queries under way. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct SingleFlight(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Where queries run: the callers live on runtimes that serve hits and nothing else.
    runtime: Handle,
    permits: Semaphore,
    permit_timeout: Duration,
    max_in_flight: usize,
    in_flight: Mutex<HashMap<OrderUid, Query>>,
}

/// A query under way; empty until it is completed.
type Query = watch::Receiver<Option<Completed>>;

#[derive(Debug, Clone)]
struct Completed {
    /// When the query was sent, not when it had to wait for its turn.
    began: Instant,
    answer: Answer,
}

impl SingleFlight {
    /// `concurrency` queries at a time, on the runtime that calls this. A query that waits for
    /// its turn longer than `permit_timeout` is not sent.
    pub(super) fn new(concurrency: usize, permit_timeout: Duration) -> Self {
        Self(Arc::new(Inner {
            runtime: Handle::current(),
            permits: Semaphore::new(concurrency),
            permit_timeout,
            max_in_flight: concurrency * WAITING_PER_RUNNING,
            in_flight: Mutex::default(),
        }))
    }

    /// The answer to a request that came at `asked`, of a query already under way if there is
    /// one.
    ///
    /// A found order may come from a query that began before the request, for orders never
    /// change. [`Answer::Absent`] may not: the order may have been stored in between.
    pub(super) async fn ask<F>(
        &self,
        uid: &OrderUid,
        asked: Instant,
        query: impl Fn() -> F,
    ) -> Answer
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        loop {
            let Some(mut under_way) = self.join_or_start(uid, &query) else {
                return Answer::CannotTell;
            };
            let Ok(completed) = under_way.wait_for(Option::is_some).await.map(|c| c.clone()) else {
                // The query's task panicked; the next request must not wait for it.
                self.0.in_flight().remove(uid);
                return Answer::CannotTell;
            };
            match completed {
                Some(Completed { began, answer: Answer::Absent }) if began < asked => {}
                Some(Completed { answer, .. }) => return answer,
                None => return Answer::CannotTell,
            }
        }
    }

    fn join_or_start<F>(&self, uid: &OrderUid, query: impl Fn() -> F) -> Option<Query>
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let mut in_flight = self.0.in_flight();
        let under_way = in_flight.len();
        match in_flight.entry(uid.clone()) {
            Entry::Occupied(query) => Some(query.get().clone()),
            Entry::Vacant(_) if under_way >= self.0.max_in_flight => None,
            Entry::Vacant(entry) => {
                let (result_tx, result) = watch::channel(None);
                entry.insert(result.clone());
                drop(in_flight);
                let run = Arc::clone(&self.0).run(uid.clone(), query(), result_tx);
                // In the trace of whoever asked first.
                self.0.runtime.spawn(run.with_current_context());
                Some(result)
            }
        }
    }
}

impl Inner {
    fn in_flight(&self) -> MutexGuard<'_, HashMap<OrderUid, Query>> {
        // The map is whole at every point where a panic could strike.
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(
        self: Arc<Self>,
        uid: OrderUid,
        query: impl Future<Output = Answer>,
        result_tx: watch::Sender<Option<Completed>>,
    ) {
        let completed = match timeout(self.permit_timeout, self.permits.acquire()).await {
            Ok(Ok(_permit)) => {
                let began = Instant::now();
                Completed { began, answer: query.await }
            }
            _ => Completed { began: Instant::now(), answer: Answer::CannotTell },
        };
        // Whoever asks from here on needs a query of their own: this one may be older.
        self.in_flight().remove(&uid);
        result_tx.send_replace(Some(completed));
    }
}

#[cfg(test)]
mod tests;
