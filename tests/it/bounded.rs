//! Memory stays within what the settings allow, and good orders flow, whatever comes.
//!
//! `make bounded` runs these at full size; the ordinary run takes a part of it.

use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http::StatusCode;
use testbed::{Postgres, eventually};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::service::{PATIENCE, Replica, World, order};

const MIB: u64 = 1 << 20;

/// What the process may take beyond what the settings add up to.
const BASE: u64 = 128 * MIB;

/// Long messages by `mmap`, as in the container image: by itself glibc raises this threshold
/// after the first of them, and then keeps half as much again in the gaps between them.
const ALLOCATOR: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "131072");

/// The settings of memory in these tests.
const QUEUE: u64 = 32 * MIB;
const CACHE: u64 = 32 * MIB;

/// The broker's `max_payload` of 1 MiB, less room for the envelope.
const MOST_THE_BROKER_TAKES: usize = (1 << 20) - 1_000;

/// How long a drain may take that has gigabytes to write.
const LONG: Duration = Duration::from_mins(10);

fn full_size() -> bool {
    std::env::var_os("WAYBILL_FULL_SIZE").is_some()
}

/// Figures of a run are for the reader of `make bounded`.
fn tell(what: &str) {
    let _ = writeln!(std::io::stderr(), "bounded: {what}");
}

async fn bounded_replica(world: &World, more: &[(&str, &str)]) -> Replica {
    let sizes = [
        ("WAYBILL_INGEST__QUEUE_MAX_BYTES", "32MiB"),
        ("WAYBILL_CACHE__MAX_BYTES", "32MiB"),
        ("WAYBILL_BROKER__ACK_WAIT", "2s"),
        ALLOCATOR,
    ];
    let replica = world.start("bounded", &[&sizes[..], more].concat()).await;
    replica.until_ready().await;
    replica
}

/// The most memory the process has ever held, in bytes.
fn peak_memory(replica: &Replica) -> u64 {
    let status = format!("/proc/{}/status", replica.process.id());
    let status = fs::read_to_string(status).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib << 10
}

fn assert_bounded(replica: &Replica, what: &str) {
    let (peak, most) = (peak_memory(replica) / MIB, (QUEUE + CACHE + BASE) / MIB);
    tell(&format!("{what}: peak {peak} MiB of at most {most} MiB"));
    assert!(peak <= most, "{what}: {peak} MiB, at most {most} MiB");
}

#[tokio::test]
async fn a_flood_of_the_longest_messages_is_shed_and_comes_again() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let long = if full_size() { 2_000 } else { 80 };
    let mut first = bounded_replica(&world, &[]).await;
    assert_eq!(first.stop().await, Some(0), "the group exists, and nobody takes its messages");
    let padding = Bytes::from(vec![b'x'; MOST_THE_BROKER_TAKES]);
    let messages = (0..long).flat_map(|n| [padding.clone(), order(&format!("good-{n}"))]);
    world.publish_raw(messages).await;

    let began = Instant::now();
    let replica = bounded_replica(&world, &[]).await;
    eventually("the channel is drained", LONG, async || {
        (world.lag().await == Some((0, 0))).then_some(())
    })
    .await;
    tell(&format!("{long} messages of 1 MiB and {long} orders in {:?}", began.elapsed()));
    let kept = "select count(*), min(length(payload)) from rejected_messages";
    assert_eq!(world.sql(postgres, kept).await, format!("{long}|{MOST_THE_BROKER_TAKES}"));
    assert_eq!(world.sql(postgres, "select count(*) from orders").await, long.to_string());
    assert!(replica.metric("waybill_ingest_shed_total").await > 0.0, "nothing was shed");
    assert_bounded(&replica, "longest messages");
}

#[tokio::test]
async fn more_refused_messages_than_may_be_in_flight_do_not_stall_the_group() {
    let world = World::new().await;
    let replica = bounded_replica(&world, &[("WAYBILL_BROKER__MAX_IN_FLIGHT", "100")]).await;
    let poison = (0..101).map(|n| Bytes::from(format!("poison {n}")));
    world.publish_raw(poison.chain([order("good")])).await;
    world.until_drained().await;
    assert_eq!(replica.order("good").await.status, StatusCode::OK);
    let refused = "waybill_ingest_messages_total{result=\"refused\"}";
    assert!((replica.metric(refused).await - 101.0).abs() < 0.5);
}

#[tokio::test]
async fn a_long_outage_of_postgres_under_load_costs_no_order_and_no_memory() {
    let mut postgres = Postgres::start().await.expect("a Postgres of its own");
    let world = World::on(&postgres).await;
    let replica = bounded_replica(&world, &[]).await;
    world.publish_raw([order("known")]).await;
    world.until_drained().await;
    postgres.kill().expect("killed");

    let seconds: u64 = if full_size() { 600 } else { 10 };
    let count = (seconds * 1000).to_string();
    let arguments = ["--generate", &count, "--rate", "1000", "--seed", "9"];
    let publishing = world.publish(&arguments);
    let reading = async {
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            assert_eq!(replica.order("known").await.status, StatusCode::OK, "hits are answered");
            let unknown = replica.order("unknown").await.status;
            assert_eq!(unknown, StatusCode::SERVICE_UNAVAILABLE, "never a false no");
        }
    };
    tokio::join!(publishing, reading);
    postgres.start_again().await.expect("started");
    let back = Instant::now();
    eventually("the first commit", PATIENCE, async || {
        let some = world.sql(&postgres, "select count(*) > 1 from orders").await;
        (some == "t").then_some(())
    })
    .await;
    tell(&format!("first commit {:?} after Postgres was back", back.elapsed()));
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
    eventually("the channel is drained", LONG, async || {
        (world.lag().await == Some((0, 0))).then_some(())
    })
    .await;
    tell(&format!("{count} orders caught up with in {:?}", back.elapsed()));
    let stored = world.sql(&postgres, "select count(*) from orders").await;
    assert_eq!(stored, (seconds * 1000 + 1).to_string());
    assert_eq!(world.sql(&postgres, "select count(*) from rejected_messages").await, "0");
    assert_bounded(&replica, "outage of Postgres");
}

#[tokio::test]
async fn a_flood_of_unknown_ids_leaves_known_ones_served() {
    const CLIENTS: u64 = 200;
    let world = World::new().await;
    let replica = bounded_replica(&world, &[]).await;
    world.publish_raw([order("known")]).await;
    world.until_drained().await;
    let end = Instant::now() + Duration::from_secs(if full_size() { 60 } else { 5 });
    let clients = (0..CLIENTS).map(async |client| {
        let mut answers = 0_u64;
        while Instant::now() < end {
            let status = replica.order(&format!("unknown-{client}-{answers}")).await.status;
            let expected = [StatusCode::NOT_FOUND, StatusCode::SERVICE_UNAVAILABLE];
            assert!(expected.contains(&status), "{status}");
            answers += 1;
        }
        answers
    });
    let known = async {
        let mut hits = 0_u64;
        while Instant::now() < end {
            assert_eq!(replica.order("known").await.status, StatusCode::OK);
            hits += 1;
        }
        hits
    };
    let (misses, hits) = tokio::join!(join_all(clients), known);
    let misses: u64 = misses.into_iter().sum();
    tell(&format!("{misses} unknown ids, {hits} hits beside them"));
    assert!(misses > 0, "nobody was answered");
    // Each asks as soon as it is answered, so a hit that waits for misses gives an equal share.
    let share = misses / CLIENTS;
    assert!(hits > 4 * share, "{hits} hits, {share} answers to each who asks for unknown ids");
    assert_bounded(&replica, "unknown ids");
}

#[tokio::test]
async fn idle_connections_and_slow_readers_leave_others_served() {
    let world = World::new().await;
    let patient = [("WAYBILL_HTTP__HEADER_TIMEOUT", "10m")];
    let replica = bounded_replica(&world, &patient).await;
    world.publish_raw([order("known")]).await;
    world.until_drained().await;
    let idle = if full_size() { 5_000 } else { 1_000 };
    let mut connections = Vec::new();
    for _ in 0..idle {
        connections.push(TcpStream::connect(replica.site).await.expect("accepted"));
    }
    let request = "GET /api/v1/orders/known HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    let slow = connections.iter_mut().take(200).map(async |connection| {
        // What the kernel takes is taken; the answers are never read.
        let _ = connection.write(request.as_bytes()).await;
    });
    join_all(slow).await;
    for _ in 0..200 {
        assert_eq!(replica.order("known").await.status, StatusCode::OK);
    }
    let open = replica.metric("waybill_http_connections").await;
    tell(&format!("{open} connections open, the known order was served beside them"));
    assert!(open >= f64::from(idle), "{open} of {idle} connections");
    assert_bounded(&replica, "idle connections");
}

#[tokio::test]
async fn a_reader_that_takes_no_answer_does_not_hold_up_a_stop() {
    let world = World::new().await;
    let mut replica = bounded_replica(&world, &[]).await;
    world.publish_raw([order("known")]).await;
    world.until_drained().await;
    let mut stuck = TcpStream::connect(replica.site).await.expect("accepted");
    let request = "GET /api/v1/orders/known HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    // More answers than the kernel keeps: it takes no more requests once the service is stuck.
    let filling = async { while stuck.write_all(request.as_bytes()).await.is_ok() {} };
    let _ = tokio::time::timeout(Duration::from_secs(3), filling).await;
    assert_eq!(replica.stop().await, Some(0), "{}", replica.process.log());
}
