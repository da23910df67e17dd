//! Orders in memory: uid to prepared response, bounded by bytes.
//!
//! Orders never change, so the cache can only be incomplete, never wrong. It may be emptied at
//! any time.

mod cold_start;
mod sync;

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderValue;
use quick_cache::Weighter;
use quick_cache::sync::Cache as QuickCache;

use crate::digest::Sha256Digest;
use crate::metrics::CacheSize;

pub use cold_start::ColdStart;
pub use sync::CacheSync;

/// What an entry costs beyond its uid and its document: the map's slot, the handles and the
/// entity tag.
const ENTRY_OVERHEAD: u64 = 160;

/// Used to size the map before anything is known of the orders.
const TYPICAL_ENTRY: u64 = 1_200;

/// `"` and 16 hexadecimal digits and `"`.
const ETAG_LEN: usize = 18;

fn entity_tag(document: &[u8]) -> [u8; ETAG_LEN] {
    let mut tag = [b'"'; ETAG_LEN];
    base16ct::lower::encode(&Sha256Digest::of(document).as_bytes()[..8], &mut tag[1..])
        .expect("8 bytes have 16 hexadecimal digits");
    tag
}

/// An order as it is answered: its exact bytes and, in the same allocation, its entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared(Bytes);

impl Prepared {
    /// Copies the document into an allocation of just its size: bytes off the wire would keep
    /// alive the whole read buffer that they came in.
    #[must_use]
    pub fn new(document: &[u8]) -> Self {
        let mut bytes = BytesMut::with_capacity(document.len() + ETAG_LEN);
        bytes.put_slice(document);
        bytes.put_slice(&entity_tag(document));
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
    /// Never: what [`Prepared::new`] puts there is a valid header value.
    #[must_use]
    pub fn etag(&self) -> HeaderValue {
        HeaderValue::from_maybe_shared(self.0.slice(self.0.len() - ETAG_LEN..))
            .expect("hexadecimal digits in quotes are a valid header value")
    }

    fn size(&self) -> u64 {
        self.0.len() as u64
    }
}

/// The cache. Clones share it.
#[derive(Debug, Clone)]
pub struct Cache(Arc<QuickCache<Box<str>, Prepared, ByBytes>>);

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
        Self(Arc::new(QuickCache::with_weighter(items, max_bytes, ByBytes)))
    }

    /// The order, if it is in memory.
    #[must_use]
    pub fn get(&self, uid: &str) -> Option<Prepared> {
        self.0.get(uid)
    }

    /// Whether the order is in memory; does not count as use.
    #[must_use]
    pub fn contains(&self, uid: &str) -> bool {
        self.0.contains_key(uid)
    }

    /// Keeps an order, and lets others go if there is no room.
    pub fn insert(&self, uid: &str, order: Prepared) {
        self.0.insert(uid.into(), order);
    }

    /// Keeps an order if the cache is not nearly full; tells whether it was kept.
    ///
    /// The cache is cut into parts, each with its share of the bytes. Their fillings differ, and
    /// together they never reach the last byte: an eighth left free is room enough for both, so
    /// that no order has to go and the end is noticed.
    #[must_use]
    pub fn insert_if_room(&self, uid: &str, order: Prepared) -> bool {
        let room = self.0.weight() + weight(uid, &order) <= self.0.capacity() / 8 * 7;
        if room {
            self.insert(uid, order);
        }
        room
    }

    /// How much is in it now.
    #[must_use]
    pub fn size(&self) -> CacheSize {
        CacheSize {
            entries: self.0.len() as u64,
            bytes: self.0.weight(),
            max_bytes: self.0.capacity(),
        }
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
        assert!(cache.size().bytes <= max_bytes, "{:?}", cache.size());
        assert!(cache.size().entries > 500, "{:?}", cache.size());
    }

    #[test]
    fn a_cache_that_is_nearly_full_takes_no_order_that_could_push_out_another() {
        let cache = Cache::new(16 << 20);
        let order = Prepared::new(&[b'x'; 1000]);
        let fitted =
            (0..20_000).take_while(|n| cache.insert_if_room(&n.to_string(), order.clone()));
        let fitted = fitted.count() as u64;
        assert!((11_000..14_000).contains(&fitted), "{fitted} orders");
        assert!(cache.size().entries > fitted / 10 * 9, "hardly any had to go");
        assert!(!cache.insert_if_room("one more", order));
    }
}
