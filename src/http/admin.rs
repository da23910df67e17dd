//! The admin port: health for the orchestrator, metrics for Prometheus, rejects for operators.

use std::fmt::Write as _;
use std::future::Future;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use stan::SessionState;
use tokio::time::timeout;
use tower::Service as _;

use super::Body;
use super::accept::Respond;
use super::conditional::without_false_length;
use super::rejects;
use crate::cache::Cache;
use crate::health::Health;
use crate::ingest;
use crate::metrics::Metrics;
use crate::rejects::RejectUsage;
use crate::store::Store;

/// How long a look at Postgres may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// What the admin port tells about.
#[derive(Debug, Clone)]
pub struct Admin {
    /// The phase of this replica, for `/readyz`.
    pub health: Health,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Asked for a sign of life.
    pub store: Store,
    /// Measured when `/metrics` is read.
    pub cache: Cache,
    /// The session with the broker; empty on a read-only replica and before it begins.
    pub session: ingest::Watch,
    /// How much is kept among the rejects.
    pub rejects: RejectUsage,
    /// Whether the broker's monitor answers.
    pub monitor: ingest::MonitorState,
    /// What the broker deleted before anybody took it.
    pub losses: ingest::LossTracker,
}

/// The routes of the admin port as a [`Respond`].
#[derive(Debug, Clone)]
pub(super) struct Routed(Router);

impl Routed {
    pub(super) fn new(admin: Admin) -> Self {
        Self(
            Router::new()
                .route("/livez", get(async || text(StatusCode::OK, "ok\n".to_owned())))
                .route("/readyz", get(readyz))
                .route("/metrics", get(metrics))
                .merge(rejects::router(admin.store.clone()))
                .with_state(admin),
        )
    }
}

impl Respond for Routed {
    fn respond(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = http::Response<Body>> + Send + use<> {
        let routed = self.0.clone().call(request.map(axum::body::Body::new));
        async move {
            let Ok(response) = routed.await;
            without_false_length(response).map(Body::Routed)
        }
    }
}

/// 200 when lookups are welcome. After the warm-up Postgres and the broker are told of with `?verbose` and do not
/// count: what is in memory is served without them.
async fn readyz(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let ready = admin.health.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut report = String::new();
    if query.is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose"))) {
        let postgres = match timeout(PROBE_TIMEOUT, admin.store.ping()).await {
            Ok(Ok(())) => Ok("answers".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {PROBE_TIMEOUT:?}")),
        };
        let state = admin.session.get().map(|session| session.state().borrow().clone());
        let broker = match state {
            Some(SessionState::Live) => Ok("session live".to_owned()),
            Some(SessionState::Connecting) => Err("connecting".to_owned()),
            Some(SessionState::Lost(lost)) => Err(lost.to_string()),
            Some(SessionState::Retrying(why)) => Err(why),
            Some(SessionState::Closed) => Err("session closed".to_owned()),
            None => Ok("not subscribed".to_owned()),
        };
        let phase = admin.health.describe();
        let cache = if ready && admin.health.is_warm() { Ok(phase) } else { Err(phase) };
        let rejects = admin.rejects.describe();
        for (name, told) in [
            ("cache", cache),
            ("postgres", postgres),
            ("broker", broker),
            ("broker's monitor", admin.monitor.describe()),
            ("rejects", rejects),
        ] {
            let (sign, what) = match told {
                Ok(what) => ('+', what),
                Err(what) => ('-', what),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(report, "[{sign}] {name}: {what}");
        }
        let (lost, perhaps) = admin.losses.describe();
        for (name, what) in [
            ("lost to retention", lost),
            ("perhaps lost to retention", perhaps),
            ("the channel began anew", admin.losses.describe_reset()),
        ] {
            if let Some(what) = what {
                let _ = writeln!(report, "[-] {name}: {what}");
            }
        }
    }
    let _ = writeln!(report, "{}", admin.health.describe());
    text(status, report)
}

async fn metrics(State(admin): State<Admin>) -> Response {
    admin.metrics.refresh(&admin.store, admin.cache.size(), &admin.health, admin.session.get());
    let headers = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (headers, admin.metrics.render()).into_response()
}

fn text(status: StatusCode, body: String) -> Response {
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    (status, headers, body).into_response()
}
