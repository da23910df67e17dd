//! The keys of the issuer: had at the start, kept up to date, remembered while it is away.

mod source;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::key_set::KeySet;
use crate::access::verified::VerifiedTokens;
use crate::config;
use crate::digest::Sha256Digest;
use crate::metrics::Metrics;
use source::Source;

/// Time between two requests to an issuer because of a key that is not known, or because the one
/// before failed.
pub(super) const RETRY_EVERY: Duration = Duration::from_secs(5);

/// How long a request with an unknown key waits for the issuer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The keys that are known, and the task that keeps them up to date.
#[derive(Debug)]
pub(super) struct Keys {
    source: Source,
    algorithms: Vec<Algorithm>,
    max_age: Duration,
    held: RwLock<Option<Held>>,
    fetches: watch::Sender<Fetches>,
    /// Somebody needs a key that is not known.
    wanted: Notify,
    verified: Arc<VerifiedTokens>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Held {
    keys: Arc<KeySet>,
    /// Of the document that they are from.
    digest: Sha256Digest,
    had_at: Instant,
}

/// How often the source was asked.
#[derive(Debug, Clone, Copy, Default)]
struct Fetches {
    begun_at: Option<Instant>,
    begun: u64,
    ended: u64,
    has_failed: bool,
}

impl Keys {
    /// # Errors
    /// A file that cannot be used. An issuer that does not answer is no error: it may come back.
    pub(super) fn new(
        settings: &config::Access,
        verified: Arc<VerifiedTokens>,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        let keys = Self {
            source: Source::new(settings)?,
            algorithms: settings.algorithms.clone(),
            max_age: settings.keys_max_age,
            held: RwLock::default(),
            fetches: watch::Sender::default(),
            wanted: Notify::new(),
            verified,
            metrics: metrics.clone(),
        };
        if let Some(document) = keys.source.now() {
            keys.take(&document?).map_err(|why| keys.source.told(&why))?;
        }
        Ok(keys)
    }

    /// The keys, unless there are none that are new enough.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let held = held.as_ref().filter(|held| held.had_at.elapsed() <= self.max_age)?;
        Some(Arc::clone(&held.keys))
    }

    /// Whether the source could not be asked the last time.
    pub(super) fn is_failing(&self) -> bool {
        self.fetches.borrow().has_failed
    }

    /// Waits for the keys that the source has now, but not for long; not at all if it was asked a
    /// moment ago, so that nobody can make us ask it without end.
    pub(super) async fn refreshed(&self) {
        let mut fetches = self.fetches.subscribe();
        let now = *fetches.borrow_and_update();
        let is_under_way = now.begun > now.ended;
        let is_due = now.begun_at.is_none_or(|begun_at| begun_at.elapsed() >= RETRY_EVERY);
        if !is_under_way && !is_due {
            return;
        }
        self.wanted.notify_one();
        let ended = fetches.wait_for(|fetches| fetches.ended > now.ended);
        // Whoever waits in vain looks once more all the same.
        let _ = timeout(PATIENCE, ended).await;
    }

    /// Asks the source again and again until `stop`.
    pub(super) async fn follow(&self, stop: CancellationToken) {
        let mut told = String::new();
        let mut next = Instant::now();
        loop {
            let due = async {
                tokio::select! {
                    () = sleep_until(next) => true,
                    () = self.wanted.notified() => self.may_ask(),
                }
            };
            match stop.run_until_cancelled(due).await {
                None => return,
                // What somebody wanted has come meanwhile.
                Some(false) => continue,
                Some(true) => {}
            }
            let Some(trouble) = stop.run_until_cancelled(self.fetch()).await else { return };
            self.tell(&mut told, trouble);
            let pause = if told.is_empty() { self.source.refresh_every() } else { RETRY_EVERY };
            next = Instant::now() + pause;
        }
    }

    fn may_ask(&self) -> bool {
        let begun_at = self.fetches.borrow().begun_at;
        begun_at.is_none_or(|begun_at| begun_at.elapsed() >= RETRY_EVERY)
    }

    /// Asks the source once; what is wrong, if something is.
    async fn fetch(&self) -> Option<String> {
        self.fetches.send_modify(|fetches| {
            fetches.begun_at = Some(Instant::now());
            fetches.begun += 1;
        });
        let document = self.source.fetch().await;
        let taken = document.and_then(|document| self.take(&document));
        let trouble = taken.err().map(|why| self.source.told(&why));
        self.metrics.access.fetched(trouble.is_none());
        self.fetches.send_modify(|fetches| {
            fetches.ended += 1;
            fetches.has_failed = trouble.is_some();
        });
        trouble
    }

    /// Puts the keys of a document in the place of those known. Where they are others, tokens
    /// that were verified by the old ones have to be verified again.
    fn take(&self, document: &[u8]) -> Result<(), String> {
        let (digest, had_at) = (Sha256Digest::of(document), Instant::now());
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.as_mut().filter(|held| held.digest == digest) {
            held.had_at = had_at;
            return Ok(());
        }
        let keys = Arc::new(KeySet::parse(document, &self.algorithms)?);
        let count = keys.len();
        *held = Some(Held { keys, digest, had_at });
        drop(held);
        self.verified.forget();
        tracing::info!(keys = count, "The keys of the issuer are in use");
        Ok(())
    }

    /// Logs trouble once while it lasts. Tokens verified by keys that are too old do not count
    /// any more either.
    fn tell(&self, told: &mut String, trouble: Option<String>) {
        let trouble = trouble.unwrap_or_default();
        if !trouble.is_empty() && trouble != *told {
            tracing::warn!(error = trouble, "The keys of the issuer cannot be had");
        }
        if trouble.is_empty() && !told.is_empty() {
            tracing::info!("The keys of the issuer can be had again");
        }
        *told = trouble;
        let is_old = |held: &Held| held.had_at.elapsed() > self.max_age;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(is_old) {
            *held = None;
            drop(held);
            self.verified.forget();
            tracing::warn!("The keys of the issuer are too old to be used");
        }
    }
}
