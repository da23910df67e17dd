//! Answers to those who come to a port with TLS in the wrong way.

use std::future::{Future, ready};

use futures_util::future::Either;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};

use super::accept::{CLOSE, Respond};
use super::request_body::RequestBody;
use crate::http::body::Body;

/// What an orchestrator asks, which has no certificate to present.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// Says over plain HTTP that the port speaks HTTPS.
#[derive(Debug, Clone)]
pub(super) struct SpeakTls;

impl Respond for SpeakTls {
    fn respond(
        &self,
        _: Request<RequestBody>,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        let why = "This port speaks HTTPS: use https:// in place of http://\n";
        let mut response = text(StatusCode::BAD_REQUEST, why);
        response.headers_mut().insert(CONNECTION, CLOSE);
        ready(response)
    }
}

/// Lets a client without a certificate ask for nothing but probes.
#[derive(Debug, Clone)]
pub(super) struct ProbesOnly<A>(pub(super) A);

impl<A: Respond> Respond for ProbesOnly<A> {
    fn respond(
        &self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<Body>> + Send + use<A> {
        if PROBES.contains(&request.uri().path()) {
            return Either::Left(self.0.respond(request));
        }
        let why = "This port wants a client certificate for all but /livez and /readyz\n";
        Either::Right(ready(text(StatusCode::FORBIDDEN, why)))
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::Routed(body.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
