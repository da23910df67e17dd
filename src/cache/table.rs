//! A hash table in parts, each with a lock of its own, and the eviction from it.
//!
//! Eviction is CLOCK with a counter for each order (GCLOCK): a hand goes round the places of all
//! tables, takes a use from each order that it passes, and evicts the first that has none. It
//! needs no list of orders, and a hit writes nothing but a byte of the order itself.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::Prepared;
use super::erased::Erased;

/// So many that a writer, or a part that grows, is hardly ever in a reader's way.
const PARTS: usize = 256;

/// Orders that the hand passes at the most before it lets one go in any case: whoever waits for
/// the lock must not wait for a whole round.
const MOST_PASSED: usize = 64;

/// Orders by id. What it holds is bounded by who uses it.
pub(super) struct Table {
    hasher: DefaultHashBuilder,
    parts: Box<[RwLock<Part>]>,
    /// The part that the hand is in.
    hand: AtomicUsize,
}

#[derive(Default)]
struct Part {
    orders: HashTable<Prepared>,
    /// The place in this part that the hand comes to next.
    hand: usize,
}

/// How much more memory is taken after a change than before, in bytes.
pub(super) type Growth = i64;

impl Table {
    pub(super) fn new() -> Self {
        let parts = (0..PARTS).map(|_| RwLock::default()).collect();
        Self { hasher: DefaultHashBuilder::default(), parts, hand: AtomicUsize::new(0) }
    }

    /// The order under this id, with a use noted.
    pub(super) fn get(&self, uid: &str) -> Option<Prepared> {
        let hash = self.hasher.hash_one(uid.as_bytes());
        let part = self.read(part_of(hash));
        let order = part.orders.find(hash, |order| order.uid() == uid.as_bytes())?;
        order.used();
        Some(order.clone())
    }

    pub(super) fn contains(&self, uid: &str) -> bool {
        let hash = self.hasher.hash_one(uid.as_bytes());
        let part = self.read(part_of(hash));
        part.orders.find(hash, |order| order.uid() == uid.as_bytes()).is_some()
    }

    /// Keeps an order, in place of another of the same id; says whether there was one. None if
    /// the order was erased.
    pub(super) fn insert(&self, order: Prepared, erased: &Erased) -> Option<(Growth, bool)> {
        let hash = self.hasher.hash_one(order.uid());
        let mut part = self.write(part_of(hash));
        // With the lock held: either this comes before [`Self::remove`] in this part, which then
        // finds the order, or after it, and then the erasure is known here.
        if erased.contains(order.uid()) {
            return None;
        }
        let before = part.orders.allocation_size();
        let size = order.size();
        let rehash = |order: &Prepared| self.hasher.hash_one(order.uid());
        let replaced = match part.orders.entry(hash, |other| other.uid() == order.uid(), rehash) {
            Entry::Occupied(mut entry) => Some(std::mem::replace(entry.get_mut(), order)),
            Entry::Vacant(entry) => {
                entry.insert(order);
                None
            }
        };
        let grown = part.orders.allocation_size() - before;
        let freed = replaced.as_ref().map_or(0, Prepared::size);
        let grown = i64::try_from(grown).expect("memory is below 8 EiB");
        Some((size + grown - freed, replaced.is_some()))
    }

    /// Lets every order go whose id this holds of; says how many that are. No lock is held for
    /// longer than it takes to copy the references of a part.
    pub(super) fn remove(&self, is_meant: impl Fn(&[u8]) -> bool) -> (usize, Growth) {
        let (mut removed, mut growth) = (0, 0);
        for part in 0..PARTS {
            let orders: Vec<Prepared> = self.read(part).orders.iter().cloned().collect();
            for order in orders.iter().filter(|order| is_meant(order.uid())) {
                if let Some(freed) = self.remove_one(order.uid()) {
                    growth += freed;
                    removed += 1;
                }
            }
        }
        (removed, growth)
    }

    /// Lets all orders go, part by part.
    pub(super) fn take(&self) -> (Vec<Prepared>, Growth) {
        let (mut taken, mut growth) = (Vec::new(), 0);
        for part in 0..PARTS {
            let orders = std::mem::take(&mut self.write(part).orders);
            let size = i64::try_from(orders.allocation_size()).expect("memory is below 8 EiB");
            growth -= size + orders.iter().map(Prepared::size).sum::<i64>();
            taken.extend(orders);
        }
        (taken, growth)
    }

    /// Lets the order under this id go; none if there is none.
    pub(super) fn remove_one(&self, uid: &[u8]) -> Option<Growth> {
        let hash = self.hasher.hash_one(uid);
        let mut part = self.write(part_of(hash));
        let entry = part.orders.find_entry(hash, |order| order.uid() == uid).ok()?;
        Some(-entry.remove().0.size())
    }

    /// Lets one order go; none if there is no order.
    pub(super) fn evict(&self) -> Option<Growth> {
        let (mut passed, mut empty) = (0, 0);
        while empty < PARTS {
            let hand = self.hand.load(Ordering::Relaxed);
            let mut part = self.write(hand % PARTS);
            if let Some(order) = part.evict(&mut passed) {
                return Some(-order.size());
            }
            empty = if part.orders.is_empty() { empty + 1 } else { 0 };
            // Whoever was here at the same time may have moved it on.
            let next = hand.wrapping_add(1);
            let _ = self.hand.compare_exchange(hand, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        None
    }

    fn read(&self, part: usize) -> RwLockReadGuard<'_, Part> {
        // A part is whole at every point where a panic could strike.
        self.parts[part].read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, part: usize) -> RwLockWriteGuard<'_, Part> {
        self.parts[part].write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    /// Moves the hand on to an order that goes; none if it comes to the end before.
    fn evict(&mut self, passed: &mut usize) -> Option<Prepared> {
        while self.hand < self.orders.num_buckets() {
            let place = self.hand;
            self.hand += 1;
            let Some(order) = self.orders.get_bucket(place) else { continue };
            *passed += 1;
            if *passed > MOST_PASSED || !order.forget_use() {
                let order = self.orders.get_bucket_entry(place).ok()?;
                return Some(order.remove().0);
            }
        }
        self.hand = 0;
        None
    }
}

/// The part of a hash: by other bits than the table takes for its places and tags.
fn part_of(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}
