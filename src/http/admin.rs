//! The admin port: health for the orchestrator, metrics for Prometheus, the newest orders and
//! rejects for operators.

mod database_pages;
mod log_filter;
mod message_page;
mod orders;
mod readiness;
mod reject_pages;
mod rejects;
mod status_page;
mod statusz;

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use tokio::time::Instant;
use tower::Service as _;

use self::database_pages::DatabasePages;
use self::reject_pages::BASE;
use super::Body;
use super::audited::{Audited, Auditor, Question};
use super::conditional::without_false_length;
use super::guard::{Guard, vary};
use super::problem::ProblemPages;
use super::server::{RequestBody, Respond, ServerSpan, matched};
use crate::access::{Access, Scope};
use crate::cache::Cache;
use crate::config::Settings;
use crate::health::Health;
use crate::ingest;
use crate::metrics::{Metrics, StreamLag};
use crate::primary::PrimaryState;
use crate::rejects::RejectUsage;
use crate::store::Store;
use crate::telemetry::LogFilter;

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
    /// Which primary Postgres is, and whether what it may lack is being put back.
    pub primary: PrimaryState,
    /// The session with the broker; empty on a read-only replica and before it begins.
    pub session: ingest::Watch,
    /// The session with the servers of the stream.
    pub stream: ingest::Watch,
    /// How much is kept among the rejects.
    pub rejects: RejectUsage,
    /// Whether the broker's monitor answers.
    pub monitor: ingest::MonitorState,
    /// What the broker deleted before anybody took it.
    pub losses: ingest::LossTracker,
    /// Whether JetStream tells how the stream is, and how it is.
    pub stream_monitor: ingest::MonitorState<StreamLag>,
    /// What the stream has lost.
    pub stream_losses: ingest::LossTracker,
    /// The batches that were settled last.
    pub batches: ingest::RecentBatches,
    /// What is logged, which can be changed here.
    pub log_filter: LogFilter,
    /// The settings in force; shown with their secrets masked.
    pub settings: Arc<Settings>,
    /// When the process started, by a clock that may have been set since.
    pub started_at: SystemTime,
    /// The same, by one that cannot be set.
    pub up_since: Instant,
    /// Records who looks at what; nothing where nobody wants to know.
    pub auditor: Option<Auditor>,
    /// Tells who may use this port; nothing where everybody may.
    pub access: Option<Access>,
}

impl Admin {
    /// What answers the requests that come to the admin port.
    pub fn into_responder(self) -> impl Respond {
        let pages = DatabasePages::new(self.store.clone());
        let guard = self.access.clone().map(|access| Guard::new(access, self.metrics.clone()));
        let router = Router::new()
            .route("/livez", get(async || text(StatusCode::OK, "ok\n".to_owned())))
            .route("/readyz", get(readiness::readyz))
            .route("/metrics", get(metrics))
            .route("/log-filter", get(log_filter::show).put(log_filter::change))
            .merge(statusz::router(self.clone()))
            .route("/problems", get(problems))
            .route("/problems/{name}", get(problem))
            .merge(orders::router(pages.clone()))
            .merge(rejects::router(pages));
        let router = match guard {
            None => router,
            Some(guard) => router.layer(from_fn_with_state(guard, admit)),
        };
        let router = router.layer(from_fn(async |request: Request, next: Next| {
            matched(&request);
            next.run(request).await
        }));
        let auditor = self.auditor.clone();
        Audited::new(Routed(router.with_state(self)), auditor, BASE.into(), Question::of_admin)
    }
}

/// The scope that a path of this port needs; nothing where everybody may ask: probes have no token.
fn needed(path: &str, protects_metrics: bool) -> Option<&'static [Scope]> {
    let is_below = |root: &str| {
        path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match path {
        "/livez" | "/readyz" => None,
        "/metrics" if !protects_metrics => None,
        _ if is_below("/problems") || is_below("/static") => None,
        _ if is_below("/rejects") => Some(&[Scope::RejectsRead]),
        _ => Some(&[Scope::Admin]),
    }
}

/// Lets a request through whose token allows it.
async fn admit(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let Some(needed) = needed(request.uri().path(), guard.protects_metrics()) else {
        return next.run(request).await;
    };
    match guard.admit(request.headers(), needed).await {
        Ok(subject) => {
            request.extensions_mut().insert(subject);
            let mut response = next.run(request).await;
            vary(response.headers_mut());
            response
        }
        Err(refusal) => refusal.problem().response(BASE),
    }
}

/// The routes of the admin port as a [`Respond`].
#[derive(Debug, Clone)]
struct Routed(Router);

impl Respond for Routed {
    fn respond(
        &self,
        request: http::Request<RequestBody>,
    ) -> impl Future<Output = http::Response<Body>> + Send + use<> {
        let span = ServerSpan::begin(&request);
        let routed = self.0.clone().call(request.map(axum::body::Body::new));
        ServerSpan::around(span, async move {
            let Ok(response) = routed.await;
            without_false_length(response).map(Body::Routed)
        })
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let sessions = [&admin.session, &admin.stream].map(ingest::Watch::get);
    admin.metrics.refresh(&admin.store, admin.cache.size(), &admin.health, sessions);
    let headers = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (headers, admin.metrics.render()).into_response()
}

/// `GET /problems`: what the `type` of a problem may be.
async fn problems(State(admin): State<Admin>) -> Response {
    ProblemPages::of_admin_port(&admin.settings.http.base_path).list()
}

/// `GET /problems/{name}`: where the `type` of a problem leads.
async fn problem(State(admin): State<Admin>, Path(name): Path<String>) -> Response {
    ProblemPages::of_admin_port(&admin.settings.http.base_path).one(&name)
}

fn text(status: StatusCode, body: String) -> Response {
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")];
    (status, headers, body).into_response()
}
