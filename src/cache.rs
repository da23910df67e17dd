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

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
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
}

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
        if let Some(growth) = self.0.table.remove_one(uid.as_bytes()) {
            self.0.bytes.fetch_add(growth, Ordering::Relaxed);
            self.0.entries.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes every order out; what is erased stays known.
    #[must_use]
    pub fn take_all(&self) -> Vec<Prepared> {
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

#[cfg(test)]
mod tests {
    use std::fmt::Display;

    use super::*;

    fn order(uid: impl Display, document: &[u8]) -> Prepared {
        Prepared::from_row(&format!("{uid}"), document).expect("a short id")
    }

    #[test]
    fn an_order_comes_back_byte_for_byte() {
        let cache = Cache::new(1 << 20);
        cache.insert(order("a", b"{ \"x\" :1}\n"));
        cache.insert(order("b", b""));
        assert_eq!(cache.get("a").expect("just put").document(), b"{ \"x\" :1}\n");
        assert_eq!(cache.get("b").expect("just put").document(), b"");
        assert!(cache.get("c").is_none());
        assert_eq!(cache.size().entries, 2);
        cache.insert(order("b", b"[]"));
        assert_eq!(cache.get("b").expect("just put").document(), b"[]");
        assert_eq!(cache.size().entries, 2);
    }

    #[test]
    fn the_bound_in_bytes_holds_and_is_used() {
        let max_bytes = 1 << 20;
        let cache = Cache::new(max_bytes);
        for n in 0..5_000 {
            cache.insert(order(n, &[b'x'; 1000]));
            // The table may grow by a few kilobytes with an order; the next one makes up for it.
            assert!(cache.size().bytes <= max_bytes + 2048, "{:?}", cache.size());
        }
        let fit = max_bytes / 1048;
        assert!((fit * 9 / 10..fit).contains(&cache.size().entries), "{:?}", cache.size());
        cache.insert(order("huge", &vec![b'x'; 2 << 20]));
        assert!(cache.get("huge").is_none() && cache.size().entries > fit * 9 / 10);
    }

    #[test]
    fn orders_in_demand_stay_when_others_pour_in() {
        let cache = Cache::new(1 << 20);
        let wanted = || (0..100).map(|n| format!("wanted-{n}"));
        wanted().for_each(|uid| cache.insert(order(uid, &[b'x'; 1000])));
        for n in 0..5_000 {
            cache.insert(order(n, &[b'x'; 1000]));
            let _ = cache.get(&format!("wanted-{}", n % 100));
        }
        let stayed = wanted().filter(|uid| cache.contains(uid)).count();
        assert!(stayed >= 95, "{stayed} of 100 stayed");
    }

    #[test]
    fn a_full_cache_takes_no_order_for_which_another_has_to_go() {
        let cache = Cache::new(16 << 20);
        let fitted = (0..20_000).take_while(|n| cache.insert_if_room(order(n, &[b'x'; 1000])));
        let fitted = fitted.count() as u64;
        assert!((15_000..16_000).contains(&fitted), "{fitted} orders");
        assert_eq!(cache.size().entries, fitted);
        assert!(!cache.insert_if_room(order("one more", &[b'x'; 1000])));
    }

    #[test]
    fn what_is_erased_goes_and_does_not_come_back() {
        let cache = Cache::new(1 << 20);
        (0..1_000).for_each(|n| cache.insert(order(n, b"{}")));
        let before = cache.size();
        let digest = |uid: &str| Sha256Digest::of(uid.as_bytes());
        assert_eq!(cache.erase([digest("7"), digest("500"), digest("nobody")]), 2);
        assert_eq!(cache.size().entries, 998);
        assert!(cache.size().bytes < before.bytes, "{:?}", cache.size());
        assert!(cache.get("7").is_none() && cache.is_erased("7") && cache.is_erased("nobody"));
        assert!(cache.get("8").is_some() && !cache.is_erased("8"));

        // What was read before and arrives now.
        let bytes = cache.size().bytes;
        cache.insert(order("7", b"{}"));
        assert!(cache.insert_if_room(order("nobody", b"{}")), "there is room");
        assert!(cache.get("7").is_none() && cache.get("nobody").is_none());
        assert_eq!((cache.size().entries, cache.size().bytes), (998, bytes));
        assert_eq!(cache.erase([digest("7")]), 0);

        cache.erase_one("8");
        cache.erase_one("8");
        cache.insert(order("8", b"{}"));
        assert!(cache.get("8").is_none() && cache.is_erased("8"));
        assert_eq!(cache.size().entries, 997);
    }

    #[test]
    fn an_order_kept_while_it_is_erased_is_never_found_afterwards() {
        let cache = Cache::new(64 << 20);
        std::thread::scope(|scope| {
            for n in 0..200 {
                let uid = format!("order-{n}");
                let keeper = scope.spawn({
                    let (cache, uid) = (&cache, uid.clone());
                    move || (0..50).for_each(|_| cache.insert(order(&uid, b"{}")))
                });
                cache.erase([Sha256Digest::of(uid.as_bytes())]);
                assert!(cache.get(&uid).is_none(), "{uid} right after its erasure");
                keeper.join().expect("no panic");
                assert!(cache.get(&uid).is_none(), "{uid} came back");
            }
        });
        assert_eq!(cache.size().entries, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_found_while_erasures_are_not_known() {
        let cache = Cache::with_max_staleness(1 << 20, Duration::from_secs(10));
        cache.insert(order("a", b"{}"));
        assert!(cache.get("a").is_none(), "nothing is known of erasures yet");
        let asked = Instant::now();
        tokio::time::advance(Duration::from_secs(3)).await;
        cache.erasures_known_at(asked);
        assert!(cache.get("a").is_some());
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!(cache.get("a").is_some(), "10 s after the question");
        tokio::time::advance(Duration::from_millis(2)).await;
        assert!(cache.get("a").is_none(), "later than that");
        cache.erasures_known_at(Instant::now());
        assert!(cache.get("a").is_some());
    }

    #[test]
    fn it_is_whole_after_writers_and_readers_at_once() {
        let cache = Cache::new(1 << 20);
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let cache = &cache;
                scope.spawn(move || {
                    for n in 0..5_000 {
                        let uid = (n * 7 + writer) % 2_000;
                        cache.insert(order(uid, uid.to_string().as_bytes()));
                        if let Some(found) = cache.get(&(n % 2_000).to_string()) {
                            assert_eq!(found.document(), (n % 2_000).to_string().as_bytes());
                        }
                    }
                });
            }
        });
        let there = (0..2_000).filter(|n| cache.contains(&n.to_string())).count() as u64;
        assert_eq!(cache.size().entries, there);
        assert!(cache.size().bytes <= 1 << 20, "{:?}", cache.size());
    }
}
