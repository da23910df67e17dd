//! Tokens that were not accepted, and the keys that tell.

use prometheus::IntCounterVec;

use super::Maker;

/// Why requests are refused, and how the issuer does.
#[derive(Debug)]
pub struct AccessMetrics {
    refusals: IntCounterVec,
    fetches: IntCounterVec,
}

/// Every value of the label `reason`.
const REASONS: [&str; 13] = [
    "missing",
    "unverifiable",
    "insufficient_scope",
    "malformed",
    "too_long",
    "unknown",
    "expired",
    "not_yet_valid",
    "algorithm",
    "unknown_key",
    "signature",
    "issuer",
    "audience",
];

impl AccessMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        let refusals = maker.counters(
            "access_refusals_total",
            "Requests refused because of their token, by what is wrong with it",
            &["reason"],
        );
        let fetches = maker.counters(
            "access_key_fetches_total",
            "How often the keys of the issuer were asked for, by result",
            &["result"],
        );
        for reason in REASONS {
            refusals.with_label_values(&[reason]);
        }
        for result in ["ok", "failed"] {
            fetches.with_label_values(&[result]);
        }
        Self { refusals, fetches }
    }

    /// Notes a request that was refused for this reason.
    pub fn refused(&self, reason: &'static str) {
        debug_assert!(REASONS.contains(&reason), "{reason}");
        self.refusals.with_label_values(&[reason]).inc();
    }

    /// Notes that the source of keys was asked.
    pub fn fetched(&self, is_ok: bool) {
        let result = if is_ok { "ok" } else { "failed" };
        self.fetches.with_label_values(&[result]).inc();
    }
}
