//! An OTLP receiver: takes what the service sends over HTTP, as a collector does.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use prost::Message as _;
use testbed::eventually;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::service::{PATIENCE, hex};

pub(super) type Attributes = BTreeMap<String, String>;

/// A span as it came over the wire.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) kind: SpanKind,
    /// Ids in hexadecimal digits.
    pub(super) trace_id: String,
    pub(super) span_id: String,
    /// Empty of a root.
    pub(super) parent: String,
    pub(super) attributes: Attributes,
    pub(super) links: Vec<Link>,
    pub(super) links_left_out: u32,
    pub(super) is_error: bool,
    /// Nanoseconds since 1970.
    pub(super) end: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) trace_id: String,
    pub(super) span_id: String,
    pub(super) attributes: Attributes,
}

impl Seen {
    pub(super) fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", |value| value)
    }

    /// All that can be read in it.
    pub(super) fn text(&self) -> String {
        format!("{self:?}")
    }
}

/// What was received so far. It is gone when this is dropped.
pub(super) struct Receiver {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        Self::start_on(0).await
    }

    pub(super) async fn start_on(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let spans = Arc::<Mutex<Vec<Seen>>>::default();
        let task = tokio::spawn(serve(listener, Arc::clone(&spans)));
        Self { address, spans, task }
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn spans(&self) -> Vec<Seen> {
        self.spans.lock().expect("no panic").clone()
    }

    /// The first span that is meant, once it is there.
    pub(super) async fn span(&self, what: &str, is_meant: impl Fn(&Seen) -> bool) -> Seen {
        let found = async || self.spans().into_iter().find(&is_meant);
        eventually(what, PATIENCE, found).await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, spans: Arc<Mutex<Vec<Seen>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let spans = Arc::clone(&spans);
        let service = service_fn(move |request| receive(request, Arc::clone(&spans)));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn receive(
    request: Request<Incoming>,
    spans: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.uri().path(), "/v1/traces");
    assert_eq!(request.headers()["content-type"], "application/x-protobuf");
    let body = request.into_body().collect().await.expect("a body").to_bytes();
    let sent = ExportTraceServiceRequest::decode(body).expect("protobuf");
    for resource in sent.resource_spans {
        let about = attributes(resource.resource.expect("a resource").attributes);
        assert_eq!(about["service.name"], "waybill");
        let received = resource.scope_spans.into_iter().flat_map(|scope| scope.spans).map(seen);
        spans.lock().expect("no panic").extend(received);
    }
    Ok(Response::default())
}

fn seen(span: Span) -> Seen {
    let link = |link: opentelemetry_proto::tonic::trace::v1::span::Link| Link {
        trace_id: hex(&link.trace_id),
        span_id: hex(&link.span_id),
        attributes: attributes(link.attributes),
    };
    Seen {
        kind: span.kind(),
        is_error: span.status.is_some_and(|status| status.code() == StatusCode::Error),
        name: span.name,
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        attributes: attributes(span.attributes),
        links: span.links.into_iter().map(link).collect(),
        links_left_out: span.dropped_links_count,
        end: span.end_time_unix_nano,
    }
}

/// Attributes with their values as text. One that comes twice is a mistake.
fn attributes(pairs: Vec<KeyValue>) -> Attributes {
    let mut attributes = Attributes::new();
    for pair in pairs {
        let mut text = String::new();
        match pair.value.and_then(|value| value.value) {
            Some(Value::StringValue(value)) => text = value,
            Some(Value::IntValue(value)) => write!(text, "{value}").expect("a string takes all"),
            other => write!(text, "{other:?}").expect("a string takes all"),
        }
        let before = attributes.insert(pair.key.clone(), text);
        assert_eq!(before, None, "{} comes twice", pair.key);
    }
    attributes
}
