//! Spans of requests, by OpenTelemetry's semantic conventions for HTTP servers.
//!
//! What a client sent is not told but for its method: a path has the id of an order, a query or a
//! header may have anything.

use axum::extract::{MatchedPath, Request};
use futures_util::future::Either;
use http::{Method, StatusCode, Version};
use opentelemetry::context::FutureExt as _;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::Span;

use crate::http::Body;
use crate::telemetry;

/// What stands in `url.path` for the parameters of a route.
const REDACTED: &str = "REDACTED";

/// The span of a request that is being answered. It ends when the answer, and what is still sent
/// of it, is done.
#[derive(Debug)]
pub struct ServerSpan {
    span: Span,
    parent: Context,
}

impl ServerSpan {
    /// None without a collector. It continues the trace that the header `traceparent` names (W3C
    /// Trace Context), with whether that is sampled.
    #[must_use]
    pub fn begin<B>(request: &http::Request<B>) -> Option<Self> {
        telemetry::is_tracing().then(|| Self::start(request)).flatten()
    }

    fn start<B>(request: &http::Request<B>) -> Option<Self> {
        let headers = HeaderExtractor(request.headers());
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
        let method = known(request.method());
        let name = method.map_or("HTTP", |method| method);
        let mut span = telemetry::span_below(&parent, name, SpanKind::Server)?;
        if span.is_recording() {
            span.set_attributes([
                KeyValue::new("http.request.method", method.unwrap_or("_OTHER")),
                KeyValue::new("url.scheme", "http"),
                KeyValue::new("network.protocol.version", version(request.version())),
            ]);
        }
        Some(Self { span, parent })
    }

    /// Ends it, with an answer that is made already; `route` is the template it was found by.
    pub fn end(mut self, method: &Method, route: Option<&'static str>, status: StatusCode) {
        if self.span.is_recording() {
            let span = self.parent.with_span(self.span);
            if let Some(route) = route {
                note_route(&span, method, route);
            }
            note_status(&span, status);
        } else {
            self.span.end();
        }
    }

    /// Makes an answer within `span`, if there is one.
    pub fn around(
        span: Option<Self>,
        answer: impl Future<Output = http::Response<Body>>,
    ) -> impl Future<Output = http::Response<Body>> {
        let Some(Self { span, parent }) = span else { return Either::Left(answer) };
        let span = parent.with_span(span);
        // Boxed: else the future of every connection would have room for it twice.
        Either::Right(Box::pin(async move {
            let response = answer.with_context(span.clone()).await;
            note_status(&span, response.status());
            response
        }))
    }
}

/// Tells the current span of the route that a request has matched, if it has: a router knows.
pub fn matched(request: &Request) {
    if !telemetry::is_tracing() {
        return;
    }
    let Some(route) = request.extensions().get::<MatchedPath>() else { return };
    Context::map_current(|span| note_route(span, request.method(), route.as_str()));
}

fn note_route(context: &Context, method: &Method, route: &str) {
    let span = context.span();
    if !span.is_recording() {
        return;
    }
    span.update_name(format!("{} {route}", known(method).unwrap_or("HTTP")));
    span.set_attribute(KeyValue::new("http.route", route.to_owned()));
    span.set_attribute(KeyValue::new("url.path", redacted(route)));
}

fn note_status(context: &Context, status: StatusCode) {
    let span = context.span();
    if !span.is_recording() {
        return;
    }
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    if status.is_server_error() {
        span.set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
        span.set_status(Status::error(""));
    }
}

/// The methods that the conventions know; any other is the client's invention.
fn known(method: &Method) -> Option<&'static str> {
    const METHODS: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    METHODS.into_iter().find(|known| *known == method.as_str())
}

fn version(version: Version) -> &'static str {
    if version == Version::HTTP_10 { "1.0" } else { "1.1" }
}

/// The path of a request that matched `route`, without what stood for its parameters.
fn redacted(route: &str) -> String {
    let segments = route.split('/').map(|part| if part.starts_with('{') { REDACTED } else { part });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_without_its_parameters() {
        for (route, path) in [
            ("/", "/"),
            ("/orders/{*uid}", "/orders/REDACTED"),
            ("/rejects/{id}/payload", "/rejects/REDACTED/payload"),
            ("/static/style.css", "/static/style.css"),
        ] {
            assert_eq!(redacted(route), path);
        }
    }

    #[test]
    fn a_method_of_a_client_s_own_is_not_told() {
        assert_eq!(known(&Method::POST), Some("POST"));
        assert_eq!(known(&Method::from_bytes(b"PASSWORD").unwrap()), None);
        assert_eq!(known(&Method::from_bytes(b"get").unwrap()), None);
    }

    #[test]
    fn without_a_collector_there_is_no_span() {
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let request = http::Request::builder().header("traceparent", traceparent).body(()).unwrap();
        assert!(ServerSpan::begin(&request).is_none());
    }
}
