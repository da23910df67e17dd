//! Requests and connections.

use std::time::Duration;

use ::http::{Method, StatusCode};
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};

use super::Maker;
use super::objectives::Counted;

const METHODS: [&str; 4] = ["get", "head", "post", "other"];
const ROUTES: [&str; 6] = ["order_api", "orders_lookup", "order_page", "index", "static", "other"];
/// Those where orders are asked for.
const ORDER_ROUTES: [&str; 3] = ["order_api", "orders_lookup", "order_page"];
const CODES: [&str; 14] = [
    "200", "303", "304", "400", "401", "403", "404", "405", "408", "413", "414", "500", "503",
    "other",
];

/// Requests by route and answer.
#[derive(Debug)]
pub struct HttpMetrics {
    /// Orders answered from memory on the hot path, which keeps no other record of them.
    pub lookup_hit: IntCounter,
    /// Of those, requests whose sender had the order already.
    pub lookup_unchanged: IntCounter,
    /// How long both took, in seconds.
    pub lookup_duration: Histogram,
    /// Connections that are open now, on all ports.
    pub connections: IntGauge,
    /// Connections refused because there were too many.
    pub connections_rejected: IntCounter,
    requests: IntCounterVec,
    duration: HistogramVec,
}

impl HttpMetrics {
    pub(super) fn new(maker: &Maker) -> Self {
        let requests = maker.counters(
            "http_requests_total",
            "Requests by method, route and status code",
            &["method", "route", "code"],
        );
        let duration = maker.histograms(
            "http_request_duration_seconds",
            "Time to make an answer, from reading the head of the request",
            "route",
            &[
                0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005,
                0.01, 0.025, 0.1, 0.5, 2.5,
            ],
        );
        for route in ROUTES {
            duration.with_label_values(&[route]);
            for method in METHODS {
                for code in CODES {
                    requests.with_label_values(&[method, route, code]);
                }
            }
        }
        Self {
            lookup_hit: requests.with_label_values(&["get", "order_api", "200"]),
            lookup_duration: duration.with_label_values(&["order_api"]),
            lookup_unchanged: requests.with_label_values(&["get", "order_api", "304"]),
            connections: maker.gauge("http_connections", "Open connections"),
            connections_rejected: maker.counter(
                "http_connections_rejected_total",
                "Connections refused because there were too many",
            ),
            requests,
            duration,
        }
    }

    /// Requests for orders that were answered with a 5xx, and all of them.
    pub(super) fn failed(&self) -> Counted {
        let (mut failed, mut all) = (0, 0);
        for route in ORDER_ROUTES {
            for method in METHODS {
                for code in CODES {
                    let count = self.requests.with_label_values(&[method, route, code]).get();
                    all += count;
                    failed += if code.starts_with('5') { count } else { 0 };
                }
            }
        }
        (failed, all)
    }

    /// Notes a request that went through the routes.
    pub fn observe(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let method = match *method {
            Method::GET => "get",
            Method::HEAD => "head",
            Method::POST => "post",
            _ => "other",
        };
        let code = CODES.into_iter().find(|code| *code == status.as_str()).unwrap_or("other");
        self.requests.with_label_values(&[method, route, code]).inc();
        self.duration.with_label_values(&[route]).observe(took.as_secs_f64());
    }
}
