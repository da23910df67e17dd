//! `/orders` and `/orders.json` on the admin port: which orders were stored last, and when.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use askama::Template;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};
use humantime::{format_duration, format_rfc3339_seconds};
use serde::{Deserialize, Serialize};

use super::database_pages::{DatabasePages, RETRY_AFTER};
use super::message_page::{ORDERS, cannot_tell, message};
use super::reject_pages::BASE;
use crate::http::html::html;
use crate::http::problem::Problem;
use crate::rejects::display::shortened;
use crate::store::StoredOrder;

/// Rows where none are asked for.
const DEFAULT_ROWS: u32 = 50;

/// The most rows.
const MOST_ROWS: u32 = 500;

/// Characters of what is no number that its answer shows.
const SHOWN_CHARS: usize = 40;

/// Where orders are from that name no stream.
const CHANNEL: &str = "channel";

/// What the form of the page offers.
const CHOICES: [u32; 3] = [DEFAULT_ROWS, 200, MOST_ROWS];

/// The routes; their state is their own, so they fit into any router.
pub(super) fn router<S: Clone + Send + Sync + 'static>(pages: DatabasePages) -> Router<S> {
    Router::new().route("/orders", get(page)).route("/orders.json", get(json)).with_state(pages)
}

#[derive(Debug, Deserialize)]
struct Question {
    limit: Option<String>,
}

impl Question {
    /// How many rows are asked for; what is wrong if that is no number of rows.
    fn rows(asked: Result<Query<Self>, QueryRejection>) -> Result<u32, String> {
        let wrong = |is: &str| {
            format!("`limit` is {is}; must be a whole number from 1 to {MOST_ROWS}, given once")
        };
        let Ok(Query(Self { limit })) = asked else { return Err(wrong("not readable")) };
        let Some(limit) = limit else { return Ok(DEFAULT_ROWS) };
        let rows = limit.parse().ok().filter(|rows| (1..=MOST_ROWS).contains(rows));
        rows.ok_or_else(|| wrong(&format!("`{}`", shortened(&limit, SHOWN_CHARS))))
    }
}

/// What both answers tell; its names are stable.
#[derive(Debug, Serialize)]
struct NewestOrders {
    told_at: String,
    orders: Vec<StoredOrder>,
}

#[derive(Template)]
#[template(path = "newest_orders.html")]
struct NewestPage {
    base: &'static str,
    told_at: String,
    limit: u32,
    /// What the form offers, and what was asked for.
    choices: BTreeSet<u32>,
    /// Whether any is of a stream: then each tells where it is from.
    has_streams: bool,
    rows: Vec<Row>,
}

struct Row {
    uid: String,
    age: String,
    stored_at: String,
    source: String,
    sequence: u64,
}

/// `GET /orders?limit=N`: the newest first, for a person.
async fn page(
    State(pages): State<DatabasePages>,
    question: Result<Query<Question>, QueryRejection>,
) -> Response {
    let limit = match Question::rows(question) {
        Ok(limit) => limit,
        Err(wrong) => {
            let status = StatusCode::BAD_REQUEST;
            return message(ORDERS, status, "Not a number of orders", &wrong, String::new());
        }
    };
    match pages.ask(pages.store.newest_orders(limit)).await {
        Ok(orders) => list_page(limit, orders),
        Err(reason) => cannot_tell(ORDERS, &reason),
    }
}

/// `GET /orders.json?limit=N`: the same for a program.
async fn json(
    State(pages): State<DatabasePages>,
    question: Result<Query<Question>, QueryRejection>,
) -> Response {
    let limit = match Question::rows(question) {
        Ok(limit) => limit,
        Err(wrong) => return Problem::invalid_limit(&wrong).response(BASE),
    };
    let orders = match pages.ask(pages.store.newest_orders(limit)).await {
        Ok(orders) => orders,
        Err(reason) => return Problem::database_unavailable(&reason, RETRY_AFTER).response(BASE),
    };
    let newest = NewestOrders { told_at: now(), orders };
    let body = serde_json::to_vec_pretty(&newest).expect("numbers and strings always serialize");
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, body).into_response()
}

fn list_page(limit: u32, orders: Vec<StoredOrder>) -> Response {
    let page = NewestPage {
        base: BASE,
        told_at: now(),
        limit,
        choices: CHOICES.into_iter().chain([limit]).collect(),
        has_streams: orders.iter().any(|order| order.source.is_some()),
        rows: orders.into_iter().map(Row::from).collect(),
    };
    html(StatusCode::OK, &page, &HeaderValue::from_static("no-store"))
}

fn now() -> String {
    format_rfc3339_seconds(SystemTime::now()).to_string()
}

impl From<StoredOrder> for Row {
    fn from(order: StoredOrder) -> Self {
        let stored_at = order.stored_at.split('.').next().unwrap_or_default();
        Self {
            uid: order.uid,
            age: age(order.age_seconds),
            stored_at: stored_at.replace('T', " "),
            source: order.source.unwrap_or_else(|| CHANNEL.to_owned()),
            sequence: order.sequence,
        }
    }
}

/// The two largest units of an age, such as `3days 4h`.
fn age(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds.trunc()).unwrap_or(Duration::MAX);
    let words = format_duration(whole).to_string();
    words.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_its_two_largest_units() {
        for (seconds, told) in
            [(0.0, "0s"), (0.999, "0s"), (61.5, "1m 1s"), (3600.0 * 28.0 + 60.0, "1day 4h")]
        {
            assert_eq!(age(seconds), told);
        }
        assert!(!age(f64::INFINITY).is_empty());
    }
}
