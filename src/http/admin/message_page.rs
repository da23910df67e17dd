//! Every page of the admin port that says why there is nothing to show.

use askama::Template;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use super::database_pages::RETRY_AFTER;
use super::reject_pages::BASE;
use crate::http::html::html;
use crate::rejects::display::shortened;

/// Characters of a reason, such as an error of Postgres.
const REASON_CHARS: usize = 300;

/// The list that a page leads back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    path: &'static str,
    name: &'static str,
    /// What is in it, at the beginning of a sentence.
    rows: &'static str,
}

/// The list of orders.
pub(super) const ORDERS: List = List { path: "/orders", name: "Newest orders", rows: "The orders" };

/// The list of rejects.
pub(super) const REJECTS: List =
    List { path: "/rejects", name: "All rejects", rows: "The rejects" };

#[derive(Template)]
#[template(path = "admin_message.html")]
struct MessagePage {
    base: &'static str,
    list: List,
    status: u16,
    title: &'static str,
    text: String,
    advice: String,
}

pub(super) fn message(
    list: List,
    status: StatusCode,
    title: &'static str,
    text: &str,
    advice: String,
) -> Response {
    let (base, text) = (BASE, text.to_owned());
    let page = MessagePage { base, list, status: status.as_u16(), title, text, advice };
    html(status, &page, &HeaderValue::from_static("no-store"))
}

/// 503: Postgres has them and cannot be asked.
pub(super) fn cannot_tell(list: List, reason: &str) -> Response {
    let text = format!(
        "{} are kept there and cannot be shown right now. None is lost by this. It is because: {}",
        list.rows,
        shortened(reason, REASON_CHARS)
    );
    let advice =
        "Reload this page in some seconds; /readyz?verbose on this port says what is away.";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut response = message(list, status, "Postgres does not answer", &text, advice.to_owned());
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER.into());
    response
}
