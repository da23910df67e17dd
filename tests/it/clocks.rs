//! The wall clock of a replica is set forward and back by hours.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use testbed::{Clock, Postgres, eventually};
use tokio::time::{Instant, sleep};

use crate::service::{Replica, World, order};

/// How long it may take until messages are stored, also after Postgres was away: much less than an
/// hour, and enough for a busy machine.
const USUAL: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(20);

/// A replica that goes by a clock that can be set.
async fn serve(world: &World, name: &str) -> (Replica, Clock) {
    let clock = Clock::in_dir(world.path(), name).expect("a clock");
    let mut command = world.command(&["serve"]);
    clock.give(&mut command);
    let replica = world.launch(name, command).await;
    replica.until_ready().await;
    (replica, clock)
}

fn orders(hours: i64) -> Vec<Bytes> {
    (0..50).map(|number| order(&format!("at-{hours}-{number}"))).collect()
}

async fn status(replica: &Replica) -> Value {
    serde_json::from_slice(&replica.admin("/statusz.json").await.body).expect("JSON")
}

/// Waits until the group has taken and acknowledged everything, for as long as it usually takes.
async fn until_stored(world: &World) {
    let stored = async || (world.lag().await == Some((0, 0))).then_some(());
    eventually("the messages are stored", USUAL, stored).await;
}

/// The replica goes by the clock that was set.
async fn goes_by(replica: &Replica, hours: i64) {
    let told_at = status(replica).await["told_at"].as_str().expect("a moment").to_owned();
    let told_at = humantime::parse_rfc3339(&told_at).expect("a moment");
    let right = time::OffsetDateTime::now_utc();
    let off = time::OffsetDateTime::from(told_at) - right;
    assert!((off - time::Duration::hours(hours)).abs() < time::Duration::MINUTE, "{off}");
}

/// No message is hours old, nothing was negative, and it has not been up for hours.
async fn ages_are_sane(replica: &Replica) {
    let ages = "waybill_ingest_end_to_end_seconds";
    let all = replica.metric(&format!("{ages}_count")).await;
    let young = replica.metric(&format!("{ages}_bucket{{le=\"60\"}}")).await;
    let sum = replica.metric(&format!("{ages}_sum")).await;
    assert!(all > 0.0 && young >= all && (0.0..60.0 * all).contains(&sum), "{all} {young} {sum}");
    let status = status(replica).await;
    assert!(status["replica"]["uptime_seconds"].as_u64() < Some(600), "{status:#}");
    for batch in status["batches"].as_array().expect("batches") {
        let took = batch["duration_seconds"].as_f64().expect("a number");
        assert!((0.0..60.0).contains(&took), "{batch:#}");
    }
    let metrics = replica.admin("/metrics").await;
    for line in metrics.text().lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        assert!(value.parse::<f64>().expect("a number") >= 0.0, "{series} {value}");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_by_hours_holds_nothing_up_and_ages_nothing() {
    let world = World::new().await;
    let (replica, clock) = serve(&world, "jumping").await;
    let jumps = async {
        for hours in [10, -10, 25, 0, -30] {
            clock.shift(hours).expect("set");
            goes_by(&replica, hours).await;
            world.publish_raw(orders(hours)).await;
            until_stored(&world).await;
            assert_eq!(replica.order(&format!("at-{hours}-0")).await.status, StatusCode::OK);
            ages_are_sane(&replica).await;
        }
    };
    let stays_ready = async {
        loop {
            let reply = replica.admin("/readyz?verbose").await;
            assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
            sleep(PAUSE).await;
        }
    };
    let load = world.publish(&["--generate", "1500", "--rate", "300", "--seed", "3"]);
    tokio::select! {
        ((), ()) = async { tokio::join!(jumps, load) } => {}
        () = stays_ready => {}
    }
    until_stored(&world).await;
    ages_are_sane(&replica).await;
}

#[tokio::test]
async fn a_clock_that_is_set_while_postgres_is_away_does_not_prolong_the_wait() {
    let mut postgres = Postgres::start().await.expect("Postgres");
    let world = World::on(&postgres).await;
    let (replica, clock) = serve(&world, "waiting").await;
    for hours in [-10, 10] {
        postgres.kill().expect("killed");
        let failures = "waybill_ingest_errors_total{class=\"transient\"}";
        let before = replica.metric(failures).await;
        world.publish_raw(orders(hours)).await;
        let failed = async || (replica.metric(failures).await > before).then_some(());
        eventually("a write fails", USUAL, failed).await;
        clock.shift(hours).expect("set");
        let back = Instant::now();
        postgres.start_again().await.expect("it starts");
        until_stored(&world).await;
        assert!(back.elapsed() < USUAL, "{:?}", back.elapsed());
        ages_are_sane(&replica).await;
    }
}
