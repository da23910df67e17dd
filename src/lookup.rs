//! Finding an order: in memory, else in Postgres, and never a false "no".

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::cache::{Cache, Prepared};
use crate::metrics::Metrics;
use crate::order::OrderUid;
use crate::store::{Found, Store};

/// What can be said about an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is there.
    Found(Prepared),
    /// A primary said that it is not, to a query begun after the question came.
    Absent,
    /// Nobody who knows could be asked in time.
    CannotTell,
}

/// Queries that may wait for their turn, for each that may run: beyond it the answer is
/// [`Answer::CannotTell`] at once.
const WAITING_PER_RUNNING: usize = 128;

/// Looks up orders. Clones share the cache and the queries under way.
#[derive(Debug, Clone)]
pub struct Lookup(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cache: Cache,
    store: Store,
    metrics: Metrics,
    timeout: Duration,
    /// Where queries run: the callers live on runtimes that serve hits and nothing else.
    runtime: Handle,
    running: Semaphore,
    most_flights: usize,
    flights: Mutex<HashMap<OrderUid, watch::Receiver<Option<Landing>>>>,
}

/// How a query ended. One query answers all who wait for the same order.
#[derive(Debug, Clone)]
struct Landing {
    began: Instant,
    answer: Answer,
}

impl Lookup {
    /// `concurrency` queries at a time, each question answered within `timeout`. Queries run on
    /// the runtime that calls this.
    #[must_use]
    pub fn new(
        cache: Cache,
        store: Store,
        metrics: Metrics,
        concurrency: usize,
        timeout: Duration,
    ) -> Self {
        Self(Arc::new(Inner {
            cache,
            store,
            metrics,
            timeout,
            runtime: Handle::current(),
            running: Semaphore::new(concurrency),
            most_flights: concurrency * WAITING_PER_RUNNING,
            flights: Mutex::default(),
        }))
    }

    /// The order, if it is in memory.
    #[must_use]
    pub fn in_memory(&self, uid: &str) -> Option<Prepared> {
        let order = self.0.cache.get(uid)?;
        self.0.metrics.cache.hits.inc();
        Some(order)
    }

    /// The order from memory, else from Postgres.
    pub async fn find(&self, uid: &OrderUid) -> Answer {
        if let Some(order) = self.in_memory(uid.as_str()) {
            return Answer::Found(order);
        }
        self.0.metrics.cache.misses.inc();
        let asked = Instant::now();
        let answer = timeout_at(asked + self.0.timeout, self.ask(uid, asked)).await;
        let answer = answer.unwrap_or(Answer::CannotTell);
        self.0.metrics.lookup.observe(&answer, asked.elapsed());
        answer
    }

    /// A found order may come from a query begun before the question, for orders never change.
    /// An absent one may not: it may have come in between.
    async fn ask(&self, uid: &OrderUid, asked: Instant) -> Answer {
        loop {
            let Some(mut flight) = self.join_or_start(uid) else { return Answer::CannotTell };
            let Ok(landing) = flight.wait_for(Option::is_some).await.map(|l| l.clone()) else {
                // The query's task died; the next question must not wait for it.
                self.0.flights().remove(uid);
                return Answer::CannotTell;
            };
            match landing {
                Some(Landing { began, answer: Answer::Absent }) if began < asked => {}
                Some(Landing { answer, .. }) => return answer,
                None => return Answer::CannotTell,
            }
        }
    }

    fn join_or_start(&self, uid: &OrderUid) -> Option<watch::Receiver<Option<Landing>>> {
        let mut flights = self.0.flights();
        let under_way = flights.len();
        match flights.entry(uid.clone()) {
            Entry::Occupied(flight) => Some(flight.get().clone()),
            Entry::Vacant(_) if under_way >= self.0.most_flights => None,
            Entry::Vacant(place) => {
                let (lands, flight) = watch::channel(None);
                place.insert(flight.clone());
                drop(flights);
                self.0.runtime.spawn(Arc::clone(&self.0).fly(uid.clone(), lands));
                Some(flight)
            }
        }
    }
}

impl Inner {
    fn flights(&self) -> MutexGuard<'_, HashMap<OrderUid, watch::Receiver<Option<Landing>>>> {
        // The map is whole at every point where a panic could strike.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fly(self: Arc<Self>, uid: OrderUid, lands: watch::Sender<Option<Landing>>) {
        let landing = match timeout(self.timeout, self.running.acquire()).await {
            Ok(Ok(_turn)) => {
                let began = Instant::now();
                Landing { began, answer: self.query(&uid).await }
            }
            _ => Landing { began: Instant::now(), answer: Answer::CannotTell },
        };
        // Who comes from here on needs a query of their own: this one may be older than they are.
        self.flights().remove(&uid);
        lands.send_replace(Some(landing));
    }

    async fn query(&self, uid: &OrderUid) -> Answer {
        match timeout(self.timeout, self.store.find(uid.as_str())).await {
            Ok(Ok(Found::Document(document))) => {
                let order = Prepared::new(&document);
                self.cache.insert(uid.as_str(), order.clone());
                Answer::Found(order)
            }
            Ok(Ok(Found::Absent)) => Answer::Absent,
            Ok(Ok(Found::UnknownOnStandby)) | Err(_) => Answer::CannotTell,
            Ok(Err(error)) => {
                tracing::debug!(%error, "Postgres could not be asked for an order");
                Answer::CannotTell
            }
        }
    }
}
