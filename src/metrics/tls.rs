//! Certificates and handshakes of the ports that speak TLS.

use prometheus::{IntCounter, IntGaugeVec};

use super::Maker;

/// What is known of TLS on both ports.
#[derive(Debug)]
pub struct TlsMetrics {
    /// Handshakes that made a connection.
    pub completed: IntCounter,
    /// Handshakes that client or server broke off: no common version, an untrusted certificate.
    pub failed: IntCounter,
    /// Handshakes that took too long.
    pub timed_out: IntCounter,
    /// Clients that spoke plain HTTP.
    pub plain_http: IntCounter,
    not_before: IntGaugeVec,
    not_after: IntGaugeVec,
}

impl TlsMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        let handshakes = maker.counters(
            "tls_handshakes_total",
            "Connections to ports with TLS, by how the handshake ended",
            &["result"],
        );
        let counter = |result| handshakes.with_label_values(&[result]);
        let gauges = |name, help| maker.gauges(name, help, &["port"]);
        Self {
            completed: counter("completed"),
            failed: counter("failed"),
            timed_out: counter("timed_out"),
            plain_http: counter("plain_http"),
            not_before: gauges(
                "tls_certificate_not_before_timestamp_seconds",
                "From when the certificate of a port is valid, in seconds since 1970",
            ),
            not_after: gauges(
                "tls_certificate_not_after_timestamp_seconds",
                "Until when the certificate of a port is valid, in seconds since 1970",
            ),
        }
    }

    /// Sets both moments of the certificate of `port`, `http` or `admin`, in seconds since 1970.
    pub fn set_validity(&self, port: &str, not_before: i64, not_after: i64) {
        self.not_before.with_label_values(&[port]).set(not_before);
        self.not_after.with_label_values(&[port]).set(not_after);
    }
}
