//! Traces, as a collector gets them.

mod receiver;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use sqlx::{Connection as _, PgConnection};
use testbed::{Port, Postgres, eventually};

use crate::service::{MODEL_UID, PATIENCE, Replica, Reply, World, order};
use receiver::{Receiver, Seen};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OTHER_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "00f067aa0ba902b7";

async fn traced(world: &World, name: &str, endpoint: &str, ratio: &str) -> Replica {
    let settings = [
        ("WAYBILL_TELEMETRY__OTLP_ENDPOINT", endpoint),
        ("WAYBILL_TELEMETRY__TRACE_SAMPLE_RATIO", ratio),
        // Read by the SDK; its own is five seconds.
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let replica = world.start(name, &settings).await;
    replica.until_ready().await;
    replica
}

/// A request that continues a trace.
async fn ask(replica: &Replica, method: Method, path: &str, trace: &str, flags: &str) -> Reply {
    let body = if method == Method::POST { r#"{"uids":["nobody"]}"# } else { "" };
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", replica.site))
        .header("traceparent", format!("00-{trace}-{CALLER}-{flags}"))
        .body(Full::from(Bytes::from(body)))
        .expect("a valid request");
    replica.request(request).await.expect("an answer")
}

async fn get(replica: &Replica, path: &str, trace: &str, flags: &str) -> Reply {
    ask(replica, Method::GET, path, trace, flags).await
}

fn is_server_of(trace: &str) -> impl Fn(&Seen) -> bool {
    move |span| span.kind == SpanKind::Server && span.trace_id == trace
}

#[tokio::test]
async fn a_batch_is_a_trace_with_a_link_for_each_message() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let refused = Bytes::from_static(b"no order at all");
    world.publish_raw([order("repeated"), order(MODEL_UID), order("repeated"), refused]).await;
    let mut replica = traced(&world, "batches", &receiver.endpoint(), "1").await;
    world.until_drained().await;
    assert_eq!(replica.stop().await, Some(0));

    let spans = receiver.spans();
    let roots: Vec<_> = spans.iter().filter(|span| span.name == "process orders").collect();
    let mut sequences = BTreeSet::new();
    for root in &roots {
        assert_eq!((root.kind, &*root.parent), (SpanKind::Consumer, ""), "{root:?}");
        assert_eq!(root.attribute("messaging.system"), "nats_streaming");
        assert_eq!(root.attribute("messaging.operation.name"), "process");
        assert_eq!(root.attribute("messaging.operation.type"), "process");
        assert_eq!(root.attribute("messaging.destination.name"), "orders");
        let messages = root.attribute("messaging.batch.message_count");
        assert_eq!(messages, root.links.len().to_string());
        for link in &root.links {
            let sequence = &link.attributes["messaging.message.id"];
            let hexadecimal = format!("{:016x}", sequence.parse::<u64>().expect("a number"));
            assert_eq!(link.span_id, hexadecimal);
            // The first 8 bytes of the SHA-256 of `orders`.
            assert_eq!(link.trace_id, format!("1c168adb00d208e4{hexadecimal}"));
            assert!(sequences.insert(sequence.clone()), "{sequence} twice");
        }
        for child in ["parse", "write", "cache", "ack orders"] {
            let child = spans.iter().find(|span| span.name == child && span.parent == root.span_id);
            assert_eq!(child.expect("a child").trace_id, root.trace_id);
        }
    }
    assert_eq!(sequences, ["1", "2", "3", "4"].map(str::to_owned).into());
    let became = |key: &str| -> u64 {
        let key = format!("waybill.batch.{key}");
        roots.iter().filter_map(|root| root.attributes.get(&key)?.parse::<u64>().ok()).sum()
    };
    assert_eq!(["stored", "duplicate", "rejected", "kept"].map(became), [2, 1, 1, 0]);

    let child = |name: &str, parent: &str| {
        let is_meant = |span: &&Seen| {
            let is_parent = |other: &Seen| other.span_id == span.parent && other.name == parent;
            span.name == name && spans.iter().any(is_parent)
        };
        spans.iter().find(is_meant).unwrap_or_else(|| panic!("no {name} below {parent}"))
    };
    child("INSERT orders", "write");
    child("INSERT rejected_messages", "write rejects");
    let settled = child("ack orders", "process orders");
    assert_eq!(settled.kind, SpanKind::Client);
    assert_eq!(settled.attribute("messaging.operation.type"), "settle");
    for private in ["repeated", MODEL_UID, "no order at all", "test@gmail.com"] {
        let telling = spans.iter().find(|span| span.text().contains(private));
        assert!(telling.is_none(), "{private} in {telling:?}");
    }
}

#[tokio::test]
async fn the_links_of_a_large_batch_are_bounded() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    world.publish(&["--generate", "3000", "--seed", "3"]).await;
    let _replica = traced(&world, "large", &receiver.endpoint(), "1").await;
    world.until_drained().await;

    let number = |span: &Seen, key: &str| span.attribute(key).parse().unwrap_or(0_usize);
    let messages = |span: &Seen| number(span, "messaging.batch.message_count");
    let is_large = |span: &Seen| span.name == "process orders" && messages(span) > 128;
    let root = receiver.span("a large batch", is_large).await;
    assert_eq!((root.links.len(), root.links_left_out), (128, 0));
    let (first, last) = ("waybill.batch.first_sequence", "waybill.batch.last_sequence");
    assert!(number(&root, last) - number(&root, first) >= messages(&root) - 1, "{root:?}");
    receiver.span("a COPY", |span| span.name == "COPY orders" && !span.parent.is_empty()).await;
}

#[tokio::test]
async fn a_request_continues_the_trace_of_its_caller() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    world.publish_raw([order(MODEL_UID)]).await;
    let replica = traced(&world, "continues", &receiver.endpoint(), "1").await;
    world.until_drained().await;

    let hit = format!("/api/v1/orders/{MODEL_UID}");
    assert_eq!(get(&replica, &hit, TRACE, "01").await.status, StatusCode::OK);
    let span = receiver.span("the span of the hit", is_server_of(TRACE)).await;
    assert_eq!(span.name, "GET /api/v1/orders/{*uid}");
    assert_eq!(span.parent, CALLER);
    let expected = BTreeMap::from(
        [
            ("http.request.method", "GET"),
            ("http.response.status_code", "200"),
            ("http.route", "/api/v1/orders/{*uid}"),
            ("network.protocol.version", "1.1"),
            ("url.path", "/api/v1/orders/REDACTED"),
            ("url.scheme", "http"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    assert_eq!(span.attributes, expected);

    let absent = get(&replica, "/api/v1/orders/nobody", OTHER_TRACE, "01").await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
    let span = receiver.span("the span of the miss", is_server_of(OTHER_TRACE)).await;
    assert_eq!(span.name, "GET /api/v1/orders/{*uid}");
    assert_eq!(span.attribute("http.response.status_code"), "404");
    assert!(!span.is_error && !span.attributes.contains_key("error.type"), "{span:?}");
    let is_below = |query: &Seen| query.parent == span.span_id;
    let query = receiver.span("the query of the miss", is_below).await;
    assert_eq!((&*query.name, query.kind), ("SELECT orders", SpanKind::Client));
    assert_eq!(query.trace_id, OTHER_TRACE);
    let database = world.database.url.rsplit('/').next().expect("a database");
    let database = database.split('?').next().expect("a name");
    for (key, value) in [
        ("db.system.name", "postgresql"),
        ("db.operation.name", "SELECT"),
        ("db.collection.name", "orders"),
        ("db.query.summary", "SELECT orders"),
        ("db.namespace", database),
    ] {
        assert_eq!(query.attribute(key), value, "{key} in {query:?}");
    }
    for former in ["busy_ns", "thread.name", "code.line.number"] {
        assert!(!query.attributes.contains_key(former), "{query:?}");
    }
}

#[tokio::test]
async fn every_other_address_has_its_span_without_what_the_client_wrote() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let replica = traced(&world, "addresses", &receiver.endpoint(), "1").await;
    let trace = |number: u8| format!("{number:032x}");
    let order_pages = "GET /orders/{*uid}";
    for (number, path, name) in [
        (1, "/", "GET /"),
        (2, "/orders/nobody", order_pages),
        (3, "/a/secret?of=mine", "GET"),
        (4, &*format!("/{}", "secret".repeat(500)), "GET"),
    ] {
        get(&replica, path, &trace(number), "01").await;
        let span = receiver.span(path, is_server_of(&trace(number))).await;
        assert_eq!(span.name, name);
        assert!(!span.text().contains("secret") && !span.text().contains("nobody"), "{span:?}");
    }

    ask(&replica, Method::POST, "/api/v1/orders/lookup", &trace(5), "01").await;
    let span = receiver.span("many", is_server_of(&trace(5))).await;
    assert_eq!(span.name, "POST /api/v1/orders/lookup");
    let is_below = |query: &Seen| query.parent == span.span_id;
    let query = receiver.span("its query", is_below).await;
    assert!(query.end <= span.end, "the span lasts until the answer is sent");

    replica.admin("/readyz").await;
    let span = receiver.span("readiness", |span| span.name == "GET /readyz").await;
    assert_eq!((span.kind, &*span.parent), (SpanKind::Server, ""));
}

#[tokio::test]
async fn what_the_caller_does_not_sample_is_not_sent() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let mut replica = traced(&world, "unsampled", &receiver.endpoint(), "1").await;
    get(&replica, "/api/v1/orders/nobody", TRACE, "00").await;
    get(&replica, "/api/v1/orders/nobody", OTHER_TRACE, "01").await;
    assert_eq!(replica.stop().await, Some(0));

    let of = |trace: &str| receiver.spans().iter().filter(|span| span.trace_id == trace).count();
    assert_eq!((of(TRACE), of(OTHER_TRACE)), (0, 2));
}

#[tokio::test]
async fn where_nothing_is_sampled_a_sampled_caller_still_is() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let mut replica = traced(&world, "share", &receiver.endpoint(), "0").await;
    world.publish_raw([order(MODEL_UID)]).await;
    world.until_drained().await;
    get(&replica, "/api/v1/orders/nobody", TRACE, "01").await;
    assert_eq!(replica.stop().await, Some(0));

    let spans = receiver.spans();
    let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(spans.iter().all(|span| span.trace_id == TRACE), "{spans:?}");
}

#[tokio::test]
async fn failures_are_told_with_their_trace() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let receiver = Receiver::start().await;
    let replica = traced(&world, "failing", &receiver.endpoint(), "1").await;
    let replica = replica.expecting("an operator has to act");
    let role = &world.database.runtime_role;
    world.sql(postgres, &format!("revoke select, insert on orders from {role}")).await;
    world.publish_raw([order(MODEL_UID)]).await;
    let line = eventually("the failure is logged", PATIENCE, async || {
        let log = replica.process.log();
        let line = log.lines().find(|line| line.contains("an operator has to act"))?;
        serde_json::from_str::<serde_json::Value>(line).ok()
    })
    .await;
    let unknown = get(&replica, "/api/v1/orders/nobody", TRACE, "01").await;
    assert_eq!(unknown.status, StatusCode::SERVICE_UNAVAILABLE);
    world.sql(postgres, &format!("grant select, insert on orders to {role}")).await;
    world.until_drained().await;

    let (trace, span) = (line["trace_id"].as_str(), line["span_id"].as_str());
    let (trace, span) = (trace.expect("a trace id"), span.expect("a span id"));
    let is_root = |span: &Seen| span.trace_id == trace && span.kind == SpanKind::Consumer;
    receiver.span("the batch of the failure", is_root).await;
    let step = receiver.span("the step of the failure", |seen| seen.span_id == span).await;
    assert_eq!((&*step.name, &*step.trace_id), ("write", trace));
    for parent in [trace, TRACE] {
        let is_meant = |span: &Seen| span.trace_id == parent && span.kind == SpanKind::Client;
        let failed = receiver.span("a failed statement", |span| is_meant(span) && span.is_error);
        let failed = failed.await;
        assert_eq!(failed.attribute("error.type"), "42501");
        assert_eq!(failed.attribute("db.response.status_code"), "42501");
    }
    let request = receiver.span("the request", is_server_of(TRACE)).await;
    assert_eq!((request.attribute("error.type"), request.is_error), ("503", true));
}

#[tokio::test]
async fn what_waits_too_long_for_postgres_is_told_with_its_trace() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let replica = traced(&world, "waiting", &receiver.endpoint(), "0").await;
    let mut holding = PgConnection::connect(&world.database.owner_url).await.expect("in");
    let lock = "begin; lock table orders in access exclusive mode";
    sqlx::raw_sql(lock).execute(&mut holding).await.expect("locked");
    let unknown = get(&replica, "/api/v1/orders/nobody", TRACE, "01").await;
    assert_eq!(unknown.status, StatusCode::SERVICE_UNAVAILABLE);
    holding.close().await.expect("closed");

    let is_statement = |span: &Seen| span.trace_id == TRACE && span.kind == SpanKind::Client;
    let statement = receiver.span("the statement", is_statement).await;
    assert_eq!((statement.attribute("error.type"), statement.is_error), ("given_up", true));
    let log = replica.process.log();
    let line = log.lines().find(|line| line.contains("A request was slow")).expect("a line");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!((&line["status"], &line["trace_id"]), (&503.into(), &TRACE.into()));
}

#[tokio::test]
async fn a_collector_that_is_away_costs_a_counter_and_a_line_an_outage() {
    let world = World::new().await;
    let port = Port::lease().expect("a port");
    let away = format!("http://127.0.0.1:{}", port.number());
    let replica = traced(&world, "alone", &away, "1").await;
    let dropped = async || replica.metric("waybill_trace_spans_dropped_total").await;
    for _ in 0..3 {
        let before = dropped().await;
        eventually("more spans are dropped", PATIENCE, async || {
            replica.get("/").await;
            (dropped().await > before).then_some(())
        })
        .await;
    }
    let lines = |text: &str| replica.process.log().matches(text).count();
    assert_eq!(lines("Traces do not reach the collector"), 1);

    let receiver = Receiver::start_on(port.number()).await;
    receiver.span("a span after the outage", |_| true).await;
    eventually("the end of the outage is logged", PATIENCE, async || {
        (lines("Traces reach the collector again") == 1).then_some(())
    })
    .await;
    assert_eq!(lines("Traces do not reach the collector"), 1);
}

#[tokio::test]
async fn without_a_collector_no_span_is_counted_and_no_line_has_an_id() {
    let world = World::new().await;
    world.publish_raw([order(MODEL_UID), Bytes::from_static(b"no order")]).await;
    let mut replica = world.serve("untraced").await;
    world.until_drained().await;
    let request = format!("/api/v1/orders/{MODEL_UID}");
    assert_eq!(get(&replica, &request, TRACE, "01").await.status, StatusCode::OK);
    let dropped = replica.metric("waybill_trace_spans_dropped_total").await;
    assert!(dropped < 1.0, "{dropped}");
    assert_eq!(replica.stop().await, Some(0));
    let log = replica.process.log();
    assert!(log.contains("is refused and kept") && !log.contains("trace_id"), "{log}");
}
