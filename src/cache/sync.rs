//! Keeping the cache whole: filled from Postgres at start, then following what others store and
//! what is erased.
//!
//! A queue group gives each message to one replica only. The others see the order by following
//! the table, so that they can answer for it also while Postgres is away. This is an
//! optimisation: correctness rests on reading through at a miss. Not so for erasures: a replica
//! shows what it has in memory until it has learnt that it is erased.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Cache, Prepared};
use crate::digest::Sha256Digest;
use crate::health::{Health, Phase};
use crate::log_limit::LogLimit;
use crate::metrics::Metrics;
use crate::primary::{Known, PrimaryState};
use crate::retry::{self, until_done};
use crate::store::{Cursor, Error, Progress, Store, WarmUp};

/// Orders followed in one round; when more came, the older ones are left to reading through.
const MOST_FOLLOWED: u32 = 20_000;

/// Documents asked for at once.
const DOCUMENTS_AT_ONCE: usize = 500;

/// Time between two looks at what is erased where orders are not followed.
const ERASURES_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two attempts while Postgres is away.
const RETRY: Duration = Duration::from_millis(500);

/// Fills the cache from Postgres at the start, then follows what others store.
#[derive(Debug, Clone)]
pub struct CacheSync {
    /// The cache that is filled.
    pub cache: Cache,
    /// The Postgres that orders are read from.
    pub store: Store,
    /// Tells when Postgres is another primary.
    pub primary: PrimaryState,
    /// Told how far the warm-up is.
    pub health: Health,
    /// Counts orders read and measures the warm-up.
    pub metrics: Metrics,
    /// Whether to fill the cache before being ready.
    pub warm_up: bool,
    /// Time between two looks at the tables; zero to look for nothing but erasures.
    pub follow_interval: Duration,
}

impl CacheSync {
    /// Fills the cache, tells that the replica is ready, then follows until `stop`. Where Postgres
    /// is another primary than before, it forgets all and begins anew.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.fill_and_follow()).await;
    }

    async fn fill_and_follow(&self) {
        let mut known = self.primary.watch();
        let mut changes = known.borrow().changes;
        let mut lacking: Vec<String> = Vec::new();
        let mut cursor = self.fill(|progress| self.health.enter(Phase::Warming(progress))).await;
        self.health.enter(Phase::Ready);
        loop {
            let is_news =
                |known: &Known| known.changes != changes || !lacking.is_empty() && !known.repairing;
            let news = tokio::select! {
                ended = self.follow(&mut cursor) => match ended {},
                // An error means that nobody looks any more.
                Ok(news) = known.wait_for(is_news) => news.clone(),
            };
            if news.changes == changes {
                self.tell_lost(std::mem::take(&mut lacking)).await;
                continue;
            }
            changes = news.changes;
            lacking.extend(self.forget().await);
            // It stays ready, and answers from Postgres what is not in memory yet.
            cursor = self.fill(|_| {}).await;
        }
    }

    /// Reads the orders there are, and all erasures; the place to follow from is from before that.
    async fn fill(&self, tell: impl Fn(Arc<Progress>)) -> Cursor {
        let (delays, limit) = (retry::every(RETRY), LogLimit::default());
        let report = |error: &Error| {
            if let Some(held_back) = limit.due() {
                tracing::warn!(%error, held_back, "The cache cannot be filled yet");
            }
        };
        if self.warm_up {
            return until_done(delays, || self.read_all(&tell), report).await;
        }
        self.health.enter(Phase::Ready);
        let limit = LogLimit::default();
        let report = |error: &Error| {
            if let Some(held_back) = limit.due() {
                tracing::warn!(%error, held_back, "The table cannot be followed yet");
            }
        };
        until_done(delays, || self.learn_erasures(), report).await
    }

    /// Reads the orders there are; the place to follow from is from before the first of them.
    async fn read_all(&self, tell: &impl Fn(Arc<Progress>)) -> Result<Cursor, Error> {
        let began = Instant::now();
        let cursor = self.learn_erasures().await?;
        let progress = Arc::new(Progress::default());
        tell(Arc::clone(&progress));
        let cache = self.cache.clone();
        let keep = move |uid: &str, document: &[u8]| {
            let kept = |order| cache.insert_if_room(order);
            if Prepared::from_row(uid, document).is_none_or(kept) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        let ended = self.store.warm_up(Arc::clone(&progress), keep).await?;
        let took = began.elapsed();
        self.metrics.cache.warmed(progress.rows(), took);
        let (rows, duration_ms) = (self.cache.size().entries, took.as_secs_f64() * 1e3);
        match ended {
            WarmUp::Whole => tracing::info!(rows, duration_ms, "The cache is warm"),
            WarmUp::Full => tracing::info!(
                rows,
                duration_ms,
                "The cache is full with the newest orders; older ones are read when asked for"
            ),
        }
        Ok(cursor)
    }

    /// Learns of all erasures there are; the place to follow from is from before that.
    async fn learn_erasures(&self) -> Result<Cursor, Error> {
        let asked = Instant::now();
        let cursor = self.store.cursor_now().await?;
        let erased = self.store.erased_orders().await?;
        self.erase(erased).await;
        self.cache.erasures_known_at(asked);
        Ok(cursor)
    }

    /// Takes erased orders out of memory.
    async fn erase(&self, erased: Vec<Sha256Digest>) {
        if erased.is_empty() {
            return;
        }
        let cache = self.cache.clone();
        // It looks at every order in memory, which takes longer than a task may.
        let erasing = tokio::task::spawn_blocking(move || cache.erase(erased));
        match erasing.await.map_err(JoinError::try_into_panic) {
            Ok(0) | Err(Err(_)) => {}
            Ok(orders) => tracing::info!(orders, "Erased orders are taken out of memory"),
            // It goes on where it can be seen.
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
        }
    }

    async fn follow(&self, cursor: &mut Cursor) -> Infallible {
        let is_off = self.follow_interval.is_zero();
        let mut rounds = interval(if is_off { ERASURES_INTERVAL } else { self.follow_interval });
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let limit = LogLimit::default();
        loop {
            rounds.tick().await;
            match self.follow_once(cursor).await {
                Ok(next) => *cursor = next,
                Err(error) => {
                    if let Some(held_back) = limit.due() {
                        tracing::warn!(%error, held_back, "The table cannot be followed for now");
                    } else {
                        tracing::debug!(%error, "The table cannot be followed");
                    }
                }
            }
        }
    }

    async fn follow_once(&self, cursor: &Cursor) -> Result<Cursor, Error> {
        let asked = Instant::now();
        let most = if self.follow_interval.is_zero() { 0 } else { MOST_FOLLOWED };
        let mut followed = self.store.committed_since(cursor, most).await?;
        if followed.next.is_before(cursor) {
            // Another server, or a restored one: what it has erased may have any place.
            return self.learn_erasures().await;
        }
        self.erase(std::mem::take(&mut followed.erased)).await;
        self.cache.erasures_known_at(asked);
        if followed.skipped && most > 0 {
            self.metrics.cache.follow_skipped.inc();
        }
        // What this replica stored itself is there already; only the rest is fetched.
        followed.uids.retain(|uid| most > 0 && !self.cache.contains(uid));
        for uids in followed.uids.chunks(DOCUMENTS_AT_ONCE) {
            for (uid, document) in self.store.documents(uids).await? {
                if let Some(order) = Prepared::from_row(&uid, &document) {
                    self.cache.insert(order);
                    self.metrics.cache.followed.inc();
                }
            }
        }
        Ok(followed.next)
    }
}
