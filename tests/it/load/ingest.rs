//! `waybill load ingest`: what it writes down of each order is what happened.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use testbed::{Postgres, Process, Signal, eventually};

use crate::service::{PATIENCE, Replica, World};

/// The orders in the file of a stage, and what its last line says of their number.
fn stage(world: &World, rate: u32) -> (Vec<Value>, u64) {
    let path = world.path().join(format!("out/ingest-{rate}.ndjson"));
    let text = fs::read_to_string(&path).expect("the results");
    let line = |line| serde_json::from_str(line).expect("a line of JSON");
    let mut lines: Vec<Value> = text.lines().map(line).collect();
    let end = lines.pop().expect("a last line");
    assert_eq!(end["complete"], true, "{end}");
    (lines, end["orders"].as_u64().expect("a number of orders"))
}

/// From publishing an order to its being served.
fn took(order: &Value) -> Duration {
    let [sent, confirmed, served] =
        ["sent", "confirmed", "served"].map(|name| order[name].as_u64().expect(name));
    assert!(sent < confirmed && confirmed <= served, "{order}");
    Duration::from_nanos(served - sent)
}

fn start(world: &World, replica: &Replica, rate: &str, duration: &str) -> Process {
    let url = format!("http://{}", replica.site);
    let arguments = ["load", "ingest", "--rates", rate, "--duration", duration];
    let arguments = [&arguments[..], &["--url", &url, "--output", "out"]].concat();
    let log = world.path().join("ingest.log");
    Process::spawn("ingest", &world.command(&arguments), &log).expect("it starts")
}

async fn end(ingest: &mut Process) -> Option<i32> {
    let status = eventually("it ends", PATIENCE, async || ingest.status().expect("a status"));
    status.await.code()
}

async fn published(world: &World) -> u64 {
    world.broker.channel("orders").await.map_or(0, |channel| channel.last_seq)
}

#[tokio::test]
async fn each_order_of_a_stage_is_in_its_file_once_with_times_that_can_be() {
    let postgres = Postgres::shared().await.expect("a Postgres");
    let world = World::on(postgres).await;
    let replica = world.serve("one").await;
    let mut ingest = start(&world, &replica, "40,80", "2s");
    assert_eq!(end(&mut ingest).await, Some(0), "{}", ingest.log());
    for (rate, orders) in [(40, 80), (80, 160)] {
        let (lines, said) = stage(&world, rate);
        assert_eq!((lines.len(), said), (orders, orders as u64));
        assert!(lines.iter().all(|order| order["error"].is_null()), "{lines:?}");
        let longest = lines.iter().map(took).max().expect("orders");
        assert!(longest < Duration::from_secs(30), "{longest:?}");
        let sent = lines.iter().map(|order| order["sent"].as_u64().expect("a time"));
        let (first, last) = (sent.clone().min().expect("orders"), sent.max().expect("orders"));
        let span = Duration::from_nanos(last - first);
        assert!((Duration::from_millis(1900)..Duration::from_millis(3100)).contains(&span));
        let said = format!("{rate}/s: {orders} orders, {orders} served, p50 ");
        assert!(ingest.log().contains(&said), "{}", ingest.log());
    }
    assert_eq!(published(&world).await, 240);
    assert_eq!(world.sql(postgres, "select count(*) from orders").await, "240");
}

#[tokio::test]
async fn orders_of_a_paused_replica_are_late_and_are_sent_when_they_are_due() {
    let world = World::new().await;
    let mut replica = world.serve("one").await;
    let mut ingest = start(&world, &replica, "50", "4s");
    let until = async |orders| {
        eventually("orders are published", PATIENCE, async || {
            (published(&world).await >= orders).then_some(())
        })
        .await;
    };
    until(20).await;
    replica.process.signal(Signal::STOP).expect("paused");
    let at_the_pause = published(&world).await;
    // A second of orders.
    until(at_the_pause + 50).await;
    replica.process.signal(Signal::CONT).expect("goes on");
    assert_eq!(end(&mut ingest).await, Some(0), "{}", ingest.log());
    let (lines, orders) = stage(&world, 50);
    assert_eq!((lines.len(), orders), (200, 200));
    let (least, most) =
        (lines.iter().map(took).min().expect("orders"), lines.iter().map(took).max());
    assert!(most > Some(Duration::from_millis(900)) && most < Some(PATIENCE), "{most:?}");
    assert!(least < Duration::from_millis(900), "{least:?}");
}

#[tokio::test]
async fn what_the_broker_does_not_confirm_is_told_and_is_a_failure() {
    let mut world = World::new().await;
    let replica = world.serve("one").await;
    let mut ingest = start(&world, &replica, "20", "3s");
    let path = world.path().join("out/ingest-20.ndjson");
    wait_for_lines(&path, 5).await;
    world.broker.kill().expect("killed");
    eventually("an order is not confirmed", PATIENCE, async || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        text.contains("\"not confirmed: ").then_some(())
    })
    .await;
    world.broker.start_again().await.expect("started");
    assert_eq!(end(&mut ingest).await, Some(1), "{}", ingest.log());
    let (lines, orders) = stage(&world, 20);
    assert_eq!((lines.len(), orders), (60, 60));
    let failed: Vec<_> = lines.iter().filter(|order| !order["error"].is_null()).collect();
    assert!((1..=55).contains(&failed.len()), "{failed:?}");
    for order in failed {
        assert!(order["confirmed"].is_null() && order["served"].is_null(), "{order}");
        assert!(ingest.log().contains(order["error"].as_str().expect("why")), "{order}");
    }
    drop(replica);
}

async fn wait_for_lines(path: &Path, count: usize) {
    eventually("orders are served", PATIENCE, async || {
        let text = fs::read_to_string(path).unwrap_or_default();
        (text.lines().count() >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_interrupted_stage_has_no_last_line() {
    let world = World::new().await;
    let replica = world.serve("one").await;
    let mut ingest = start(&world, &replica, "20", "1h");
    let path = world.path().join("out/ingest-20.ndjson");
    wait_for_lines(&path, 5).await;
    let status = ingest.stop(Signal::TERM, PATIENCE).await.expect("it ends");
    assert_eq!(status.code(), Some(143));
    let text = fs::read_to_string(path).expect("the results");
    assert!(text.ends_with("}\n") && !text.contains("complete"), "{text}");
}

#[tokio::test]
async fn what_keeps_it_from_measuring_has_its_own_exit_code() {
    let world = World::new().await;
    let arguments = ["load", "ingest", "--url", "http://127.0.0.1:1", "--output", "/dev/null/out"];
    let (code, _, said) = world.run(&[&arguments[..], &["--rates", "5"]].concat()).await;
    assert_eq!((code, said.contains("cannot make the directory /dev/null/out")), (2, true));
    let (code, _, said) = world.run(&[&arguments[..], &["--rates", "5,5"]].concat()).await;
    assert_eq!((code, said.contains("must not name a rate twice")), (64, true), "{said}");
}
