//! An HTML page as an answer, with the headers that all pages have.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// Nothing but our own stylesheet and icon: a script that slips in with an order would not run.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Renders `page`; browsers run no script in it, frame it nowhere and tell no other site of it.
pub(super) fn html(
    status: StatusCode,
    page: &impl Template,
    cache_control: &HeaderValue,
) -> Response {
    let body = page.render().expect("a template of strings and numbers always renders");
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    let cache_control = [(header::CACHE_CONTROL, cache_control.clone())];
    (status, headers, cache_control, body).into_response()
}
