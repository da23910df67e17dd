//! An order as it is kept in memory: one allocation with id, document and entity tag.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use order::OrderUid;
use triomphe::ThinArc;
use twox_hash::XxHash3_64;

/// Bytes of a document's digest in its entity tag.
const TAG_BYTES: usize = 6;

/// `"`, the bytes in base64url (RFC 4648), `"`.
const ETAG_LEN: usize = 1 + TAG_BYTES / 3 * 4 + 1;

/// Bytes of an allocation before the id: count of references, length, [`Header`].
const ALLOCATION_HEADER: usize = 8 + 8 + 8;

/// How often an order must have been passed over by eviction before it goes, at the most.
const MOST_USES: u8 = 3;

/// Bytes that a thread keeps to put an order together in.
const MOST_SCRATCH: usize = 16 << 10;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Eight bytes, aligned as bytes.
struct Header {
    /// Uses since eviction passed by, up to [`MOST_USES`].
    uses: AtomicU8,
    uid_len: u8,
    /// The upper bytes of the document's XXH3.
    tag: [u8; TAG_BYTES],
}

/// An order as it is answered. Clones share the one allocation.
#[derive(Clone)]
pub struct Prepared(ThinArc<Header, u8>);

impl Prepared {
    /// Copies the document: bytes off the wire would keep alive the whole read buffer that they
    /// came in.
    ///
    /// # Panics
    /// Never: an id has at most 128 bytes.
    #[must_use]
    pub fn new(uid: &OrderUid, document: &[u8]) -> Self {
        Self::from_row(uid.as_str(), document).expect("an id has at most 128 bytes")
    }

    /// Of a row of the table; none if no request can ask for this id, because another program
    /// wrote it.
    #[must_use]
    pub fn from_row(uid: &str, document: &[u8]) -> Option<Self> {
        let uid_len = u8::try_from(uid.len()).ok()?;
        let [tag @ .., _, _] = XxHash3_64::oneshot(document).to_be_bytes();
        let header = Header { uses: AtomicU8::new(0), uid_len, tag };
        SCRATCH.with_borrow_mut(|content| {
            content.clear();
            content.extend_from_slice(uid.as_bytes());
            content.extend_from_slice(document);
            let order = Self(ThinArc::from_header_and_slice(header, content));
            content.shrink_to(MOST_SCRATCH);
            Some(order)
        })
    }

    /// The order's id, as bytes.
    #[must_use]
    pub fn uid(&self) -> &[u8] {
        &self.0.slice[..usize::from(self.0.header.header.uid_len)]
    }

    /// The exact bytes that were published.
    #[must_use]
    pub fn document(&self) -> &[u8] {
        &self.0.slice[usize::from(self.0.header.header.uid_len)..]
    }

    /// The strong entity tag: 48 bits of the document's XXH3 in base64url. The document under an
    /// id never changes, so that they are plenty.
    ///
    /// # Panics
    /// Never: what is made here is a valid header value.
    #[must_use]
    pub fn etag(&self) -> HeaderValue {
        let mut tag = [b'"'; ETAG_LEN];
        URL_SAFE_NO_PAD
            .encode_slice(self.0.header.header.tag, &mut tag[1..ETAG_LEN - 1])
            .expect("6 bytes have 8 digits");
        HeaderValue::from_bytes(&tag).expect("base64url in quotes is a valid header value")
    }

    /// Notes a use, for eviction.
    pub(super) fn used(&self) {
        let uses = &self.0.header.header.uses;
        let before = uses.load(Ordering::Relaxed);
        // An order in demand is only read, so that processors do not take its line of memory
        // from each other. A use lost in a race is no loss.
        if before < MOST_USES {
            uses.store(before + 1, Ordering::Relaxed);
        }
    }

    /// Takes a use back; false when there is none left.
    pub(super) fn forget_use(&self) -> bool {
        let uses = &self.0.header.header.uses;
        let before = uses.load(Ordering::Relaxed);
        uses.store(before.saturating_sub(1), Ordering::Relaxed);
        before > 0
    }

    /// What it takes of the process's memory, in bytes: the allocation with the 8 bytes that
    /// glibc keeps before it, in steps of 16.
    pub(super) fn size(&self) -> i64 {
        let bytes = (ALLOCATION_HEADER + self.0.slice.len() + 8).next_multiple_of(16);
        i64::try_from(bytes).expect("memory is below 8 EiB")
    }
}

impl PartialEq for Prepared {
    fn eq(&self, other: &Self) -> bool {
        (self.uid(), self.document()) == (other.uid(), other.document())
    }
}

impl Eq for Prepared {}

impl fmt::Debug for Prepared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uid = String::from_utf8_lossy(self.uid());
        write!(formatter, "Prepared({uid}, {} bytes)", self.document().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(uid: &str, document: &[u8]) -> Prepared {
        Prepared::from_row(uid, document).expect("a short id")
    }

    #[test]
    fn it_holds_what_it_was_made_of() {
        for (uid, document) in [("a", &b"{ \"x\" :1}\n"[..]), ("longer", b""), ("", b"{}")] {
            let order = prepared(uid, document);
            assert_eq!((order.uid(), order.document()), (uid.as_bytes(), document));
        }
        assert_eq!(Prepared::from_row(&"x".repeat(256), b"{}"), None);
    }

    #[test]
    fn the_tag_is_that_of_the_document_wherever_it_is_made() {
        let tag = prepared("a", b"{}").etag();
        assert_eq!(tag, prepared("b", b"{}").etag());
        assert_ne!(tag, prepared("a", b"[]").etag());
        // XXH3-64 of nothing is 2d06800538d394c2 by the specification.
        assert_eq!(prepared("a", b"").etag(), "\"LQaABTjT\"");
    }

    #[test]
    fn the_header_takes_eight_bytes() {
        assert_eq!((size_of::<Header>(), align_of::<Header>()), (8, 1));
        assert_eq!(size_of::<Prepared>(), 8);
        assert_eq!(prepared("a", &[b'x'; 7]).size(), 48);
        assert_eq!(prepared("a", &[b'x'; 15]).size(), 48);
        assert_eq!(prepared("a", &[b'x'; 16]).size(), 64);
    }

    #[test]
    fn uses_are_counted_up_to_the_most() {
        let order = prepared("a", b"{}");
        assert!(!order.forget_use());
        (0..10).for_each(|_| order.used());
        assert_eq!((0..10).filter(|_| order.forget_use()).count(), usize::from(MOST_USES));
    }
}
