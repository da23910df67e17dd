//! `/rejects` on the admin port: what could not become an order, to look at and to download.

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use order::Reason;
use serde::Deserialize;

use super::database_pages::DatabasePages;
use super::message_page::{REJECTS, cannot_tell};
use super::reject_pages as page;
use crate::http::assets;
use crate::store::{Direction, Error, KeptReject, RejectFilter};

/// Bytes of a payload that its page shows.
const SHOWN_BYTES: usize = 64 << 10;

#[derive(Debug, Clone)]
struct Rejects(DatabasePages);

/// The routes; their state is their own, so they fit into any router.
pub(super) fn router<S: Clone + Send + Sync + 'static>(pages: DatabasePages) -> Router<S> {
    Router::new()
        .route("/rejects", get(list))
        .route("/rejects/{id}", get(show))
        .route("/rejects/{id}/payload", get(payload))
        .route("/static/style.css", get(async |h: HeaderMap| assets::stylesheet(&h)))
        .route("/static/icon.svg", get(async |h: HeaderMap| assets::icon(&h)))
        .with_state(Rejects(pages))
}

#[derive(Debug, Deserialize)]
struct Question {
    before: Option<String>,
    #[serde(default)]
    reason: String,
}

/// `GET /rejects?reason=R&before=ID`: the newest first, below that id.
async fn list(
    State(rejects): State<Rejects>,
    question: Result<Query<Question>, QueryRejection>,
) -> Response {
    let Ok(Query(question)) = question else { return page::no_such_place() };
    let reason = match question.reason.as_str() {
        "" => None,
        name => match Reason::ALL.into_iter().find(|reason| reason.as_str() == name) {
            Some(reason) => Some(reason),
            None => return page::no_such_reason(),
        },
    };
    let before = match question.before.as_deref().map(str::parse) {
        None => i64::MAX,
        Some(Ok(id)) => id,
        Some(Err(_)) => return page::no_such_place(),
    };
    let filter = RejectFilter {
        reasons: reason.map(|reason| vec![reason.as_str()]),
        ..RejectFilter::default()
    };
    // One more than shown tells whether there is more.
    let limit = page::ROWS + 1;
    let direction = Direction::NewestBelow(before);
    match rejects.0.ask(rejects.0.store.rejects(&filter, direction, limit)).await {
        Ok(kept) => page::list(kept, reason, before != i64::MAX),
        Err(reason) => cannot_tell(REJECTS, &reason),
    }
}

/// Answers `GET /rejects/{id}` with the page of one reject.
async fn show(State(rejects): State<Rejects>, Path(id): Path<String>) -> Response {
    match rejects.0.ask(rejects.find(&id, SHOWN_BYTES)).await {
        Ok(Some((kept, payload))) => page::one(&kept, &payload),
        Ok(None) => page::not_found(),
        Err(reason) => cannot_tell(REJECTS, &reason),
    }
}

/// `GET /rejects/{id}/payload`: the very bytes, which no browser is to take for anything else.
async fn payload(State(rejects): State<Rejects>, Path(id): Path<String>) -> Response {
    match rejects.0.ask(rejects.find(&id, usize::MAX)).await {
        Ok(Some((kept, payload))) => {
            let name = format!("attachment; filename=\"reject-{}.bin\"", kept.id);
            let headers = [
                (CONTENT_TYPE, "application/octet-stream"),
                (X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (CACHE_CONTROL, "no-store"),
            ];
            (headers, [(CONTENT_DISPOSITION, name)], payload).into_response()
        }
        Ok(None) => page::not_found(),
        Err(reason) => cannot_tell(REJECTS, &reason),
    }
}

impl Rejects {
    /// The reject of that id with the beginning of its payload. What is no id names none.
    async fn find(
        &self,
        id: &str,
        most_bytes: usize,
    ) -> Result<Option<(KeptReject, Vec<u8>)>, Error> {
        let Ok(id) = id.parse::<i64>() else { return Ok(None) };
        let filter = RejectFilter { ids: Some(vec![id]), ..RejectFilter::default() };
        let kept = self.0.store.rejects(&filter, Direction::OLDEST_FIRST, 1).await?.pop();
        let payload = self.0.store.reject_payloads(&[id], most_bytes).await?.pop();
        Ok(kept.zip(payload.map(|(_, payload)| payload)))
    }
}
