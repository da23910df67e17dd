//! The hot path: an order that is in memory is answered here, before any routing.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::sync::Arc;

use futures_util::future::Either;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use tower::Service as _;

use super::view::{MaskedOrder, View};
use crate::access::Access;
use crate::cache::Prepared;
use crate::http::body::Body;
use crate::http::conditional::{names, without_false_length};
use crate::http::guard::vary;
use crate::http::problem::Problem;
use crate::http::server::{RequestBody, Respond, ServerSpan};
use crate::lookup::Lookup;
use crate::metrics::Metrics;

/// Where orders are served as they were published.
pub(super) const ORDERS: &str = "/api/v1/orders/";

/// The route that the router has for it.
const ORDER_ROUTE: &str = "/api/v1/orders/{*uid}";

/// The longest path and query that is looked at, in bytes.
const MAX_TARGET: usize = 2_048;

/// Answers hits by itself and gives the rest to the router.
#[derive(Debug, Clone)]
pub(super) struct HotPath(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lookup: Lookup,
    metrics: Metrics,
    cache_control: HeaderValue,
    base_path: Arc<str>,
    access: Option<Access>,
    router: axum::Router,
}

impl HotPath {
    pub(super) fn new(
        lookup: Lookup,
        metrics: Metrics,
        cache_control: HeaderValue,
        base_path: Arc<str>,
        access: Option<Access>,
        router: axum::Router,
    ) -> Self {
        Self(Arc::new(Inner { lookup, metrics, cache_control, base_path, access, router }))
    }

    /// The answer to a request for an order in memory.
    fn hit(&self, request: &Request<RequestBody>) -> Option<Response<Body>> {
        if *request.method() != Method::GET {
            return None;
        }
        // A uid that is in memory is valid, and one with a `%` in it is not in memory.
        let path = request.uri().path();
        let path = path.strip_prefix(&*self.0.base_path).unwrap_or(path);
        let uid = path.strip_prefix(ORDERS)?;
        let response = match &self.0.access {
            None => {
                let order = self.0.lookup.in_memory(uid)?;
                order_response(order, request.headers(), &self.0.cache_control)
            }
            Some(access) => self.hit_with_token(access, uid, request.headers())?,
        };
        let metrics = &self.0.metrics.http;
        match response.status() {
            StatusCode::OK => metrics.lookup_hit.inc(),
            _ => metrics.lookup_unchanged.inc(),
        }
        let took = request.body().read_at().elapsed();
        metrics.lookup_duration.observe(took.as_secs_f64());
        Some(response)
    }

    /// The same where tokens are needed: the order is looked for only for one who may see it.
    fn hit_with_token(
        &self,
        access: &Access,
        uid: &str,
        headers: &HeaderMap,
    ) -> Option<Response<Body>> {
        let view = View::of(&*access.known(headers)?)?;
        let order = self.0.lookup.in_memory(uid)?;
        let mut response = view_response(order, view, headers, &self.0.cache_control)?;
        vary(response.headers_mut());
        Some(response)
    }

    fn too_long<B>(request: &Request<B>) -> bool {
        request.uri().path_and_query().is_some_and(|target| target.as_str().len() > MAX_TARGET)
    }
}

impl Respond for HotPath {
    fn respond(
        &self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        let span = ServerSpan::begin(&request);
        if let Some(hit) = self.hit(&request) {
            if let Some(span) = span {
                span.end(request.method(), Some(ORDER_ROUTE), hit.status());
            }
            return Either::Left(ready(hit));
        }
        if Self::too_long(&request) {
            let problem = Problem::uri_too_long(MAX_TARGET).response(&self.0.base_path);
            if let Some(span) = span {
                span.end(request.method(), None, problem.status());
            }
            return Either::Left(ready(problem.map(Body::Routed)));
        }
        let mut request = request.map(axum::body::Body::new);
        if let Some(uri) = without_base_path(request.uri(), &self.0.base_path) {
            *request.uri_mut() = uri;
        }
        let routed = self.0.router.clone().call(request);
        Either::Right(ServerSpan::around(span, async move {
            let answered: Result<_, Infallible> = routed.await;
            let Ok(response) = answered;
            without_false_length(response).map(Body::Routed)
        }))
    }
}

/// The address that is meant where a proxy passed the base path on; none where it did not, or
/// where there is none.
fn without_base_path(uri: &Uri, base_path: &str) -> Option<Uri> {
    if base_path.is_empty() {
        return None;
    }
    let rest = uri.path_and_query()?.as_str().strip_prefix(base_path)?;
    match rest.as_bytes().first() {
        Some(b'/') => rest.parse().ok(),
        Some(b'?') | None => format!("/{rest}").parse().ok(),
        // A longer first segment that only begins like it.
        Some(_) => None,
    }
}

/// An order as an answer: 200 with its bytes, or 304 for a client that has them.
pub(super) fn order_response(
    order: Prepared,
    request: &HeaderMap,
    cache_control: &HeaderValue,
) -> Response<Body> {
    let etag = order.etag();
    let unchanged = names(request, &etag);
    let body = Body::Order((!unchanged).then_some(order));
    document_response(body, etag, unchanged, cache_control)
}

/// The order as `view` shows it; nothing for one that cannot be masked, of which none is stored.
pub(super) fn view_response(
    order: Prepared,
    view: View,
    request: &HeaderMap,
    cache_control: &HeaderValue,
) -> Option<Response<Body>> {
    if view == View::Full {
        return Some(order_response(order, request, cache_control));
    }
    let MaskedOrder { document, etag } = MaskedOrder::new(order.document())?;
    let unchanged = names(request, &etag);
    let body = if unchanged { Body::Order(None) } else { Body::Routed(document.into()) };
    Some(document_response(body, etag, unchanged, cache_control))
}

fn document_response(
    body: Body,
    etag: HeaderValue,
    unchanged: bool,
    cache_control: &HeaderValue,
) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(ETAG, etag);
    headers.insert(CACHE_CONTROL, cache_control.clone());
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_path_is_taken_off_where_it_stands_whole() {
        let shop = |uri: &str| without_base_path(&uri.parse().unwrap(), "/shop");
        for (uri, meant) in [
            ("/shop/orders/a?b=c", "/orders/a?b=c"),
            ("/shop/", "/"),
            ("/shop", "/"),
            ("/shop?uid=a", "/?uid=a"),
            ("http://host/shop/orders/a", "/orders/a"),
        ] {
            assert_eq!(shop(uri).unwrap(), *meant, "{uri}");
        }
        for uri in ["/orders/a", "/shopping/orders/a", "/", "*"] {
            assert_eq!(shop(uri), None, "{uri}");
        }
        assert_eq!(without_base_path(&"/orders/a".parse().unwrap(), ""), None);
    }
}
