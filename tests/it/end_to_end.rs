//! From `waybill publish` to the answer, through crashes and outages.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use sha2::{Digest as _, Sha256};
use testbed::{Postgres, Signal, eventually};

use crate::service::{MODEL, MODEL_UID, PATIENCE, Replica, World, hex, order};

/// A line of a receipt.
#[derive(Debug, serde::Deserialize)]
struct Confirmed {
    uid: Option<String>,
    sha256: String,
    expected: String,
}

fn receipt(world: &World) -> Vec<Confirmed> {
    let text = fs::read_to_string(world.path().join("receipt")).expect("a receipt");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Every confirmed order is served byte for byte, and every other message has its row.
async fn account_for(world: &World, postgres: &Postgres, replica: &Replica, all: &[Confirmed]) {
    let mut expected = HashMap::new();
    for Confirmed { uid, sha256: published, expected: verdict } in all {
        *expected.entry(verdict.as_str()).or_insert(0_usize) += 1;
        if verdict == "stored" {
            let uid = uid.as_deref().expect("an order has a uid");
            let reply = replica.order(uid).await;
            assert_eq!(reply.status, StatusCode::OK, "{uid}");
            assert_eq!(&sha256(&reply.body), published, "{uid} is served as published");
        }
    }
    let stored = world.sql(postgres, "select count(*) from orders").await;
    assert_eq!(stored, expected["stored"].to_string(), "orders in the table");
    let reasons = world
        .sql(postgres, "select reason, count(*) from rejected_messages group by 1 order by 1")
        .await;
    let mut refused: Vec<String> = expected
        .iter()
        .filter_map(|(verdict, n)| Some(format!("{}|{n}", verdict.strip_prefix("refused:")?)))
        .collect();
    refused.sort();
    assert_eq!(reasons, refused.join("\n"), "rejects in the table");
}

#[tokio::test]
async fn every_message_of_ten_thousand_is_accounted_for() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let replica = world.serve("only").await;
    let mix = ["--bad-ratio", "0.05", "--duplicate-ratio", "0.05", "--seed", "7"];
    let arguments = [&["--generate", "10000", "--receipt", "receipt"], &mix[..]].concat();
    world.publish(&arguments).await;
    world.until_drained().await;
    let receipt = receipt(&world);
    assert_eq!(receipt.len(), 10_000);
    account_for(&world, postgres, &replica, &receipt).await;

    let of =
        |verdict: &str| receipt.iter().filter(|line| line.expected.starts_with(verdict)).count();
    for (result, verdict) in
        [("stored", "stored"), ("duplicate", "duplicate"), ("refused", "refused")]
    {
        let series = format!("waybill_ingest_messages_total{{result=\"{result}\"}}");
        let counted = replica.metric(&series).await;
        assert_eq!(counted.to_string(), of(verdict).to_string(), "{result}");
    }
    assert!(of("duplicate") > 300 && of("refused") > 300, "the mix is not what was asked for");
}

#[tokio::test]
async fn killed_in_the_middle_and_started_again_it_loses_nothing() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let mut replica = world.serve("mortal").await;
    let mix = ["--bad-ratio", "0.05", "--duplicate-ratio", "0.05", "--seed", "8"];
    let arguments = [&["--generate", "6000", "--receipt", "receipt"], &mix[..]].concat();
    let publishing = world.publish(&arguments);
    let killing = async {
        for round in 1..=3 {
            let so_far = format!("select count(*) >= {} from orders", round * 1_000);
            eventually("some orders are stored", PATIENCE, async || {
                (world.sql(postgres, &so_far).await == "t").then_some(())
            })
            .await;
            replica.process.kill().expect("killed");
            replica = world.serve("mortal").await;
        }
        replica
    };
    let ((), replica) = tokio::join!(publishing, killing);
    world.until_drained().await;
    account_for(&world, postgres, &replica, &receipt(&world)).await;
}

#[tokio::test]
async fn after_a_restart_the_cache_serves_without_broker_and_postgres() {
    let mut postgres = Postgres::start().await.expect("a Postgres of its own");
    let mut world = World::on(&postgres).await;
    let mut first = world.serve("replica").await;
    world.publish_raw((0..500).map(|n| order(&format!("order-{n}")))).await;
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    world.until_drained().await;
    assert_eq!(first.stop().await, Some(0));

    let second = world.serve("replica").await;
    assert!(second.metric("waybill_cache_warmup_rows_total").await >= 501.0);
    postgres.stop().await.expect("Postgres stops");
    world.broker.stop().await.expect("the broker stops");
    for n in 0..500 {
        let uid = format!("order-{n}");
        let reply = second.order(&uid).await;
        assert_eq!((reply.status, reply.body), (StatusCode::OK, order(&uid)), "{uid}");
    }
    assert_eq!(&second.order(MODEL_UID).await.body[..], MODEL, "byte for byte");

    let asked = Instant::now();
    let unknown = second.order("nobody-knows").await;
    assert_eq!(unknown.status, StatusCode::SERVICE_UNAVAILABLE, "never a false no");
    assert_eq!(unknown.headers["retry-after"], "1");
    assert!(asked.elapsed() < Duration::from_secs(3), "miss_timeout is 2 s");
    let ready = second.admin("/readyz?verbose").await;
    assert_eq!(ready.status, StatusCode::OK, "hits are still served");
    assert!(ready.text().contains("[-] postgres"), "{}", ready.text());
    assert!(ready.text().contains("[-] broker"), "{}", ready.text());

    postgres.start_again().await.expect("Postgres starts");
    eventually("the no is a true one again", PATIENCE, async || {
        (second.order("nobody-knows").await.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_outage_of_postgres_delays_orders_and_rejects_none() {
    let mut postgres = Postgres::start().await.expect("a Postgres of its own");
    let world = World::on(&postgres).await;
    let replica = world.serve("patient").await;
    world.publish_raw((0..100).map(|n| order(&format!("before-{n}")))).await;
    world.until_drained().await;
    postgres.kill().expect("killed");
    world.publish_raw((0..100).map(|n| order(&format!("during-{n}")))).await;
    world.publish_raw([Bytes::from_static(b"no order")]).await;
    eventually("the service notices", PATIENCE, async || {
        let errors = "waybill_ingest_errors_total{class=\"transient\"}";
        (replica.metric(errors).await > 0.0).then_some(())
    })
    .await;
    assert_eq!(replica.order("before-1").await.status, StatusCode::OK);
    assert_eq!(replica.order("during-1").await.status, StatusCode::SERVICE_UNAVAILABLE);
    postgres.start_again().await.expect("started");
    world.until_drained().await;
    for n in 0..100 {
        assert_eq!(replica.order(&format!("during-{n}")).await.status, StatusCode::OK, "{n}");
    }
    let rejects = world.sql(&postgres, "select reason from rejected_messages").await;
    assert_eq!(rejects, "not_json", "the one that is no order, and no other");
}

#[tokio::test]
async fn it_starts_with_broker_and_postgres_away_and_takes_up_when_they_come() {
    let mut postgres = Postgres::start().await.expect("a Postgres of its own");
    let mut world = World::on(&postgres).await;
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    postgres.stop().await.expect("stopped");
    world.broker.stop().await.expect("stopped");
    let replica = world.start("early", &[]).await;
    let ready = replica.admin("/readyz?verbose").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(replica.admin("/livez").await.status, StatusCode::OK);
    assert_eq!(replica.order(MODEL_UID).await.status, StatusCode::SERVICE_UNAVAILABLE);
    postgres.start_again().await.expect("started");
    replica.until_ready().await;
    world.broker.start_again().await.expect("started");
    eventually("the order arrives", PATIENCE, async || {
        (replica.order(MODEL_UID).await.status == StatusCode::OK).then_some(())
    })
    .await;
}

#[tokio::test]
async fn ten_thousand_waiting_orders_cost_less_than_ten_seconds_of_one_core() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    world.publish(&["--generate", "10000", "--seed", "3"]).await;
    let replica = world.serve("fresh").await;
    world.until_drained().await;
    assert_eq!(world.sql(postgres, "select count(*) from orders").await, "10000");
    assert!((replica.metric("waybill_cache_entries").await - 10_000.0).abs() < 0.5);
    // Not the time on the clock, which tells more of the machine's other work.
    let seconds = replica.metric("process_cpu_seconds_total").await;
    assert!(seconds < 10.0, "{seconds} s of one core");
}

#[tokio::test]
async fn a_stop_leaves_nothing_half_done_and_exits_with_zero() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let mut first = world.serve("first").await;
    world.publish(&["--generate", "5000", "--seed", "4"]).await;
    assert_eq!(first.stop().await, Some(0), "{}", first.process.log());
    assert!(world.broker.clients().await.expect("clients").is_empty(), "the client is closed");
    let (undelivered, unacked) = world.lag().await.expect("the group is remembered");
    let stored: u64 =
        world.sql(postgres, "select count(*) from orders").await.parse().expect("a number");
    assert_eq!(stored + undelivered + unacked, 5_000, "what is stored is acked, and no more");
    let second = world.serve("second").await;
    world.until_drained().await;
    assert_eq!(world.sql(postgres, "select count(*) from orders").await, "5000");
    assert_eq!(
        second.metric("waybill_ingest_messages_total{result=\"duplicate\"}").await.to_string(),
        "0"
    );
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let world = World::new().await;
    let mut replica =
        world.start("hasty", &[("WAYBILL_SHUTDOWN__GRACE_BEFORE_DRAIN", "20s")]).await;
    replica.until_ready().await;
    replica.process.signal(Signal::TERM).expect("sent");
    eventually("it drains", PATIENCE, async || {
        (replica.admin("/readyz").await.status == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    let began = Instant::now();
    assert_eq!(replica.stop().await, Some(1));
    assert!(began.elapsed() < Duration::from_secs(5));
}
