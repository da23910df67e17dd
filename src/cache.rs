//! Orders in memory: uid to prepared response, bounded by bytes.
//!
//! Orders never change, so the cache can only be incomplete, never wrong. It may be emptied at
//! any time.

mod keep;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderValue;
use quick_cache::sync::Cache as QuickCache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};
use sha2::{Digest as _, Sha256};

pub use keep::Keeper;

/// What an entry costs beyond its uid and its document: the map's slot, the handles and the
/// entity tag.
const ENTRY_OVERHEAD: u64 = 160;

/// Used to size the map before anything is known of the orders.
const TYPICAL_ENTRY: u64 = 1_200;

/// `"` and 16 hexadecimal digits and `"`.
const ETAG_LEN: usize = 18;

/// An order as it is answered: its exact bytes and, in the same allocation, its entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared(Bytes);

impl Prepared {
    /// Copies the document into an allocation of just its size: bytes off the wire would keep
    /// alive the whole read buffer that they came in.
    #[must_use]
    pub fn new(document: &[u8]) -> Self {
        const HEX: [u8; 16] = *b"0123456789abcdef";
        let digest = Sha256::digest(document);
        let mut bytes = BytesMut::with_capacity(document.len() + ETAG_LEN);
        bytes.put_slice(document);
        bytes.put_u8(b'"');
        for byte in &digest[..8] {
            bytes.put_u8(HEX[usize::from(byte >> 4)]);
            bytes.put_u8(HEX[usize::from(byte & 15)]);
        }
        bytes.put_u8(b'"');
        Self(bytes.freeze())
    }

    /// The exact bytes that were published.
    #[must_use]
    pub fn document(&self) -> Bytes {
        self.0.slice(..self.0.len() - ETAG_LEN)
    }

    /// The strong entity tag. The document under a uid never changes, so 64 bits of its digest
    /// are plenty.
    ///
    /// # Panics
    /// Never: what [`Prepared::new`] puts there is a legal header value.
    #[must_use]
    pub fn etag(&self) -> HeaderValue {
        HeaderValue::from_maybe_shared(self.0.slice(self.0.len() - ETAG_LEN..))
            .expect("hexadecimal digits in quotes are a legal header value")
    }

    fn size(&self) -> u64 {
        self.0.len() as u64
    }
}

/// The cache. Clones share it.
#[derive(Debug, Clone)]
pub struct Cache {
    cache: Arc<QuickCache<Box<str>, Prepared, ByBytes, DefaultHashBuilder, Evictions>>,
    evictions: Evictions,
}

/// Counts the orders that had to go.
#[derive(Debug, Clone, Default)]
struct Evictions(Arc<AtomicU64>);

impl Evictions {
    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Lifecycle<Box<str>, Prepared> for Evictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: Box<str>, _: Prepared) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<Box<str>, Prepared> for ByBytes {
    fn weight(&self, uid: &Box<str>, order: &Prepared) -> u64 {
        weight(uid, order)
    }
}

fn weight(uid: &str, order: &Prepared) -> u64 {
    uid.len() as u64 + order.size() + ENTRY_OVERHEAD
}

impl Cache {
    /// An empty cache of at most `max_bytes`, overhead included.
    #[must_use]
    pub fn new(max_bytes: u64) -> Self {
        let items = usize::try_from(max_bytes / TYPICAL_ENTRY).unwrap_or(usize::MAX).max(16);
        let hasher = DefaultHashBuilder::default();
        let evictions = Evictions::default();
        let cache = QuickCache::with(items, max_bytes, ByBytes, hasher, evictions.clone());
        Self { cache: Arc::new(cache), evictions }
    }

    /// The order, if it is in memory.
    #[must_use]
    pub fn get(&self, uid: &str) -> Option<Prepared> {
        self.cache.get(uid)
    }

    /// Whether the order is in memory; does not count as use.
    #[must_use]
    pub fn contains(&self, uid: &str) -> bool {
        self.cache.contains_key(uid)
    }

    /// Keeps an order, and lets others go if there is no room.
    pub fn insert(&self, uid: &str, order: Prepared) {
        self.cache.insert(uid.into(), order);
    }

    /// Keeps an order; tells whether there was room, or another had to go.
    ///
    /// The sum of all bytes does not tell: the cache is cut into parts, each with its share of
    /// the bytes, and once they are full they never fill it to the last byte.
    #[must_use]
    pub fn insert_if_room(&self, uid: &str, order: Prepared) -> bool {
        let before = self.evictions.count();
        self.insert(uid, order);
        self.evictions.count() == before
    }

    /// Number of orders.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.cache.len()
    }

    /// Bytes of the orders, overhead included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// The bound on [`Cache::bytes`].
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.cache.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_comes_back_byte_for_byte_with_a_tag_of_its_own() {
        let cache = Cache::new(1 << 20);
        cache.insert("a", Prepared::new(b"{ \"x\" :1}\n"));
        cache.insert("b", Prepared::new(b""));
        let a = cache.get("a").expect("just put");
        assert_eq!(&a.document()[..], b"{ \"x\" :1}\n");
        assert_eq!(a.etag().len(), ETAG_LEN);
        assert_ne!(a.etag(), cache.get("b").expect("just put").etag());
        assert_eq!(a.etag(), Prepared::new(b"{ \"x\" :1}\n").etag());
        assert!(cache.get("c").is_none());
    }

    #[test]
    fn the_bound_in_bytes_holds() {
        let max_bytes = 1 << 20;
        let cache = Cache::new(max_bytes);
        let order = Prepared::new(&[b'x'; 1000]);
        for n in 0..5_000 {
            cache.insert(&n.to_string(), order.clone());
        }
        assert!(cache.bytes() <= max_bytes, "{} bytes", cache.bytes());
        assert!(cache.entries() > 500, "{} entries", cache.entries());
    }

    #[test]
    fn a_full_cache_says_so_when_the_first_order_has_to_go() {
        let max_bytes = 1 << 20;
        let cache = Cache::new(max_bytes);
        let order = Prepared::new(&[b'x'; 1000]);
        let fitted = (0..5_000).take_while(|n| cache.insert_if_room(&n.to_string(), order.clone()));
        let fitted = fitted.count();
        assert_eq!(cache.entries(), fitted, "one came and one went");
        assert!(cache.bytes() > max_bytes / 4, "{} bytes", cache.bytes());
        assert!(fitted < 1_000, "{fitted} orders");
    }
}
