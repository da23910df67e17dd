//! Erasing orders from a running service: gone from every replica, and for good.

mod in_streams;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use testbed::{Postgres, eventually};

use crate::service::{PATIENCE, Replica, Reply, World, order};

const FAST: (&str, &str) = ("WAYBILL_CACHE__FOLLOW_INTERVAL", "100ms");

async fn erase(world: &World, arguments: &[&str]) -> (i32, String, String) {
    world.run(&[&["erase"], arguments].concat()).await
}

/// Waits until the replica says that the order was erased.
async fn until_erased(replica: &Replica, uid: &str) -> Reply {
    eventually("the replica says that it was erased", PATIENCE, async || {
        let reply = replica.order(uid).await;
        (reply.status == StatusCode::GONE).then_some(reply)
    })
    .await
}

async fn many(replica: &Replica, uids: &[&str]) -> Value {
    let body = serde_json::json!({ "uids": uids }).to_string();
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{}/api/v1/orders/lookup", replica.site))
        .body(Full::new(Bytes::from(body)))
        .expect("a request");
    let reply = replica.request(request).await.expect("an answer");
    serde_json::from_slice(&reply.body).expect("JSON")
}

async fn count(world: &World, table: &str) -> String {
    let postgres = Postgres::shared().await.expect("Postgres");
    world.sql(postgres, &format!("select count(*) from {table}")).await
}

#[tokio::test]
async fn an_erased_order_is_gone_from_every_replica_and_nothing_brings_it_back() {
    let world = World::new().await;
    let (a, b) = (world.start("a", &[FAST]).await, world.start("b", &[FAST]).await);
    a.until_ready().await;
    b.until_ready().await;
    let rival = [&order("victim")[..], b" "].concat();
    let broken = Bytes::from_static(b"{\"order_uid\": \"victim\", \"cut off");
    let all = [order("victim"), order("other"), rival.into(), broken];
    world.publish_raw(all.clone()).await;
    world.until_drained().await;
    assert_eq!(count(&world, "rejected_messages").await, "2");
    for replica in [&a, &b] {
        assert_eq!(replica.order("victim").await.status, StatusCode::OK);
    }

    let (code, text, errors) = erase(&world, &["victim", "--reason", "request 1"]).await;
    let told = "victim: erased\n1 erased, 0 not stored, 0 erased before; 2 rejects deleted\n";
    assert_eq!((code, &*text), (0, told), "{errors}");
    for replica in [&a, &b] {
        let reply = until_erased(replica, "victim").await;
        assert!(reply.text().contains("/problems/order-erased"), "{}", reply.text());
        assert_eq!(reply.headers["cache-control"], "no-store");
        let page = replica.get("/orders/victim").await;
        assert_eq!(page.status, StatusCode::GONE);
        assert!(page.text().contains("Order erased"), "{}", page.text());
        let found = many(replica, &["victim", "other"]).await;
        assert_eq!(found["orders"][0]["status"], 410, "{found}");
        assert_eq!(found["orders"][1]["status"], 200, "{found}");
        eventually("it is known without asking Postgres", PATIENCE, async || {
            (replica.metric("waybill_cache_erased_orders").await > 0.5).then_some(())
        })
        .await;
    }

    // Everything once more: redelivered, or sent again by a publisher that knows nothing of it.
    world.publish_raw(all).await;
    world.until_drained().await;
    let counted = "waybill_ingest_messages_total{result=\"erased\"}";
    let sum = a.metric(counted).await + b.metric(counted).await;
    assert!((2.5..3.5).contains(&sum), "{sum} messages were counted as erased");
    let (code, text, errors) = world.run(&["reconcile", "--repair"]).await;
    assert_eq!(code, 0, "{errors}");
    let told = "2 present, 0 missing, 0 differing, 0 gone, 6 erased\n";
    assert_eq!(text, told, "{errors}");
    let (code, text, _) = world.run(&["rejects", "replay"]).await;
    assert_eq!((code, &*text), (0, "0 stored, 0 duplicate, 0 kept\n"));
    assert_eq!(count(&world, "orders").await, "1");
    assert_eq!(count(&world, "rejected_messages").await, "0");

    let started_later = world.serve("c").await;
    assert_eq!(started_later.order("victim").await.status, StatusCode::GONE);
    let replicas = [&a, &b, &started_later].map(|replica| format!("http://{}", replica.site));
    let mut check = vec!["--check", "victim"];
    check.extend(replicas.iter().flat_map(|url| ["--replica", url]));
    let (code, text, errors) = erase(&world, &check).await;
    assert_eq!(code, 0, "{text}{errors}");
    assert!(text.contains("request 1\norders: not stored\nrejects: its id stands in none\n"));
    assert_eq!(text.matches(": 410, erased\n").count(), 3, "{text}");
    assert!(text.contains("not looked into: messages in the channel"), "{text}");
}

#[tokio::test]
async fn what_was_not_erased_is_found_by_the_check() {
    let world = World::new().await;
    let replica = world.serve("a").await;
    let mention = Bytes::from_static(b"{\"note\": \"about here-still\"}");
    world.publish_raw([order("here-still"), mention]).await;
    world.until_drained().await;
    let url = format!("http://{}", replica.site);
    let check = ["--check", "here-still", "--replica", &url, "--output", "json"];
    let (code, text, errors) = erase(&world, &check).await;
    assert_eq!(code, 1, "{errors}");
    let found: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(found["erasure"], Value::Null);
    assert_eq!(found["is_stored"], true);
    assert_eq!(found["rejects"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(found["replicas"][0]["status"], 200);

    // Its id in a note does not make that message the order's.
    let (code, text, _) = erase(&world, &["here-still", "--reason", "x"]).await;
    assert!(code == 0 && text.ends_with("0 rejects deleted\n"), "{text}");
    let (code, text, _) = erase(&world, &check[..2]).await;
    assert!(code == 1 && text.contains("rejects: its id stands in "), "{text}");
}

#[tokio::test]
async fn the_command_takes_files_and_says_what_is_wrong() {
    let world = World::new().await;
    let (code, _, errors) = world.run(&["migrate"]).await;
    assert_eq!(code, 0, "{errors}");
    let list = world.path().join("ids.txt");
    std::fs::write(&list, "one\n\n two \r\none\n").expect("written");
    let list = list.to_str().expect("UTF-8");
    let arguments = ["three", "--file", list, "--reason", "x", "--output", "json"];
    let (code, text, errors) = erase(&world, &arguments).await;
    assert_eq!(code, 0, "{errors}");
    let told: Value = serde_json::from_str(&text).expect("JSON");
    let uids: Vec<_> = told["orders"].as_array().expect("a list").iter().collect();
    assert_eq!(uids.len(), 3, "{told}");
    assert!(uids.iter().all(|line| line["result"] == "not_stored"), "{told}");
    let (_, text, _) = erase(&world, &["one", "--reason", "x"]).await;
    assert!(text.starts_with("one: was erased before\n"), "{text}");

    for wrong in [
        &["one"][..],
        &[],
        &["--reason", "x"],
        &["a b", "--reason", "x"],
        &["one", "--reason", " "],
        &["one", "--reason", "x", "--check", "one"],
        &["one", "--reason", "x", "--replica", "http://127.0.0.1"],
    ] {
        let (code, _, errors) = erase(&world, wrong).await;
        assert_eq!(code, 64, "{wrong:?}: {errors}");
    }
    std::fs::write(list, "fine\nnot an id\n").expect("written");
    let (code, _, errors) = erase(&world, &["--file", list, "--reason", "x"]).await;
    assert_eq!(code, 1);
    assert!(errors.contains("ids.txt, line 2: order uid has ' ' at character 4"), "{errors}");
    assert_eq!(count(&world, "erasures").await, "3", "something was erased all the same");
}

#[tokio::test]
async fn with_a_bound_a_replica_that_cannot_learn_of_erasures_does_not_answer_from_memory() {
    let mut postgres = Postgres::start().await.expect("a Postgres of its own");
    let world = World::on(&postgres).await;
    let bound = [FAST, ("WAYBILL_ERASURE__MAX_STALENESS", "2s")];
    let (bounded, free) = (world.start("a", &bound).await, world.start("b", &[FAST]).await);
    bounded.until_ready().await;
    free.until_ready().await;
    world.publish_raw([order("one")]).await;
    world.until_drained().await;
    for replica in [&bounded, &free] {
        eventually("it is in memory", PATIENCE, async || {
            (replica.metric("waybill_cache_entries").await > 0.5).then_some(())
        })
        .await;
    }
    postgres.stop().await.expect("stopped");
    eventually("it cannot tell any more", PATIENCE, async || {
        (bounded.order("one").await.status == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    assert!(bounded.metric("waybill_cache_erasures_age_seconds").await > 2.0);
    assert_eq!(free.order("one").await.status, StatusCode::OK);
    postgres.start_again().await.expect("back");
    eventually("it answers again", PATIENCE, async || {
        (bounded.order("one").await.status == StatusCode::OK).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_restored_backup_does_not_bring_an_erased_order_back() {
    let world = World::new().await;
    let postgres = Postgres::shared().await.expect("Postgres");
    let mut replica = world.serve("before").await;
    let broken = Bytes::from_static(b"\"order_uid\":\"victim\"");
    world.publish_raw([order("victim"), order("other"), broken]).await;
    world.until_drained().await;
    let dump = world.path().join("old.dump");
    let run = async |program: &str, arguments: &[&str]| {
        let mut command = tokio::process::Command::new(postgres.bin().join(program));
        let output = command.args(arguments).output().await.expect(program);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let (owner, dump) = (&world.database.owner_url, dump.to_str().expect("UTF-8"));
    run("pg_dump", &["--format=custom", "--dbname", owner, "--file", dump]).await;

    let (code, ..) = erase(&world, &["victim", "never-seen", "--reason", "request 1"]).await;
    assert_eq!(code, 0);
    let file = world.path().join("erasures.ndjson");
    let file = file.to_str().expect("UTF-8");
    let (code, _, errors) = erase(&world, &["--export", file]).await;
    assert!(code == 0 && errors.contains("2 erasures written to"), "{errors}");
    replica.stop().await;
    run("pg_restore", &["--clean", "--if-exists", "--no-owner", "--dbname", owner, dump]).await;
    assert_eq!(count(&world, "orders").await, "2");

    let (code, text, errors) = erase(&world, &["--apply", file]).await;
    let told = "2 erasures, 2 of them new on record; 1 order and 1 reject deleted\n";
    assert_eq!((code, &*text), (0, told), "{errors}");
    let replica = world.serve("after").await;
    assert_eq!(replica.order("victim").await.status, StatusCode::GONE);
    assert_eq!(replica.order("never-seen").await.status, StatusCode::GONE);
    assert_eq!(replica.order("other").await.status, StatusCode::OK);
    let (code, text, _) = world.run(&["reconcile", "--repair"]).await;
    assert_eq!((code, &*text), (0, "1 present, 0 missing, 0 differing, 0 gone, 2 erased\n"));
    let (_, again, _) = erase(&world, &["--export", "-"]).await;
    let exported = std::fs::read_to_string(file).expect("it is there");
    assert_eq!(again, exported, "time or reason is not that of the erasure");
}
