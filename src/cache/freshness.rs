//! How long ago this replica learned of erasures.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// When it was last known what is erased, and how long that may be ago.
pub(super) struct Freshness {
    began: Instant,
    /// Zero for no bound.
    max_staleness: Duration,
    /// In milliseconds since it began, and 1 more; 0 if never.
    known_at: AtomicU64,
}

impl Freshness {
    pub(super) fn new(max_staleness: Duration) -> Self {
        Self { began: Instant::now(), max_staleness, known_at: AtomicU64::new(0) }
    }

    /// All that was erased before `moment` is known.
    pub(super) fn known_at(&self, moment: Instant) {
        let since_began = moment.saturating_duration_since(self.began).as_millis();
        let since_began = u64::try_from(since_began).unwrap_or(u64::MAX);
        self.known_at.store(since_began.saturating_add(1), Ordering::Relaxed);
    }

    /// How long ago it was known; since the start if it never was.
    pub(super) fn age(&self) -> Duration {
        let since_began = self.known_at.load(Ordering::Relaxed).saturating_sub(1);
        self.began.elapsed().saturating_sub(Duration::from_millis(since_began))
    }

    /// Whether what is in memory may not be shown. It costs nothing where there is no bound.
    pub(super) fn is_stale(&self) -> bool {
        if self.max_staleness.is_zero() {
            return false;
        }
        self.known_at.load(Ordering::Relaxed) == 0 || self.age() > self.max_staleness
    }
}
