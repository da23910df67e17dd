//! Which orders must not be in memory any more.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::digest::Sha256Digest;

/// The orders that were erased, as far as this replica knows, by the SHA-256 of their ids. They
/// stay known for as long as the process lives: an order that was read before its erasure may
/// arrive at any time.
#[derive(Default)]
pub(super) struct Erased {
    digests: RwLock<HashSet<Sha256Digest>>,
    /// How many there are, so that nothing is computed where there are none.
    count: AtomicUsize,
}

impl Erased {
    pub(super) fn contains(&self, uid: &[u8]) -> bool {
        if self.len() == 0 {
            return false;
        }
        let digest = Sha256Digest::of(uid);
        // A set is whole at every point where a panic could strike, here and below.
        self.digests.read().unwrap_or_else(PoisonError::into_inner).contains(&digest)
    }

    /// Says whether one of these was not known.
    pub(super) fn add(&self, digests: impl IntoIterator<Item = Sha256Digest>) -> bool {
        let mut known = self.digests.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.len();
        known.extend(digests);
        self.count.store(known.len(), Ordering::Release);
        known.len() > before
    }

    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }
}
