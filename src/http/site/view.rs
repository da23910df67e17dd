//! How much of an order a request may see, and orders with the personal fields masked.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Uri};
use order::details::Details;
use twox_hash::XxHash3_64;

use super::Site;
use crate::access::{Scope, Subject};
use crate::http::guard::{Guard, ORDERS, Refusal, vary};
use crate::http::problem::Problem;

/// The routes that need no token: they are the same for everybody and tell of no order.
const OPEN: [&str; 6] = [
    "/api/v1/openapi.json",
    "/problems",
    "/problems/{name}",
    "/static/style.css",
    "/static/page.js",
    "/static/icon.svg",
];

/// How much of an order a request may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// The bytes that were published.
    Full,
    /// The known fields, those that are personal masked.
    Masked,
}

impl View {
    /// What the scopes of a subject allow, if they allow any.
    pub(super) fn of(subject: &Subject) -> Option<Self> {
        match (subject.scopes.has(Scope::OrdersRead), subject.scopes.has(Scope::OrdersReadMasked)) {
            (true, _) => Some(Self::Full),
            (false, true) => Some(Self::Masked),
            (false, false) => None,
        }
    }
}

/// An order with the personal fields masked: another representation than the published bytes, with
/// a tag of its own. It is made for each answer, so that nothing kept could be mixed up.
pub(super) struct MaskedOrder {
    pub(super) document: Bytes,
    /// Strong; one letter begins it that the tag of no whole order has at that length.
    pub(super) etag: HeaderValue,
}

impl MaskedOrder {
    /// Nothing for a document that is not an order; none such is ever stored.
    pub(super) fn new(document: &[u8]) -> Option<Self> {
        let order: Details = serde_json::from_slice(document).ok()?;
        let document = serde_json::to_vec(&order.masked()).ok()?;
        let digest = XxHash3_64::oneshot(&document).to_be_bytes();
        let etag = format!("\"m{}\"", URL_SAFE_NO_PAD.encode(digest));
        Some(Self { document: document.into(), etag: HeaderValue::try_from(etag).ok()? })
    }
}

/// What the middleware [`admit`] shares between requests.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    pub(super) guard: Guard,
    pub(super) site: Site,
}

/// Lets a request through that may see orders, and notes how much of them and who sent it.
pub(super) async fn admit(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    if route.is_some_and(|route| OPEN.contains(&route.as_str())) {
        return next.run(request).await;
    }
    let admitted = gate.guard.admit(request.headers(), ORDERS).await;
    match admitted.and_then(|subject| match View::of(&subject) {
        Some(view) => Ok((view, subject)),
        None => Err(Refusal::Insufficient(ORDERS)),
    }) {
        Ok((view, subject)) => {
            request.extensions_mut().insert(view);
            request.extensions_mut().insert::<Arc<Subject>>(subject);
            let mut response = next.run(request).await;
            vary(response.headers_mut());
            response
        }
        Err(refusal) => refused(&gate.site, &request, refusal),
    }
}

fn refused(site: &Site, request: &Request, refusal: Refusal) -> Response {
    if is_api(request.uri()) {
        refusal.problem().response(&site.base_path)
    } else {
        site.pages.to(request.headers()).refused(refusal)
    }
}

/// Whether an address is meant for programs.
pub(super) fn is_api(uri: &Uri) -> bool {
    uri.path().starts_with("/api/")
}

/// What [`admit`] has noted. Where tokens are needed and it has not, nothing is shown.
impl FromRequestParts<Site> for View {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Response> {
        match (&site.access, parts.extensions.get::<Self>()) {
            (None, _) => Ok(Self::Full),
            (Some(_), Some(view)) => Ok(*view),
            (Some(_), None) => Err(Problem::internal().response(&site.base_path).into_response()),
        }
    }
}
