//! What the fuzz target does with its input; the unit tests do the same with the corpus.

use bytes::Bytes;

use order::details::Details;
use order::{Order, OrderUid, Reason};

/// Small, so that the fuzzer finds what is too large.
const MAX_BYTES: usize = 4096;

/// Reads the bytes as an order. What is accepted is kept as it came and means the same to another
/// reader; what is refused is refused again for the same reason, in words for a terminal.
pub(crate) fn order(data: &[u8]) -> Option<Order> {
    let document = Bytes::copy_from_slice(data);
    match Order::parse(document.clone(), MAX_BYTES) {
        Ok(order) => {
            assert_eq!(*order.document(), document, "the bytes are changed");
            let details: Details = serde_json::from_slice(data).expect("serde_json reads it too");
            assert_eq!(details.order_uid, order.uid().as_str());
            assert!(OrderUid::try_from(order.uid().as_str()).is_ok(), "{}", order.uid());
            // Of a number that no double can hold serde_json makes no value.
            let value = serde_json::from_slice(data);
            assert!(!value.is_ok_and(|value| contains_nul(&value)), "a NUL in a text");
            Some(order)
        }
        Err(refusal) => {
            let again = Order::parse(document, MAX_BYTES).expect_err("it was refused");
            assert_eq!(again, refusal);
            assert!(!matches!(refusal.reason, Reason::Conflict | Reason::Database), "{refusal}");
            assert_eq!(refusal.reason == Reason::TooLarge, data.len() > MAX_BYTES, "{refusal}");
            let utf8 = std::str::from_utf8(data).is_ok() || data.len() > MAX_BYTES;
            assert_eq!(refusal.reason == Reason::NotUtf8, !utf8, "{refusal}");
            let is_json = serde_json::from_slice::<serde_json::Value>(data).is_ok();
            assert!(!is_json || refusal.reason != Reason::NotJson, "{refusal}");
            assert!(refusal.detail.len() <= 300, "{refusal}");
            assert!(refusal.detail.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{refusal}");
            None
        }
    }
}

/// Whether a text or key in it holds what Postgres's `json` cannot show.
fn contains_nul(value: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Object, String};
    match value {
        String(text) => text.contains('\0'),
        Array(values) => values.iter().any(contains_nul),
        Object(fields) => {
            fields.iter().any(|(key, value)| key.contains('\0') || contains_nul(value))
        }
        _ => false,
    }
}
