//! Orders in memory, bounded by the bytes that they take of the process's memory.
//!
//! Orders never change, so the cache can only be incomplete, never wrong, but for orders that are
//! erased: those are taken out, and not let in again. It may be emptied at any time.

mod cold_start;
mod erased;
mod forget;
mod freshness;
mod prepared;
mod sync;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::digest::Sha256Digest;
use crate::metrics::CacheSize;
use erased::Erased;
use freshness::Freshness;
use table::{Growth, Table};

pub use cold_start::ColdStart;
pub use prepared::Prepared;
pub use sync::CacheSync;

/// The cache. Clones share it.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

struct Inner {
    table: Table,
    max_bytes: i64,
    /// What the orders and the table take; also of orders about to be kept.
    bytes: AtomicI64,
    entries: AtomicUsize,
    erased: Erased,
    freshness: Freshness,
    /// How often everything was taken out.
    generation: AtomicU64,
}

/// What is in a cache since everything was taken out last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(u64);

impl Cache {
    /// An empty cache of at most `max_bytes`, with all that an order takes beyond its document.
    #[must_use]
    pub fn new(max_bytes: u64) -> Self {
        Self::with_max_staleness(max_bytes, Duration::ZERO)
    }

    /// The same, which answers only while all that was erased until `max_staleness` ago is known;
    /// zero for always.
    #[must_use]
    pub fn with_max_staleness(max_bytes: u64, max_staleness: Duration) -> Self {
        Self(Arc::new(Inner {
            table: Table::new(),
            max_bytes: i64::try_from(max_bytes).unwrap_or(i64::MAX),
            bytes: AtomicI64::new(0),
            entries: AtomicUsize::new(0),
            erased: Erased::default(),
            freshness: Freshness::new(max_staleness),
            generation: AtomicU64::new(0),
        }))
    }

    /// The order, if it is in memory and may be shown.
    #[must_use]
    pub fn get(&self, uid: &str) -> Option<Prepared> {
        if self.0.freshness.is_stale() { None } else { self.0.table.get(uid) }
    }

    /// Whether the order is in memory; does not count as use.
    #[must_use]
    pub fn contains(&self, uid: &str) -> bool {
        self.0.table.contains(uid)
    }

    /// Keeps an order, and lets others go if there is no room. One that is larger than the whole
    /// cache is not kept, nor one that was erased.
    pub fn insert(&self, order: Prepared) {
        let size = order.size();
        if size > self.0.max_bytes {
            return;
        }
        self.0.bytes.fetch_add(size, Ordering::Relaxed);
        self.0.make_room();
        self.0.keep(order, size);
    }

    /// What an order belongs to that is read or stored from now on.
    #[must_use]
    pub fn generation(&self) -> Generation {
        Generation(self.0.generation.load(Ordering::SeqCst))
    }

    /// The same for an order that was asked for, or about to be stored, in this generation: unless
    /// everything was taken out since, and this order with it.
    pub fn insert_of(&self, generation: Generation, order: &Prepared) {
        if self.generation() != generation {
            return;
        }
        self.insert(order.clone());
        // It may have come in behind those that were being taken out.
        if self.generation() != generation {
            self.remove_one(order.uid());
        }
    }

    /// Keeps an order if none has to go for it; tells whether there was room.
    #[must_use]
    pub fn insert_if_room(&self, order: Prepared) -> bool {
        let size = order.size();
        let bytes = self.0.bytes.fetch_add(size, Ordering::Relaxed) + size;
        let room = bytes <= self.0.max_bytes;
        if room {
            self.0.keep(order, size);
        } else {
            self.0.bytes.fetch_sub(size, Ordering::Relaxed);
        }
        room
    }

    /// Whether the order is known to be erased.
    #[must_use]
    pub fn is_erased(&self, uid: &str) -> bool {
        self.0.erased.contains(uid.as_bytes())
    }

    /// Takes orders out, by the SHA-256 of their ids, and keeps them out; says how many were in
    /// memory. It looks at every order, a fifth of a microsecond each.
    pub fn erase(&self, digests: impl IntoIterator<Item = Sha256Digest>) -> usize {
        // First known, then taken out: whoever keeps an order meanwhile looks at what is known.
        if !self.0.erased.add(digests) {
            return 0;
        }
        let (removed, growth) = self.0.table.remove(|uid| self.0.erased.contains(uid));
        self.0.bytes.fetch_add(growth, Ordering::Relaxed);
        self.0.entries.fetch_sub(removed, Ordering::Relaxed);
        removed
    }

    /// Takes one order out and keeps it out, as [`Cache::erase`] does, without looking at others.
    pub fn erase_one(&self, uid: &str) {
        self.0.erased.add([Sha256Digest::of(uid.as_bytes())]);
        self.remove_one(uid.as_bytes());
    }

    fn remove_one(&self, uid: &[u8]) {
        if let Some(growth) = self.0.table.remove_one(uid) {
            self.0.bytes.fetch_add(growth, Ordering::Relaxed);
            self.0.entries.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes every order out and begins a new generation; what is erased stays known.
    #[must_use]
    pub fn take_all(&self) -> Vec<Prepared> {
        self.0.generation.fetch_add(1, Ordering::SeqCst);
        let (orders, growth) = self.0.table.take();
        self.0.bytes.fetch_add(growth, Ordering::Relaxed);
        self.0.entries.fetch_sub(orders.len(), Ordering::Relaxed);
        orders
    }

    /// Notes that all that was erased before `moment` is taken out.
    pub fn erasures_known_at(&self, moment: Instant) {
        self.0.freshness.known_at(moment);
    }

    /// How much is in it now.
    #[must_use]
    pub fn size(&self) -> CacheSize {
        CacheSize {
            entries: self.0.entries.load(Ordering::Relaxed) as u64,
            bytes: self.0.bytes.load(Ordering::Relaxed).unsigned_abs(),
            max_bytes: self.0.max_bytes.unsigned_abs(),
            erased: self.0.erased.len() as u64,
            erasures_age: self.0.freshness.age(),
        }
    }
}

impl Inner {
    /// Keeps an order whose `size` is among the bytes already.
    fn keep(&self, order: Prepared, size: Growth) {
        let Some((growth, replaced)) = self.table.insert(order, &self.erased) else {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            return;
        };
        self.bytes.fetch_add(growth - size, Ordering::Relaxed);
        if !replaced {
            self.entries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lets orders go until the bytes are within the bound.
    fn make_room(&self) {
        while self.bytes.load(Ordering::Relaxed) > self.max_bytes {
            let Some(growth) = self.table.evict() else { return };
            self.bytes.fetch_add(growth, Ordering::Relaxed);
            self.entries.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Cache({:?})", self.size())
    }
}
