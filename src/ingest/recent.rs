//! The last batches, for those who look.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::Verdict;

/// How many batches are remembered.
const BATCHES: usize = 10;

/// The batches that were settled last. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct RecentBatches(Arc<Mutex<VecDeque<SettledBatch>>>);

/// A batch all of whose messages have their verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettledBatch {
    /// When the last message got its verdict.
    pub ended_at: SystemTime,
    /// From taking the batch to its last verdict.
    pub took: Duration,
    /// How many messages got which verdict.
    pub verdicts: Verdicts,
}

/// Messages by their verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// New orders.
    pub stored: u64,
    /// The same order once more.
    pub duplicate: u64,
    /// Other orders under a uid that is taken.
    pub conflict: u64,
    /// No orders.
    pub refused: u64,
    /// Orders that were erased before.
    pub erased: u64,
    /// Not acknowledged: they come again.
    pub kept: u64,
}

impl Verdicts {
    /// How many messages there are.
    #[must_use]
    pub fn sum(self) -> u64 {
        self.stored + self.duplicate + self.conflict + self.refused + self.erased + self.kept
    }
}

/// A batch whose messages are being settled.
#[derive(Debug)]
pub(super) struct OpenBatch {
    began: Instant,
    verdicts: Verdicts,
}

impl OpenBatch {
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), verdicts: Verdicts::default() }
    }

    pub(super) fn count(&mut self, verdict: Verdict) {
        let verdicts = &mut self.verdicts;
        *match verdict {
            Verdict::Stored => &mut verdicts.stored,
            Verdict::Duplicate => &mut verdicts.duplicate,
            Verdict::Conflict => &mut verdicts.conflict,
            Verdict::Refused(_) => &mut verdicts.refused,
            Verdict::Erased => &mut verdicts.erased,
            Verdict::Keep => &mut verdicts.kept,
        } += 1;
    }
}

impl RecentBatches {
    pub(super) fn add(&self, batch: &OpenBatch) {
        let settled = SettledBatch {
            ended_at: SystemTime::now(),
            took: batch.began.elapsed(),
            verdicts: batch.verdicts,
        };
        // Nothing in the critical sections panics half way, so a poisoned list is whole.
        let mut batches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        batches.truncate(BATCHES - 1);
        batches.push_front(settled);
    }

    /// The newest first.
    #[must_use]
    pub fn newest_first(&self) -> Vec<SettledBatch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use order::Reason;

    use super::*;

    #[test]
    fn the_newest_batches_are_remembered_with_their_verdicts() {
        let recent = RecentBatches::default();
        for number in 0..25 {
            let mut batch = OpenBatch::begin();
            (0..number).for_each(|_| batch.count(Verdict::Stored));
            batch.count(Verdict::Refused(Reason::NotJson));
            recent.add(&batch);
        }
        let stored =
            recent.newest_first().iter().map(|batch| batch.verdicts.stored).collect::<Vec<_>>();
        assert_eq!(stored, (15..25).rev().collect::<Vec<_>>());
        assert!(recent.newest_first().iter().all(|batch| batch.verdicts.refused == 1));
    }
}
