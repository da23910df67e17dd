//! `/statusz` as a page: facts in cards, then tables. It runs no script.

use askama::Template;
use axum::response::Response;
use http::{HeaderValue, StatusCode};

use super::reject_pages::BASE;
use crate::http::html::html;
use crate::status::{Section, Status, Table};

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage<'a> {
    base: &'static str,
    status: &'a Status,
    sections: Vec<Section>,
    tables: Vec<Table>,
}

pub(super) fn page(status: &Status) -> Response {
    let (sections, tables) = (status.sections(), status.tables());
    let page = StatusPage { base: BASE, status, sections, tables };
    html(StatusCode::OK, &page, &HeaderValue::from_static("no-store"))
}
