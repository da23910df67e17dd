//! The log while something is away, or a flood of messages is refused: few lines, whatever the
//! attempts. `src/ingest/persist.rs` and `src/ingest/refusal_log.rs` live through an hour of it
//! in simulated time; here are real outages, in which attempts are counted that log nothing.

use bytes::Bytes;
use testbed::{Postgres, eventually};

use crate::service::{PATIENCE, Replica, World, order};

/// The lines from INFO on that were logged after the first `skipped`.
fn lines(replica: &Replica, skipped: usize) -> Vec<String> {
    let log = replica.process.log();
    let is_shown = |line: &&str| !line.contains("\"level\":\"DEBUG\"");
    log.lines().skip(skipped).filter(is_shown).map(str::to_owned).collect()
}

#[tokio::test]
async fn an_outage_of_postgres_is_told_once_by_each_part() {
    let mut postgres = Postgres::start().await.expect("a Postgres of its own");
    let world = World::on(&postgres).await;
    let settings = [
        ("WAYBILL_CACHE__FOLLOW_INTERVAL", "100ms"),
        ("WAYBILL_DATABASE__CONNECT_TIMEOUT", "200ms"),
    ];
    let replica = world.start("bereft", &settings).await;
    replica.until_ready().await;
    let before = replica.process.log().lines().count();
    postgres.stop().await.expect("stopped");
    world.publish_raw((0..50).map(|n| order(&format!("waiting-{n}")))).await;
    let errors = "waybill_ingest_errors_total{class=\"transient\"}";
    eventually("30 attempts failed", PATIENCE, async || {
        // Lookups fail as well, and log nothing.
        replica.order("unknown").await;
        (replica.metric(errors).await >= 30.0).then_some(())
    })
    .await;
    postgres.start_again().await.expect("back");
    world.until_drained().await;
    eventually("the end is told", PATIENCE, async || {
        replica.process.log().contains("Batches are written again").then_some(())
    })
    .await;

    let told = lines(&replica, before);
    let count = |text: &str| told.iter().filter(|line| line.contains(text)).count();
    assert_eq!(count("A batch is not written yet"), 1, "{told:#?}");
    assert_eq!(count("The table cannot be followed for now"), 1, "{told:#?}");
    assert_eq!(count("Batches are written again"), 1, "{told:#?}");
    // The rest is what a library warns of, such as a slow connection.
    assert!(told.len() <= 6, "{told:#?}");
}

#[tokio::test]
async fn an_outage_of_the_broker_and_its_monitor_is_told_once() {
    let mut world = World::new().await;
    let monitor = world.broker.monitor_url();
    let settings = [
        ("WAYBILL_BROKER__MONITOR_URL", monitor.as_str()),
        // Each attempt of the NATS client is a line at this level.
        ("WAYBILL_TELEMETRY__LOG_FILTER", "info,stan=debug,nats_link=debug"),
    ];
    let replica = world.start("alone", &settings).await;
    replica.until_ready().await;
    eventually("it is live and looks", PATIENCE, async || {
        let told = replica.admin("/readyz?verbose").await;
        let told = told.text();
        (told.contains("session live") && told.contains("monitor: answers")).then_some(())
    })
    .await;
    let before = replica.process.log().lines().count();
    world.broker.stop().await.expect("stopped");
    eventually("15 attempts failed, and the monitor is missed", PATIENCE, async || {
        let log = replica.process.log();
        let attempts = log.lines().skip(before).filter(|line| line.contains("A NATS event"));
        (attempts.count() >= 15 && log.contains("monitor does not answer")).then_some(())
    })
    .await;
    let told = lines(&replica, before);
    let targets = ["\"target\":\"stan", "\"target\":\"nats_link"];
    let of_client = |line: &&String| targets.iter().any(|target| line.contains(target));
    assert!((1..=6).contains(&told.iter().filter(of_client).count()), "{told:#?}");
    let missed = told.iter().filter(|line| line.contains("monitor does not answer")).count();
    assert!(missed == 1 && told.len() <= 8, "{told:#?}");
}

#[tokio::test]
async fn a_flood_of_refused_messages_is_a_few_lines_and_none_is_lost() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let mut replica = world.serve("flooded").await;
    let before = replica.process.log().lines().count();
    world.publish_raw((0..2_000).map(|n| Bytes::from(format!("no order {n}")))).await;
    world.until_drained().await;
    let series = "waybill_ingest_rejected_total{reason=\"not_json\"}";
    assert_eq!(replica.metric(series).await.to_string(), "2000");
    let rows = world.sql(postgres, "select count(*) from rejected_messages").await;
    assert_eq!(rows, "2000");
    assert_eq!(replica.stop().await, Some(0));

    let told = lines(&replica, before);
    let single = told.iter().filter(|line| line.contains("is refused and kept")).count();
    let sums: Vec<_> =
        told.iter().filter(|line| line.contains("More messages are refused")).collect();
    // One minute, or two if one ends meanwhile.
    assert!(sums.len() <= 2 && single == sums.len() * 5, "{told:#?}");
    let more = sums.iter().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        line["messages"].as_u64().expect("a number")
    });
    assert_eq!(single as u64 + more.sum::<u64>(), 2_000, "{told:#?}");
    assert!(told.iter().all(|line| !line.contains("no order")), "{told:#?}");
}
