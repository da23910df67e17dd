//! How a stream of JetStream, its group and its servers are is seen and told.

use jetstream::async_nats;
use serde_json::{Value, json};
use testbed::{NatsOptions, NatsServer, eventually};

use crate::service::{PATIENCE, Replica, World, order};
use crate::stream::Streams;

/// Asks the API under `$JS.API`; the answer must not refuse.
async fn api(server: &NatsServer, operation: &str, request: Value) -> Value {
    let client = async_nats::connect(server.url()).await.expect("a client");
    let request = if request.is_null() { String::new() } else { request.to_string() };
    let answer = client.request(format!("$JS.API.{operation}"), request.into()).await;
    let answer: Value =
        serde_json::from_slice(&answer.expect("an answer").payload).expect("an answer in JSON");
    assert!(answer["error"].is_null(), "{operation}: {answer}");
    answer
}

/// A replica that looks, and takes nothing.
async fn watcher(streams: &Streams, name: &str, settings: &[(&str, &str)]) -> Replica {
    let settings = [&[("WAYBILL_INGEST__ENABLED", "false")], settings].concat();
    streams.serve_with(name, false, &settings).await
}

/// Waits until metrics of `waybill_jetstream_*` are as expected, or absent.
async fn until(replica: &Replica, expected: &[(&str, Option<f64>)]) {
    eventually(&format!("{expected:?}"), 2 * PATIENCE, async || {
        for (name, value) in expected {
            if replica.measured(&format!("waybill_jetstream_{name}")).await != *value {
                return None;
            }
        }
        Some(())
    })
    .await;
}

async fn status(replica: &Replica) -> Value {
    let reply = replica.admin("/statusz.json").await;
    serde_json::from_slice(&reply.body).expect("JSON")
}

fn orders(numbers: std::ops::Range<u32>) -> impl Iterator<Item = bytes::Bytes> {
    numbers.map(|number| order(&format!("order-{number}")))
}

#[tokio::test]
async fn how_far_the_group_is_behind_is_told_by_all_and_gone_when_it_has_caught_up() {
    let streams = Streams::new().await;
    let monitor = streams.nats.monitor_url();
    let watcher =
        watcher(&streams, "watcher", &[("WAYBILL_JETSTREAM__MONITOR_URL", &monitor)]).await;
    // Nobody has made a stream yet.
    until(&watcher, &[("watch_up", Some(1.0)), ("has_leader", None), ("replicas", None)]).await;
    streams.publish(orders(0..40)).await;
    until(
        &watcher,
        &[
            ("stream_first_sequence", Some(1.0)),
            ("stream_last_sequence", Some(40.0)),
            ("consumer_undelivered_messages", Some(40.0)),
            ("consumer_pending_messages", Some(0.0)),
            ("consumer_delivered_sequence", Some(0.0)),
            ("consumer_ack_floor_sequence", Some(0.0)),
            ("has_leader", Some(1.0)),
            ("replicas", Some(1.0)),
            ("current_replicas", Some(1.0)),
            ("offline_replicas", Some(0.0)),
            ("lost_to_retention_messages", Some(0.0)),
        ],
    )
    .await;
    let (store, limit) = (
        watcher.metric("waybill_jetstream_store_bytes").await,
        watcher.metric("waybill_jetstream_store_limit_bytes").await,
    );
    assert!(store > 0.0 && limit > store, "{store} of {limit}, as the server's monitor tells");

    let told = status(&watcher).await["stream_lag"].take();
    for (member, value) in [
        ("jetstream", json!("answers")),
        ("last_sequence", json!(40)),
        ("undelivered_messages", json!(40)),
        ("replicas", json!(1)),
        ("lost_messages", json!(0)),
        ("stream_reset", Value::Null),
    ] {
        assert_eq!(told[member], value, "{member}: {told}");
    }
    let manual = std::fs::read_to_string("docs/operations.md").expect("the manual");
    let members = told.as_object().expect("an object").keys();
    let unknown: Vec<_> = members.filter(|it| !manual.contains(&format!("`{it}`"))).collect();
    assert!(unknown.is_empty(), "not in docs/operations.md: {unknown:?}");
    let page = watcher.admin("/statusz").await;
    assert!(page.text().contains("40 messages"), "{}", page.text());
    let ready = watcher.admin("/readyz?verbose").await;
    assert!(ready.text().contains("[+] stream's state: answers\n"), "{}", ready.text());
    assert_eq!(ready.status, 200, "lag makes nobody unready");

    let worker = streams.serve("worker", false).await;
    until(
        &watcher,
        &[
            ("consumer_undelivered_messages", Some(0.0)),
            ("consumer_pending_messages", Some(0.0)),
            ("consumer_delivered_sequence", Some(40.0)),
            ("consumer_ack_floor_sequence", Some(40.0)),
        ],
    )
    .await;
    let taken = |source| format!("waybill_ingest_taken_messages_total{{source=\"{source}\"}}");
    let taken = [taken("jetstream"), taken("stan")];
    assert_eq!(
        [worker.measured(&taken[0]).await, worker.measured(&taken[1]).await],
        [Some(40.0), Some(0.0)]
    );
    let newest = worker.admin("/orders").await;
    assert!(newest.text().contains("<bdi>jetstream:ORDERS</bdi>"), "{}", newest.text());
}

#[tokio::test]
async fn what_was_told_is_absent_while_the_servers_are_away() {
    let mut streams = Streams::new().await;
    streams.publish(orders(0..3)).await;
    let replica = watcher(&streams, "watcher", &[]).await;
    let pending = "consumer_pending_messages";
    until(&replica, &[("watch_up", Some(1.0)), (pending, Some(0.0)), ("store_bytes", None)]).await;
    streams.nats.kill().expect("killed");
    until(&replica, &[("watch_up", Some(0.0)), (pending, None), ("has_leader", None)]).await;
    let ready = replica.admin("/readyz?verbose").await;
    assert!(ready.text().contains("[-] stream's state: no answer since "), "{}", ready.text());
    assert_eq!(status(&replica).await["stream_lag"]["jetstream"], "silent");
    streams.nats.start_again().await.expect("it starts");
    until(&replica, &[("watch_up", Some(1.0)), (pending, Some(0.0))]).await;
    let log = replica.process.log();
    for line in ["JetStream does not tell how the stream is", "JetStream tells again"] {
        assert_eq!(log.matches(line).count(), 1, "{log}");
    }
}

#[tokio::test]
async fn what_limits_set_behind_our_back_delete_before_it_is_taken_is_told() {
    let streams = Streams::new().await;
    streams.publish(orders(0..40)).await;
    let watcher = watcher(&streams, "watcher", &[]).await.expecting("Lost from the stream");
    until(&watcher, &[("stream_first_sequence", Some(1.0))]).await;
    let info = api(&streams.nats, "STREAM.INFO.ORDERS", Value::Null).await;
    let mut config = info["config"].clone();
    (config["max_msgs"], config["discard"]) = (json!(10), json!("old"));
    api(&streams.nats, "STREAM.UPDATE.ORDERS", config).await;
    let lost = "lost_to_retention_messages";
    until(&watcher, &[(lost, Some(30.0)), ("stream_first_sequence", Some(31.0))]).await;
    let ready = watcher.admin("/readyz?verbose").await;
    let entry = "[-] lost from the stream: sequences 1–30\n";
    assert!(ready.text().contains(entry), "{}", ready.text());
    assert_eq!(ready.status, 200, "what is stored is served");
    streams.publish_as_it_is(orders(40..45)).await;
    until(&watcher, &[(lost, Some(35.0))]).await;
    let log = watcher.process.log();
    assert_eq!(log.matches("Lost from the stream: sequences 1–30").count(), 1, "{log}");
}

#[tokio::test]
async fn the_erasure_of_an_order_is_no_loss() {
    let streams = Streams::new().await;
    let replica = streams.serve("worker", false).await;
    streams.publish(orders(0..5)).await;
    // What goes before it was seen that the group has it may have been lost.
    until(&replica, &[("consumer_ack_floor_sequence", Some(5.0))]).await;
    let stream = streams.connection().await.stream("ORDERS").expect("a name");
    for sequence in [1, 2, 4] {
        assert!(stream.delete(sequence).await.expect("deleted"));
    }
    until(
        &replica,
        &[
            ("stream_first_sequence", Some(3.0)),
            ("lost_to_retention_messages", Some(0.0)),
            ("perhaps_lost_to_retention_messages", Some(0.0)),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_stream_made_anew_is_told_and_its_orders_are_taken() {
    let streams = Streams::new().await;
    let replica = streams.serve("worker", false).await.expecting("The stream began anew");
    streams.publish(orders(0..5)).await;
    streams.until_drained().await;
    until(&replica, &[("stream_last_sequence", Some(5.0))]).await;
    api(&streams.nats, "STREAM.DELETE.ORDERS", Value::Null).await;
    // More than the one before had, so that its sequences tell nothing.
    streams.publish(orders(5..14)).await;
    streams.until_drained().await;
    until(&replica, &[("stream_resets_total", Some(1.0)), ("stream_last_sequence", Some(9.0))])
        .await;
    let ready = replica.admin("/readyz?verbose").await;
    assert!(
        ready.text().contains("[-] the stream began anew: it was made at "),
        "{}",
        ready.text()
    );
    assert!(status(&replica).await["stream_lag"]["stream_reset"].is_string());
    assert_eq!(streams.sql("select count(*) from orders").await, "14");
    let log = replica.process.log();
    assert_eq!(log.matches("The stream began anew").count(), 1, "{log}");
}

#[tokio::test]
async fn a_stream_made_anew_while_no_replica_ran_is_told_before_its_orders_are_taken() {
    let streams = Streams::new().await;
    let mut first = streams.serve("first", false).await;
    streams.publish(orders(0..5)).await;
    streams.until_drained().await;
    assert_eq!(first.stop().await, Some(0));
    api(&streams.nats, "STREAM.DELETE.ORDERS", Value::Null).await;
    streams.publish(orders(5..8)).await;
    let second = streams.serve("second", false).await.expecting("The stream began anew");
    streams.until_drained().await;
    until(&second, &[("stream_resets_total", Some(1.0))]).await;
    let ready = second.admin("/readyz?verbose").await;
    let entry = "[-] the stream began anew: its newest sequence was 5 or more before and was 3 at ";
    assert!(ready.text().contains(entry), "{}", ready.text());
    assert_eq!(streams.sql("select count(*) from orders").await, "8");
    let log = second.process.log();
    let (told, taken) = (log.find("The stream began anew"), log.find("The session is live"));
    assert!(told.is_some() && taken.is_none_or(|taken| told < Some(taken)), "{log}");
}

#[tokio::test]
async fn servers_that_are_away_are_counted_and_that_the_last_has_no_leader_is_told() {
    let world = World::new().await;
    let mut members = NatsServer::start_cluster(NatsOptions::default()).await.expect("a cluster");
    let urls: Vec<String> = members.iter().map(NatsServer::url).collect();
    let urls = urls.join(",");
    let settings = [
        ("WAYBILL_JETSTREAM__URL", &*urls),
        ("WAYBILL_JETSTREAM__REPLICAS", "3"),
        ("WAYBILL_BROKER__ENABLED", "false"),
    ];
    let replica = world.start("watcher", &settings).await;
    replica.until_ready().await;
    let whole = [
        ("has_leader", Some(1.0)),
        ("replicas", Some(3.0)),
        ("current_replicas", Some(3.0)),
        ("offline_replicas", Some(0.0)),
        ("replica_lag_operations", Some(0.0)),
    ];
    until(&replica, &whole).await;
    // One that takes its leave is known to be away at once, a killed one after minutes.
    members[0].stop().await.expect("stopped");
    let one_away = [
        ("has_leader", Some(1.0)),
        ("current_replicas", Some(2.0)),
        ("offline_replicas", Some(1.0)),
    ];
    until(&replica, &one_away).await;
    members[1].kill().expect("killed");
    until(&replica, &[("has_leader", Some(0.0)), ("watch_up", Some(0.0)), ("replicas", None)])
        .await;
    for member in &mut members[..2] {
        member.start_again().await.expect("started");
    }
    until(&replica, &whole).await;
}
