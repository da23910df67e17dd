//! `/statusz` and `/statusz.json`: how this replica does, on one page. No answer takes longer
//! than a second, whoever is away.

mod gather;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use tokio::sync::Semaphore;

use super::{Admin, status_page};

/// Answers that may ask Postgres at the same time: the writers need its connections more.
const AT_ONCE: usize = 2;

/// What the routes share.
#[derive(Debug, Clone)]
struct Statusz {
    admin: Admin,
    turns: Arc<Semaphore>,
}

/// The routes; their state is their own, so they fit into any router.
pub(super) fn router<S: Clone + Send + Sync + 'static>(admin: Admin) -> Router<S> {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    Router::new()
        .route("/statusz", get(page))
        .route("/statusz.json", get(json))
        .with_state(Statusz { admin, turns })
}

async fn page(State(statusz): State<Statusz>) -> Response {
    status_page::page(&statusz.gather().await)
}

async fn json(State(statusz): State<Statusz>) -> Response {
    let status = statusz.gather().await;
    let body = serde_json::to_vec_pretty(&status).expect("numbers and strings always serialize");
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, body).into_response()
}
