//! `waybill reconcile`: what is lost from Postgres is found in the channel, and put back.

mod of_stream;

use std::fs;

use bytes::Bytes;
use serde_json::{Value, json};
use testbed::{BrokerOptions, Postgres, Process, Signal, SubscriptionState, eventually};

use crate::service::{PATIENCE, World, order};

/// The same order with another amount: another order.
fn other(uid: &str) -> Bytes {
    let text = String::from_utf8(order(uid).to_vec()).expect("UTF-8");
    Bytes::from(text.replace("1817", "1818"))
}

/// Ten messages: orders, a duplicate, a conflict, and some that are none.
fn mix() -> Vec<Bytes> {
    vec![
        order("a"),
        order("b"),
        Bytes::from_static(b"no order"),
        order("a"),
        other("a"),
        order("c"),
        Bytes::from_static(b"{}"),
        other("b"),
        order("d"),
        order("e"),
    ]
}

/// The lines of the report of the last run.
fn report(world: &World) -> Vec<Value> {
    let text = fs::read_to_string(world.path().join("report")).expect("a report");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn sequences(report: &[Value], finding: &str) -> Vec<u64> {
    let of_kind = report.iter().filter(|line| line["finding"] == finding);
    of_kind.map(|line| line["from"].as_u64().expect("a sequence")).collect()
}

/// The group's members as the monitor shows them.
async fn group(world: &World) -> Vec<SubscriptionState> {
    let channel = world.broker.channel("orders").await.expect("the channel");
    channel.subscriptions.into_iter().filter(|member| !member.queue_name.is_empty()).collect()
}

/// The rows that count, to compare the database with itself.
async fn content(world: &World, postgres: &Postgres) -> String {
    let orders = "select order_uid, channel_sequence, encode(document, 'hex') from orders \
                  order by 1";
    let rejects = "select channel, sequence, reason, formatting_only, detail, \
                   encode(payload, 'hex') from rejected_messages order by 2";
    format!("{}\n{}", world.sql(postgres, orders).await, world.sql(postgres, rejects).await)
}

#[tokio::test]
async fn what_a_restored_backup_lacks_is_found_and_put_back_and_nobody_is_disturbed() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let monitor = format!("broker.monitor_url={}", world.broker.monitor_url());
    let check = ["reconcile", "--set", &monitor, "--report", "report"];
    let repair = [&check[..], &["--repair"]].concat();
    // Of two writers either may be the first to commit an order that stands in both batches.
    let mut replica = world.start("steady", &[("WAYBILL_INGEST__WRITERS", "1")]).await;
    replica.until_ready().await;
    world.publish_raw(mix()).await;
    world.until_drained().await;

    let (code, stdout, stderr) = world.run(&check).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.starts_with("10 present, 0 missing, 0 differing, 0 gone\n"), "{stdout}");
    assert_eq!(report(&world), Vec::<Value>::new());

    let (before, members) = (content(&world, postgres).await, group(&world).await);
    let restored = "delete from orders where order_uid in ('a', 'd'); \
                    delete from rejected_messages where sequence in (3, 5, 8)";
    world.sql(postgres, restored).await;
    let (code, stdout, stderr) = world.run(&check).await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    let found = report(&world);
    // 4 repeats 1; b is stored, so only the reject of 8 is wanting.
    assert_eq!(sequences(&found, "missing"), [1, 3, 4, 5, 9]);
    assert_eq!(sequences(&found, "differing"), [8]);
    assert_eq!(found.len(), 6);
    assert!(stdout.contains("missing: sequences 1, 3–5, 9\n"), "{stdout}");
    assert!(stdout.contains("differing: sequences 8\n"), "{stdout}");
    assert_eq!((&found[0]["uid"], &found[1]["reason"]), (&json!("a"), &json!("not_json")));

    let (code, stdout, stderr) = world.run(&repair).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    let put_back = "put back: 2 orders, 3 rejects; stored meanwhile: 0 orders\n";
    assert!(stdout.contains(put_back), "{stdout}");
    // With 1 put back, 4 is present and 5 is in conflict.
    let found = report(&world);
    assert_eq!(sequences(&found, "missing"), [1, 3, 9]);
    assert_eq!(sequences(&found, "differing"), [5, 8]);
    let repairs: Vec<_> = found.iter().map(|line| line["repair"].clone()).collect();
    let expected = ["stored", "rejected", "rejected", "rejected", "stored"];
    assert_eq!(repairs, expected.map(Value::from));
    assert_eq!(content(&world, postgres).await, before, "the first write won again");

    let (code, stdout, stderr) = world.run(&repair).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.starts_with("10 present, 0 missing, 0 differing, 0 gone\n"), "{stdout}");

    assert_eq!(group(&world).await, members, "the group stands where it stood");
    let clients = world.broker.clients().await.expect("clients");
    assert_eq!(clients.iter().map(|client| client.id.as_str()).collect::<Vec<_>>(), ["steady"]);
    assert!(replica.metric("waybill_stan_session_rebuilds_total").await < 0.5);
    world.publish_raw([order("later")]).await;
    world.until_drained().await;
    assert_eq!(replica.order("later").await.body, order("later"));
    assert_eq!(replica.stop().await, Some(0));
}

#[tokio::test]
async fn what_the_broker_has_deleted_is_told_as_gone_and_not_as_missing() {
    let postgres = Postgres::shared().await.expect("Postgres");
    let options = BrokerOptions { max_messages: Some(5), ..BrokerOptions::default() };
    let world = World::with(options, postgres).await;
    let _replica = world.serve("steady").await;
    world.publish_raw((1..=20).map(|n| order(&format!("order-{n}")))).await;
    world.until_drained().await;
    world.sql(postgres, "delete from orders where channel_sequence in (3, 17)").await;

    // Without the monitor the broker itself tells where the channel ends.
    let (code, stdout, stderr) = world.run(&["reconcile", "--report", "report"]).await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stdout.starts_with("4 present, 1 missing, 0 differing, 15 gone\n"), "{stdout}");
    let found = report(&world);
    assert_eq!(found[0], json!({"from": 1, "to": 15, "finding": "gone"}));
    assert_eq!(sequences(&found, "missing"), [17]);

    let part = ["reconcile", "--from", "18", "--to", "19"];
    let (code, stdout, stderr) = world.run(&part).await;
    assert_eq!((code, stdout.as_str()), (0, "2 present, 0 missing, 0 differing, 0 gone\n"));
    assert!(stderr.contains("looking at sequences 18 to 19"), "{stderr}");
}

#[tokio::test]
async fn an_empty_channel_is_told_from_a_broker_that_says_nothing() {
    let world = World::new().await;
    let monitor = format!("broker.monitor_url={}", world.broker.monitor_url());
    let (code, stdout, stderr) = world.run(&["reconcile", "--set", &monitor]).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stderr.contains("nothing in the channel from 1 on"), "{stderr}");

    let somebody_else = "broker.monitor_url=http://127.0.0.1:9";
    let short = ["reconcile", "--patience", "500ms", "--set"];
    let (code, stdout, stderr) = world.run(&[&short[..], &[somebody_else]].concat()).await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stderr.contains("trying again in 200ms"), "{stderr}");
    assert!(stderr.contains("does not tell where the channel ends"), "{stderr}");

    let (code, _, stderr) = world.run(&["reconcile", "--patience", "1s"]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("set broker.monitor_url"), "{stderr}");
}

#[tokio::test]
async fn nothing_is_called_missing_while_postgres_cannot_be_asked() {
    let mut postgres = Postgres::start().await.expect("a Postgres of its own");
    let world = World::on(&postgres).await;
    let mut replica = world.serve("steady").await;
    world.publish_raw((1..=3).map(|n| order(&format!("order-{n}")))).await;
    world.until_drained().await;
    assert_eq!(replica.stop().await, Some(0));
    postgres.stop().await.expect("stopped");

    let (code, stdout, stderr) =
        world.run(&["reconcile", "--report", "report", "--patience", "1s"]).await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stdout.starts_with("0 present, 0 missing, 0 differing, 0 gone\n"), "{stdout}");
    assert!(stderr.contains("; go on with --from 1\n"), "{stderr}");
    assert_eq!(report(&world), Vec::<Value>::new());

    // It comes back while we wait.
    let waiting = world.run(&["reconcile", "--patience", "1m"]);
    let ((code, stdout, stderr), started) = tokio::join!(waiting, postgres.start_again());
    started.expect("started");
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.starts_with("3 present, 0 missing"), "{stdout}");
}

#[tokio::test]
async fn a_standby_is_not_believed_when_it_knows_less() {
    let postgres = &Postgres::start().await.expect("a Postgres of its own");
    let world = World::on(postgres).await;
    let _replica = world.serve("steady").await;
    world.publish_raw([order("a")]).await;
    world.until_drained().await;
    let pretend = "alter function pg_catalog.pg_is_in_recovery() rename to pg_is_standby; \
                   create function pg_catalog.pg_is_in_recovery() returns boolean \
                   language sql as 'select true'";
    let (server, _) = postgres
        .superuser_url()
        .rsplit_once('/')
        .map(|(s, d)| (s.to_owned(), d.to_owned()))
        .expect("a URL");
    let here = format!("{server}/{}", world.database.name);
    postgres.psql(&here, pretend).await.expect("it pretends");
    world.sql(postgres, "delete from orders").await;
    let (code, stdout, stderr) = world.run(&["reconcile", "--patience", "500ms"]).await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stdout.starts_with("0 present, 0 missing"), "{stdout}");
    assert!(stderr.contains("it is a standby"), "{stderr}");
}

#[tokio::test]
async fn a_signal_ends_it_in_order_and_it_says_where_to_go_on() {
    let mut postgres = Postgres::start().await.expect("a Postgres of its own");
    let world = World::on(&postgres).await;
    let mut replica = world.serve("steady").await;
    world.publish_raw([order("a")]).await;
    world.until_drained().await;
    assert_eq!(replica.stop().await, Some(0));
    postgres.stop().await.expect("stopped");

    let log = world.path().join("reconcile.log");
    let command = world.command(&["reconcile", "--patience", "1h"]);
    let mut process = Process::spawn("reconcile", &command, &log).expect("it starts");
    eventually("it waits for Postgres", PATIENCE, async || {
        process.log().contains("trying again").then_some(())
    })
    .await;
    let status = process.stop(Signal::TERM, PATIENCE).await.expect("it ends");
    assert_eq!(status.code(), Some(143), "{}", process.log());
    assert!(process.log().contains("interrupted; go on with --from 1"), "{}", process.log());
    assert!(world.broker.clients().await.expect("clients").is_empty(), "it said goodbye");
}
