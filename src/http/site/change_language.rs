//! The link on every page that changes its language, without a script: to the search form, which
//! leads on to the page of the order that it names.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use http::{HeaderValue, Method, StatusCode, Uri};

use super::page::Language;

/// Answers `GET PAGE?lang=TAG` with 303 to the same page without that parameter, and a cookie
/// that keeps the choice. Whatever else is asked for, other languages included, goes on.
pub(super) async fn change_language(
    State(base): State<Arc<str>>,
    request: Request,
    next: Next,
) -> Response {
    let choice = (request.method() == Method::GET).then(|| choice(request.uri())).flatten();
    let Some((language, page)) = choice else { return next.run(request).await };
    // Of a path that a request came with, and so a valid header.
    let Ok(location) = HeaderValue::try_from(format!("{base}{page}")) else {
        return next.run(request).await;
    };
    let cookie = language.cookie(if base.is_empty() { "/" } else { &base });
    let no_store = HeaderValue::from_static("no-store");
    let headers = [(LOCATION, location), (SET_COOKIE, cookie), (CACHE_CONTROL, no_store)];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// The language that is asked for, and the page in which.
fn choice(uri: &Uri) -> Option<(Language, String)> {
    let (path, query) = (uri.path(), uri.query()?);
    if path != "/" && path != "/orders" {
        return None;
    }
    let (chosen, rest): (Vec<_>, Vec<_>) =
        query.split('&').partition(|pair| pair.starts_with("lang="));
    let language = Language::from_tag(chosen.first()?.strip_prefix("lang=")?)?;
    let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
    Some((language, format!("{path}{query}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_led_to_without_the_choice() {
        let chosen = |uri: &str| {
            let (language, page) = choice(&uri.parse().unwrap())?;
            Some(format!("{} {page}", language.tag()))
        };
        for (uri, expected) in [
            ("/?lang=ru", "ru /"),
            ("/orders?uid=%22&lang=ru", "ru /orders?uid=%22"),
            ("/orders?lang=ru&uid=a&lang=en", "ru /orders?uid=a"),
        ] {
            assert_eq!(chosen(uri).as_deref(), Some(expected), "{uri}");
        }
        for uri in [
            "/",
            "/?lang=",
            "/?lang=tlh",
            "/api/v1/orders/a?lang=ru",
            "//host/?lang=ru",
            "/orders/a?lang=ru",
        ] {
            assert_eq!(chosen(uri), None, "{uri}");
        }
    }
}
