//! An HTML page as an answer, with the headers that all pages have.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// Nothing but our own stylesheet and icon, and the scripts that are named.
macro_rules! policy {
    ($scripts:literal) => {
        concat!(
            "default-src 'none'; ",
            $scripts,
            "style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'"
        )
    };
}

const NO_SCRIPTS: &str = policy!("");

/// The `Content-Security-Policy` of pages with a script of ours: one that slips in with an order
/// still does not run.
pub(super) const OWN_SCRIPTS: &str = policy!("script-src 'self'; ");

/// Renders `page`; browsers run no script in it, frame it nowhere and tell no other site of it.
pub(super) fn html(
    status: StatusCode,
    page: &impl Template,
    cache_control: &HeaderValue,
) -> Response {
    let body = page.render().expect("a template of strings and numbers always renders");
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, NO_SCRIPTS),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    let cache_control = [(header::CACHE_CONTROL, cache_control.clone())];
    (status, headers, cache_control, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_our_own_are_all_that_a_page_with_them_allows_besides() {
        assert!(!NO_SCRIPTS.contains("script"));
        assert_eq!(OWN_SCRIPTS.replace("script-src 'self'; ", ""), NO_SCRIPTS);
    }
}
