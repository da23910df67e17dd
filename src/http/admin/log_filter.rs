//! `/log-filter` on the admin port: what is logged, and changing it while the service runs.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use tokio::time::timeout;

use super::reject_pages::BASE;
use super::{Admin, text};
use crate::http::problem::Problem;

/// Bytes of a filter: a directive has some tens.
const MAX_BODY: usize = 4 << 10;

/// How long a filter may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// `GET`: the directives in force.
pub(super) async fn show(State(admin): State<Admin>) -> Response {
    text(StatusCode::OK, admin.log_filter.directives() + "\n")
}

/// `PUT`: puts the directives of the body in force, until the next change or restart.
pub(super) async fn change(State(admin): State<Admin>, body: Body) -> Response {
    let directives = match read(body).await {
        Ok(directives) => directives,
        Err(problem) => return problem.response(BASE),
    };
    match admin.log_filter.change(directives.trim()) {
        Ok(()) => show(State(admin)).await,
        Err(error) => Problem::bad_log_filter(&error.to_string()).response(BASE),
    }
}

async fn read(body: Body) -> Result<String, Problem> {
    let body = match timeout(BODY_WITHIN, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err(Problem::body_too_large(MAX_BODY)),
        Err(_) => return Err(Problem::body_too_slow(BODY_WITHIN)),
    };
    String::from_utf8(body.into()).map_err(|_| Problem::bad_log_filter("it is not UTF-8"))
}
