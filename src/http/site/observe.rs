//! What is counted and logged of every answer that a route makes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use crate::http::server;
use crate::log_limit::LogLimit;
use crate::metrics::Metrics;

/// A request that takes longer is logged. Lookups are to take 10 ms (docs/slo.md); what takes a
/// second waits for something, mostly Postgres.
const SLOW: Duration = Duration::from_secs(1);

/// What the middleware [`observe`] shares between requests.
#[derive(Debug, Clone)]
pub(super) struct Observer {
    metrics: Metrics,
    slow: Arc<LogLimit>,
}

impl Observer {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self { metrics: metrics.clone(), slow: Arc::default() }
    }

    fn log_slow(&self, route: &'static str, response: &Response, took: Duration) {
        let Some(held_back) = self.slow.due() else { return };
        let (status, duration_ms) = (response.status().as_u16(), took.as_millis());
        tracing::warn!(route, status, duration_ms, held_back, "A request was slow");
    }
}

/// Counts the answer by route and status, and logs it if it was slow.
pub(super) async fn observe(
    State(observer): State<Observer>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    server::matched(&request);
    let response = next.run(request).await;
    let route = route.as_ref().map_or("other", |route| name(route.as_str()));
    let took = began.elapsed();
    observer.metrics.http.observe(&method, route, response.status(), took);
    if took >= SLOW {
        observer.log_slow(route, &response, took);
    }
    response
}

/// A route's name in the metrics, from a closed list.
fn name(route: &str) -> &'static str {
    match route {
        "/" => "index",
        "/orders" | "/orders/" | "/orders/{*uid}" => "order_page",
        "/api/v1/orders/" | "/api/v1/orders/{*uid}" => "order_api",
        "/api/v1/orders/lookup" => "orders_lookup",
        _ => "static",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use axum::{Router, middleware};
    use tokio::time::sleep;
    use tower::ServiceExt as _;

    use super::*;
    use crate::log_limit::tests::LoggedLines;

    #[tokio::test(start_paused = true)]
    async fn slow_requests_are_logged_once_a_minute() {
        let lines = LoggedLines::collect();
        let router = Router::new()
            .route("/", get(async || sleep(Duration::from_millis(999)).await))
            .route("/orders", get(async || sleep(Duration::from_millis(1500)).await))
            .layer(middleware::from_fn_with_state(Observer::new(&Metrics::new()), observe));
        let ask = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).expect("a request");
            router.clone().oneshot(request).await.expect("an answer");
        };
        ask("/").await;
        assert!(lines.take().is_empty());
        for _ in 0..3 {
            ask("/orders").await;
        }
        let told = "WARN A request was slow route=\"order_page\" status=200 duration_ms=1500";
        assert_eq!(lines.take(), [format!("{told} held_back=0")]);
        tokio::time::advance(Duration::from_mins(1)).await;
        ask("/orders").await;
        assert_eq!(lines.take(), [format!("{told} held_back=2")]);
    }
}
