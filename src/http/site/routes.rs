//! Every address of the site, and what answers there.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, Uri};
use order::{InvalidUid, OrderUid};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use tower_http::catch_panic::CatchPanicLayer;

use super::change_language::change_language;
use super::hot_path::{ORDERS, view_response};
use super::observe::{Observer, observe};
use super::page::typed_uid;
use super::view::{Gate, View, admit, is_api};
use super::{Site, many};
use crate::http::assets;
use crate::http::guard::Guard;
use crate::http::problem::{Problem, ProblemPages};
use crate::log_limit::LogLimit;
use crate::lookup::Answer;

/// Where orders are shown to people.
const ORDER_PAGES: &str = "/orders/";

/// When to ask again after a "cannot tell", in seconds.
const RETRY_AFTER: u32 = 1;

pub(super) fn router(site: Site) -> Router {
    let internal = site.pages.clone();
    let base = &Arc::clone(&site.base_path);
    let guard = site.access.clone().map(|access| Guard::new(access, site.metrics.clone()));
    let gate = guard.map(|guard| Gate { guard, site: site.clone() });
    let router = Router::new()
        .route("/", html(get(index)))
        .route("/orders", html(get(to_order_page)))
        .route("/orders/", html(get(to_order_page)))
        .route("/orders/{*uid}", html(get(order_page)))
        .route("/api/v1/orders/", json(base, get(order)))
        .route("/api/v1/orders/{*uid}", json(base, get(order)))
        // `lookup` is also a valid id, of which GET asks.
        .route("/api/v1/orders/lookup", api(base, get(order).post(many::lookup), "GET, HEAD, POST"))
        .route("/api/v1/openapi.json", json(base, get(async |h: HeaderMap| assets::openapi(&h))))
        .route("/problems", html(get(problems)))
        .route("/problems/{name}", html(get(problem)))
        .route("/static/style.css", html(get(async |h: HeaderMap| assets::stylesheet(&h))))
        .route("/static/page.js", html(get(async |h: HeaderMap| assets::script(&h))))
        .route("/static/icon.svg", html(get(async |h: HeaderMap| assets::icon(&h))))
        .fallback(unknown_address);
    let router = match gate {
        None => router,
        Some(gate) => router.layer(middleware::from_fn_with_state(gate, admit)),
    };
    router
        .layer(middleware::from_fn_with_state(Arc::clone(&site.base_path), change_language))
        .layer(CatchPanicLayer::custom(move |_| {
            log_panic();
            internal.internal()
        }))
        .layer(middleware::from_fn_with_state(Observer::new(&site.metrics), observe))
        .with_state(site)
}

fn html(route: MethodRouter<Site>) -> MethodRouter<Site> {
    let method_not_allowed = async |State(site): State<Site>, headers: HeaderMap| {
        site.pages.to(&headers).method_not_allowed("GET, HEAD")
    };
    route.fallback(method_not_allowed)
}

fn json<S: Clone + Send + Sync + 'static>(
    base_path: &Arc<str>,
    route: MethodRouter<S>,
) -> MethodRouter<S> {
    api(base_path, route, "GET, HEAD")
}

fn api<S: Clone + Send + Sync + 'static>(
    base_path: &Arc<str>,
    route: MethodRouter<S>,
    allow: &'static str,
) -> MethodRouter<S> {
    let (not_allowed, panicked) = (Arc::clone(base_path), Arc::clone(base_path));
    let method_not_allowed =
        async move || Problem::method_not_allowed(allow).response(&not_allowed);
    route.fallback(method_not_allowed).layer(CatchPanicLayer::custom(move |_| {
        log_panic();
        Problem::internal().response(&panicked)
    }))
}

/// The runtime has told where and why; this line has the ids of the trace.
fn log_panic() {
    static LIMIT: LogLimit = LogLimit::new();
    if let Some(held_back) = LIMIT.due() {
        tracing::error!(held_back, "A handler panicked");
    }
}

async fn unknown_address(State(site): State<Site>, uri: Uri, headers: HeaderMap) -> Response {
    if is_api(&uri) {
        Problem::no_such_address().response(&site.base_path)
    } else {
        site.pages.to(&headers).unknown_address()
    }
}

/// `GET /api/v1/orders/{uid}`: the very bytes that were published, or the order masked.
async fn order(State(site): State<Site>, view: View, uri: Uri, headers: HeaderMap) -> Response {
    match uid_behind(ORDERS, &uri) {
        Err(illegal) => Problem::bad_uid(&illegal.to_string()).response(&site.base_path),
        Ok(uid) => match site.lookup.find(&uid).await {
            Answer::Found(order) => {
                let response = view_response(order, view, &headers, &site.cache_control);
                let internal = || Problem::internal().response(&site.base_path);
                response.map_or_else(internal, |response| response.map(Into::into))
            }
            Answer::Erased => Problem::order_erased(uid.as_str()).response(&site.base_path),
            Answer::Absent => Problem::no_such_order(uid.as_str()).response(&site.base_path),
            Answer::CannotTell => Problem::cannot_tell(RETRY_AFTER).response(&site.base_path),
        },
    }
}

async fn index(State(site): State<Site>, headers: HeaderMap) -> Response {
    site.pages.to(&headers).index()
}

/// `GET /orders/{uid}`: the order for a person.
async fn order_page(
    State(site): State<Site>,
    view: View,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let pages = site.pages.to(&headers);
    let raw = percent_decode_str(raw_uid(ORDER_PAGES, &uri)).decode_utf8_lossy();
    match OrderUid::try_from(&*raw) {
        Err(invalid) => pages.bad_uid(&invalid, &raw),
        Ok(uid) => match site.lookup.find(&uid).await {
            Answer::Found(order) => pages.order_in(view, order.document(), &site.cache_control),
            Answer::Erased => pages.erased(uid.as_str()),
            Answer::Absent => pages.not_found(uid.as_str()),
            Answer::CannotTell => pages.cannot_tell(uid.as_str(), RETRY_AFTER),
        },
    }
}

/// `GET /problems`: what the `type` of a problem may be.
async fn problems(State(site): State<Site>) -> Response {
    ProblemPages::of_site(&site.base_path).list()
}

/// `GET /problems/{name}`: where the `type` of a problem leads.
async fn problem(State(site): State<Site>, Path(name): Path<String>) -> Response {
    ProblemPages::of_site(&site.base_path).one(&name)
}

#[derive(Debug, Deserialize)]
struct Form {
    #[serde(default)]
    uid: String,
}

/// `GET /orders?uid=X`: where the form of the page goes.
async fn to_order_page(
    State(site): State<Site>,
    headers: HeaderMap,
    form: Result<Query<Form>, QueryRejection>,
) -> Response {
    let typed = form.map(|Query(form)| form.uid).unwrap_or_default();
    match OrderUid::try_from(&*typed_uid(&typed)) {
        Ok(uid) => {
            let to = Redirect::to(&format!("{}{ORDER_PAGES}{uid}", site.base_path));
            ([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], to).into_response()
        }
        Err(invalid) => site.pages.to(&headers).bad_uid(&invalid, &typed),
    }
}

/// The uid that a path names. All its valid characters may also come percent-encoded.
fn uid_behind(prefix: &str, uri: &Uri) -> Result<OrderUid, InvalidUid> {
    // What is not UTF-8 becomes a character that no uid has.
    OrderUid::try_from(&*percent_decode_str(raw_uid(prefix, uri)).decode_utf8_lossy())
}

fn raw_uid<'a>(prefix: &str, uri: &'a Uri) -> &'a str {
    uri.path().strip_prefix(prefix).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;
    use tower::ServiceExt as _;

    use super::*;
    use crate::http::site::transcript;

    async fn panics() {
        panic!("as the test wants it");
    }

    #[tokio::test]
    async fn a_panic_behind_the_api_is_a_problem() {
        let router = Router::new().route("/", json(&"/shop".into(), get(panics)));
        let request = Request::new(axum::body::Body::empty());
        let mut response = router.oneshot(request).await.expect("an answer");
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
        assert_eq!(transcript(response), transcript(Problem::internal().response("/shop")));
    }

    #[test]
    fn percent_codes_are_decoded_once() {
        let uid = |path: &str| uid_behind("/o/", &path.parse().unwrap());
        for path in ["/o/abc", "/o/%61bc", "/o/%61%62%63"] {
            assert_eq!(uid(path).unwrap().as_str(), "abc", "{path}");
        }
        for path in ["/o/a%2Fb", "/o/%2561", "/o/%", "/o/%4", "/o/%zz", "/o/%D7%A9", "/o/%FF"] {
            assert!(uid(path).is_err(), "{path}");
        }
    }
}
