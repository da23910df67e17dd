//! Tells Prometheus which stage runs, so that dashboards can mark it.

use std::future::{Future, ready};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use tokio_util::sync::CancellationToken;

use super::stages;
use crate::config;
use crate::http::Body;
use crate::http::server::{Bound, RequestBody, Respond};
use crate::metrics::Metrics;

/// `/metrics` with the rate of the stage that runs.
pub(crate) struct StageServer {
    bound: Bound,
    responder: Stages,
}

#[derive(Debug, Clone)]
struct Stages {
    directory: Arc<Path>,
}

impl StageServer {
    /// Will tell of the results in `directory`, within the `limits` of the service's own ports.
    ///
    /// # Errors
    /// An address that is in use or not ours.
    pub(crate) fn bind(
        address: SocketAddr,
        directory: &Path,
        limits: &config::Http,
    ) -> anyhow::Result<Self> {
        let bound = Bound::bind(address, 1, limits, &Metrics::new());
        let bound = bound.with_context(|| format!("`--listen` {address} cannot be bound"))?;
        Ok(Self { bound, responder: Stages { directory: directory.into() } })
    }

    /// Where it listens, with the port the system chose if 0 was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.bound.address()
    }

    /// Answers without end.
    pub(crate) async fn run(self) {
        self.bound.serve(self.responder, CancellationToken::new()).await;
    }
}

impl Respond for Stages {
    fn respond(
        &self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        let is_known = request.uri().path() == "/metrics";
        let text = if is_known {
            stages::running(&self.directory, SystemTime::now()).render()
        } else {
            "there is only /metrics here\n".to_owned()
        };
        let mut response = Response::new(Body::Routed(text.into()));
        if !is_known {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, text);
        ready(response)
    }
}
