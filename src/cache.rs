//! Orders in memory, bounded by the bytes that they take of the process's memory.
//!
//! Orders never change, so the cache can only be incomplete, never wrong. It may be emptied at
//! any time.

mod cold_start;
mod prepared;
mod sync;
mod table;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use crate::metrics::CacheSize;
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
}

impl Cache {
    /// An empty cache of at most `max_bytes`, with all that an order takes beyond its document.
    #[must_use]
    pub fn new(max_bytes: u64) -> Self {
        Self(Arc::new(Inner {
            table: Table::new(),
            max_bytes: i64::try_from(max_bytes).unwrap_or(i64::MAX),
            bytes: AtomicI64::new(0),
            entries: AtomicUsize::new(0),
        }))
    }

    /// The order, if it is in memory.
    #[must_use]
    pub fn get(&self, uid: &str) -> Option<Prepared> {
        self.0.table.get(uid)
    }

    /// Whether the order is in memory; does not count as use.
    #[must_use]
    pub fn contains(&self, uid: &str) -> bool {
        self.0.table.contains(uid)
    }

    /// Keeps an order, and lets others go if there is no room. One that is larger than the whole
    /// cache is not kept.
    pub fn insert(&self, order: Prepared) {
        let size = order.size();
        if size > self.0.max_bytes {
            return;
        }
        self.0.bytes.fetch_add(size, Ordering::Relaxed);
        self.0.make_room();
        self.0.keep(order, size);
    }

    /// Keeps an order if none has to go for it; tells whether it was kept.
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

    /// How much is in it now.
    #[must_use]
    pub fn size(&self) -> CacheSize {
        CacheSize {
            entries: self.0.entries.load(Ordering::Relaxed) as u64,
            bytes: self.0.bytes.load(Ordering::Relaxed).unsigned_abs(),
            max_bytes: self.0.max_bytes.unsigned_abs(),
        }
    }
}

impl Inner {
    /// Keeps an order whose `size` is among the bytes already.
    fn keep(&self, order: Prepared, size: Growth) {
        let (growth, replaced) = self.table.insert(order);
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
