//! Requests for personal data, each told to the audit log before it is answered.

mod address;
mod question;

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::Either;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response};
use ipnet::IpNet;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;

use super::Body;
use super::problem::Problem;
use super::server::{RequestBody, Respond};
use crate::access::{Access, Scope};
use crate::audit::{Actor, Audit, Outcome, Record};
use address::client_address;
pub(super) use question::Question;

/// When to ask again where an answer could not be recorded, in seconds.
const RETRY_AFTER: u32 = 1;

/// The ids that a request asked for in its body; a handler puts them into its answer.
#[derive(Debug, Clone)]
pub(super) struct AskedFor(pub(super) Vec<String>);

/// What one port records, and where.
#[derive(Debug, Clone)]
pub struct Auditor {
    /// Takes the records.
    pub audit: Audit,
    /// Tells the subject of a token; nothing where none is asked for.
    pub access: Option<Access>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Arc<[IpNet]>,
}

/// A port that records what is asked of it, if there is an auditor.
#[derive(Debug, Clone)]
pub(super) struct Audited<R> {
    inner: R,
    auditor: Option<Auditor>,
    base_path: Arc<str>,
    question: fn(&Request<RequestBody>, &str) -> Option<Question>,
}

impl<R: Respond> Audited<R> {
    /// `question` tells what a request asks for, if that is recorded; it is given the path below
    /// `base_path`.
    pub(super) fn new(
        inner: R,
        auditor: Option<Auditor>,
        base_path: Arc<str>,
        question: fn(&Request<RequestBody>, &str) -> Option<Question>,
    ) -> Self {
        Self { inner, auditor, base_path, question }
    }

    fn asked(&self, request: &Request<RequestBody>) -> Option<(Auditor, Asked)> {
        let auditor = self.auditor.as_ref()?;
        let path = request.uri().path();
        let path = path.strip_prefix(&*self.base_path).unwrap_or(path);
        let question = (self.question)(request, path)?;
        let headers = request.headers();
        let address = client_address(request.body().peer(), headers, &auditor.trusted_proxies);
        let token = headers.get(AUTHORIZATION).cloned();
        Some((auditor.clone(), Asked { question, address, token, trace_id: trace_id(headers) }))
    }
}

impl<R: Respond> Respond for Audited<R> {
    fn respond(
        &self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<Body>> + Send + use<R> {
        let asked = self.asked(&request);
        let answering = self.inner.respond(request);
        let Some((auditor, asked)) = asked else { return Either::Left(answering) };
        let base_path = Arc::clone(&self.base_path);
        Either::Right(async move {
            let response = answering.await;
            let record = asked.record(&response, auditor.access.as_ref());
            match auditor.audit.record(&record).await {
                Ok(()) => response,
                Err(_) => Problem::not_recorded(RETRY_AFTER).response(&base_path).map(Body::Routed),
            }
        })
    }
}

/// What is known of a request before it is answered.
struct Asked {
    question: Question,
    address: IpAddr,
    token: Option<HeaderValue>,
    trace_id: Option<String>,
}

impl Asked {
    fn record(self, response: &Response<Body>, access: Option<&Access>) -> Record {
        let status = response.status().as_u16();
        let subject = access.zip(self.token).and_then(|(access, token)| {
            // Whoever was let in was verified a moment ago.
            access.known(&HeaderMap::from_iter([(AUTHORIZATION, token)]))
        });
        let masked = subject.as_ref().is_some_and(|subject| !subject.has_any(&[Scope::OrdersRead]));
        let actor = Actor {
            subject: subject.map(|subject| subject.name.clone()),
            address: Some(self.address.to_string()),
        };
        let targets = match response.extensions().get::<AskedFor>() {
            Some(AskedFor(targets)) => targets.clone(),
            None => self.question.targets,
        };
        let outcome = Outcome::of_status(status);
        let record = Record::new(self.question.action, targets, outcome, actor);
        let masked = masked && self.question.is_maskable && outcome == Outcome::Success;
        Record { status: Some(status), masked, trace_id: self.trace_id, ..record }
    }
}

/// The trace that the client says its request belongs to (W3C Trace Context).
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let context = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    let span = context.span().span_context().clone();
    span.is_valid().then(|| span.trace_id().to_string())
}
