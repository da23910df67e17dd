//! Which status answers a request rightly.
//!
//! A result of vegeta holds the URL that was asked for and the status that came, but not what was
//! expected. So the URL says it: the id of an order that nobody has begins with
//! [`UNKNOWN_PREFIX`], and 404 is the right answer to it.

/// What the ids of orders that nobody has begin with.
pub const UNKNOWN_PREFIX: &str = "no-such-order-";

/// Whether `status` is the right answer to a request for `url`: 404 for an order that nobody has;
/// 2xx or 304 (the client's copy is still good) for everything else.
#[must_use]
pub fn is_right(url: &str, status: u16) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let is_unknown =
        path.rsplit('/').next().is_some_and(|segment| segment.starts_with(UNKNOWN_PREFIX));
    if is_unknown { status == 404 } else { matches!(status, 200..=299 | 304) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_what_nobody_has_must_be_told_so() {
        let (known, unknown) =
            ("http://a/api/v1/orders/b", "http://a/api/v1/orders/no-such-order-1");
        let right = |url| [200, 204, 302, 304, 404, 500, 0].map(|status| is_right(url, status));
        assert_eq!(right(known), [true, true, false, true, false, false, false]);
        assert_eq!(right(unknown), [false, false, false, false, true, false, false]);
        assert!(is_right("http://a/no-such-order-/orders?a=/no-such-order-", 200));
        assert!(is_right("http://a/no-such-order-5?a=/b", 404));
    }
}
