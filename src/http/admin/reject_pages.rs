//! The pages of the admin port: a list of rejects, and one of them.

use askama::Template;
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use indicatif::HumanBytes;
use order::Reason;

use super::message_page::{REJECTS, message};
use crate::digest::Sha256Digest;
use crate::http::html::html;
use crate::rejects::display::{Escaped, HexDump, shortened, text};
use crate::store::KeptReject;

/// How many rejects a page lists.
pub(super) const ROWS: u32 = 50;

/// Bytes of a payload that is no text which its page shows, as a dump four times as long.
const DUMPED_BYTES: usize = 4 << 10;

/// Characters of a detail in the list.
const DETAIL_CHARS: usize = 160;

/// The admin port has no other path.
pub(super) const BASE: &str = "";

#[derive(Template)]
#[template(path = "rejects.html")]
struct ListPage {
    base: &'static str,
    rows: Vec<Row>,
    chosen: Option<Reason>,
    /// Whether this is not the first page.
    is_older: bool,
    /// Where the next page begins.
    next: Option<i64>,
}

/// A reject with all that is a sender's made harmless.
struct Row {
    id: i64,
    /// When it was first refused, to the second, in UTC.
    first_seen: String,
    channel: String,
    sequence: u64,
    reason: String,
    detail: String,
    size: String,
}

#[derive(Template)]
#[template(path = "reject.html")]
struct OnePage<'a> {
    base: &'static str,
    kept: &'a KeptReject,
    row: Row,
    sha256: Sha256Digest,
    payload: String,
    is_text: bool,
    is_cut: bool,
}

/// The list; one row more than [`ROWS`] says that there are more.
pub(super) fn list(mut kept: Vec<KeptReject>, chosen: Option<Reason>, is_older: bool) -> Response {
    let shown = ROWS as usize;
    let has_more = kept.len() > shown;
    kept.truncate(shown);
    let next = kept.last().filter(|_| has_more).map(|last| last.id);
    let rows = kept.iter().map(|kept| Row::new(kept, DETAIL_CHARS)).collect();
    let page = ListPage { base: BASE, rows, chosen, is_older, next };
    html(StatusCode::OK, &page, &HeaderValue::from_static("no-store"))
}

/// One reject, with the beginning of its payload.
pub(super) fn one(kept: &KeptReject, payload: &[u8]) -> Response {
    let is_cut = (payload.len() as u64) < kept.size_bytes;
    let (payload, is_text, is_cut) = if let Some(text) = text(payload, is_cut) {
        (Escaped::lines(text).to_string(), true, is_cut)
    } else {
        let shown = &payload[..payload.len().min(DUMPED_BYTES)];
        (HexDump(shown).to_string(), false, (shown.len() as u64) < kept.size_bytes)
    };
    let row = Row::new(kept, usize::MAX);
    let page = OnePage { base: BASE, kept, row, sha256: kept.sha256, payload, is_text, is_cut };
    html(StatusCode::OK, &page, &HeaderValue::from_static("no-store"))
}

/// 404: no such id, or no id at all.
pub(super) fn not_found() -> Response {
    message(
        REJECTS,
        StatusCode::NOT_FOUND,
        "No such reject",
        "No reject with this id is kept.",
        "It may have been replayed or pruned.".to_owned(),
    )
}

/// 400: the `reason` of the query is none of the list.
pub(super) fn no_such_reason() -> Response {
    let reasons = Reason::ALL.map(Reason::as_str).join(", ");
    message(
        REJECTS,
        StatusCode::BAD_REQUEST,
        "Not a reason",
        "Nothing is refused for such a reason.",
        format!("It must be one of {reasons}."),
    )
}

/// 400: `before` is no id.
pub(super) fn no_such_place() -> Response {
    message(
        REJECTS,
        StatusCode::BAD_REQUEST,
        "Not a place in the list",
        "This list cannot begin there.",
        "Legal after before= is the id of a reject, a whole number.".to_owned(),
    )
}

impl Row {
    fn new(kept: &KeptReject, detail_chars: usize) -> Self {
        let first_seen = kept.first_seen.split('.').next().unwrap_or_default();
        Self {
            id: kept.id,
            first_seen: first_seen.replace('T', " "),
            channel: Escaped::line(&kept.channel).to_string(),
            sequence: kept.sequence,
            reason: kept.reason.clone(),
            detail: shortened(&kept.detail, detail_chars),
            size: HumanBytes(kept.size_bytes).to_string(),
        }
    }
}
