//! `/statusz`, `/statusz.json` and `waybill status`: what a replica tells of itself is right,
//! harmless, without secrets, and comes within a second whoever is away.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use testbed::{Direction, Postgres, Proxy, eventually};

use crate::service::{MODEL_UID, PATIENCE, Replica, World, order};

/// Longest time for an answer: a second, and what a busy machine takes.
const SOON: Duration = Duration::from_secs(3);

async fn status(replica: &Replica) -> Value {
    let began = Instant::now();
    let reply = replica.admin("/statusz.json").await;
    assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.headers["content-type"], "application/json");
    serde_json::from_slice(&reply.body).expect("JSON")
}

/// Waits until the status is as wanted; what it was then.
async fn until(replica: &Replica, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(what, PATIENCE, async || {
        let status = status(replica).await;
        wanted(&status).then_some(status)
    })
    .await
}

/// The names of all members of a value, at every depth.
fn names(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                found.insert(name.clone());
                names(value, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

/// A replica that watches the broker's monitor and has taken three orders, one of them twice,
/// and two messages that are none.
async fn fed(world: &World) -> Replica {
    let monitor = world.broker.monitor_url();
    let replica = world.start("fed", &[("WAYBILL_BROKER__MONITOR_URL", &monitor)]).await;
    replica.until_ready().await;
    let refused = Bytes::from_static(b"<script>alert(1)</script>");
    let orders = [order("one"), order("two"), order("three"), order("one")];
    world.publish_raw(orders.into_iter().chain([refused, Bytes::from_static(b"")])).await;
    world.until_drained().await;
    replica
}

#[tokio::test]
async fn the_status_of_a_busy_replica_is_right() {
    let world = World::new().await;
    let replica = fed(&world).await;
    for (uid, status) in [("one", 200), ("two", 200), ("none", 404)] {
        assert_eq!(replica.order(uid).await.status.as_u16(), status);
    }
    let told = until(&replica, "the monitor was asked after all", |status| {
        status["lag"]["channel_last_sequence"] == 6 && status["rejects"]["kept_rows"].is_u64()
    })
    .await;

    let replica_told = &told["replica"];
    assert_eq!(replica_told["client_id"], "fed");
    assert_eq!((&replica_told["phase"], &replica_told["ready"]), (&"ready".into(), &true.into()));
    assert_eq!(told["build"]["version"], env!("CARGO_PKG_VERSION"));
    let commit = &told["build"]["commit"];
    assert!(commit.is_null() || commit.as_str().is_some_and(|commit| !commit.is_empty()));
    let session = &told["session"];
    assert_eq!(session["state"], "live");
    assert!(session["since"].as_str().expect("a moment").ends_with('Z'), "{session}");
    assert_eq!((&session["in_hand_messages"], &session["queue_bytes"]), (&0.into(), &0.into()));
    let lag = &told["lag"];
    assert_eq!(lag["monitor"], "answers");
    for (name, value) in
        [("undelivered_messages", 0), ("pending_messages", 0), ("lost_messages", 0)]
    {
        assert_eq!(lag[name], value, "{name}");
    }
    let batches = told["batches"].as_array().expect("batches");
    let sum =
        |name: &str| batches.iter().map(|batch| batch[name].as_u64().expect(name)).sum::<u64>();
    for (name, count) in [
        ("messages", 6),
        ("stored_messages", 3),
        ("duplicate_messages", 1),
        ("refused_messages", 2),
        ("conflict_messages", 0),
        ("erased_messages", 0),
        ("kept_messages", 0),
    ] {
        assert_eq!(sum(name), count, "{name} of {batches:?}");
    }
    let cache = &told["cache"];
    for (name, count) in [("orders", 3), ("hits_total", 2), ("misses_total", 1)] {
        assert_eq!(cache[name], count, "{name}");
    }
    assert!((cache["hit_ratio"].as_f64().expect("a ratio") - 2.0 / 3.0).abs() < 1e-9);
    assert_eq!(cache["warm_up"]["rows"], 0);
    assert_eq!(told["postgres"]["answers"], true);
    // Two writers keep them, in whichever order they come to it.
    let rejects = told["rejects"]["newest"].as_array().expect("rejects");
    let mut newest: Vec<_> =
        rejects.iter().map(|reject| (reject["sequence"].as_u64(), &reject["reason"])).collect();
    newest.sort_by_key(|(sequence, _)| *sequence);
    assert_eq!([newest[0].0, newest[1].0], [Some(5), Some(6)]);
    assert_eq!(newest[0].1, "not_json");
    assert_eq!(newest.len(), 2);
    let objectives = &told["objectives"];
    assert_eq!(objectives["lookups_answered_within_10_ms"]["of_total"], 3);
    assert_eq!(objectives["messages_settled_within_2_s"]["of_total"], 6);
    assert_eq!(objectives["requests_failed"]["count_total"], 0);
    assert_eq!(told["log_filter"], "info");

    let manual = std::fs::read_to_string("docs/operations.md").expect("the manual");
    let mut members = BTreeSet::new();
    names(&told, &mut members);
    let unknown: Vec<_> =
        members.iter().filter(|name| !manual.contains(&format!("`{name}`"))).collect();
    assert!(unknown.is_empty() && members.len() > 70, "not in docs/operations.md: {unknown:?}");

    let page = replica.admin("/statusz").await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    for text in ["Session with the broker", "of 3)", "66.667 %", "broker.client_id", "Last batches"]
    {
        assert!(page.text().contains(text), "{text} is not in {}", page.text());
    }
    assert!(!page.text().contains("<script"), "{}", page.text());
    assert_eq!(replica.get("/statusz").await.status, StatusCode::NOT_FOUND, "not for the public");
    assert_eq!(replica.get("/statusz.json").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_command_tells_the_same_and_fails_only_without_an_answer() {
    let world = World::new().await;
    let replica = fed(&world).await;
    let admin = format!("http://{}", replica.admin);
    let (code, text, errors) = world.run(&["status", "--admin", &admin]).await;
    assert_eq!((code, errors.as_str()), (0, ""), "{text}");
    for line in ["  Name        fed", "  Ready       yes", "  Answers       yes"] {
        assert!(text.lines().any(|shown| shown.trim_end() == line), "{line:?} is not in\n{text}");
    }
    let port = format!("admin.listen=0.0.0.0:{}", replica.admin.port());
    let (code, json, _) = world.run(&["status", "--output", "json", "--set", &port]).await;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((code, &json["replica"]["client_id"]), (0, &"fed".into()));

    let site = format!("http://{}", replica.site);
    let (code, _, errors) = world.run(&["status", "--admin", &site]).await;
    assert!(code == 1 && errors.contains("must be the admin port"), "{code}: {errors}");
    let (code, _, errors) = world.run(&["status", "--admin", "http://127.0.0.1:1"]).await;
    assert!(code == 1 && errors.contains("Connection refused"), "{code}: {errors}");
    let (code, ..) = world.run(&["status", "--admin", "127.0.0.1:1"]).await;
    assert_eq!(code, 64);
}

#[tokio::test]
async fn what_is_away_is_told_within_a_second() {
    let mut postgres = Postgres::start().await.expect("a Postgres of its own");
    let mut world = World::on(&postgres).await;
    let server = (Ipv4Addr::LOCALHOST, postgres.port()).into();
    let mut proxy = Proxy::start(server).await.expect("a proxy");
    let (from, to) = (format!(":{}/", postgres.port()), format!(":{}/", proxy.port()));
    world.database.url = world.database.url.replace(&from, &to);
    let mut replica = fed(&world).await;

    // It is connected, and says nothing.
    proxy.black_hole(Direction::ToClient);
    let told =
        until(&replica, "the silence is told", |status| status["postgres"]["answers"] == false)
            .await;
    assert!(told["postgres"]["detail"].as_str().expect("why").contains("no answer"), "{told}");
    assert!(told["rejects"]["newest"].is_null(), "{told}");
    assert_eq!(told["cache"]["orders"], 3, "what it knows itself it tells");
    let page = replica.admin("/statusz").await;
    assert!(page.text().contains("Not known: Postgres did not tell."), "{}", page.text());
    // Many at once wait for each other no longer than one waits for Postgres.
    let many = (0..16).map(|_| status(&replica));
    futures_util::future::join_all(many).await;
    proxy.heal().await.expect("healed");
    until(&replica, "it answers again", |status| status["postgres"]["answers"] == true).await;

    postgres.stop().await.expect("stopped");
    world.broker.stop().await.expect("stopped");
    let told = until(&replica, "both are told", |status| {
        status["postgres"]["answers"] == false
            && status["session"]["state"] != "live"
            && status["lag"]["monitor"] == "silent"
    })
    .await;
    assert!(told["lag"]["pending_messages"].is_null(), "{told}");
    assert!(told["session"]["detail"].is_string(), "{told}");
    let (_, text, _) =
        world.run(&["status", "--admin", &format!("http://{}", replica.admin)]).await;
    assert!(
        text.lines().any(|line| line.starts_with("! Answers") && line.contains("no")),
        "{text}"
    );
    assert!(text.contains("! Broker's monitor"), "{text}");
    assert_eq!(replica.stop().await, Some(0), "nobody who asks holds up the end");
}

/// What would be markup, or more than letters in a terminal.
const HOSTILE: &str = "\u{1b}[31m</dd><script>alert(1)</script>\u{202e}";

#[tokio::test]
async fn hostile_texts_become_no_markup_and_no_escape_sequences() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let setting = ("WAYBILL_HTTP__CACHE_CONTROL", "</bdi></td><script>alert(1)</script>");
    let replica = world.start("brave", &[setting]).await;
    replica.until_ready().await;
    // Reasons come from a closed list, but the owner of the table may change that.
    let sql = format!(
        "alter table rejected_messages drop constraint rejected_messages_reason; \
         insert into rejected_messages (channel, sequence, sha256, reason, detail, payload) \
         values ('{HOSTILE}', 7, sha256(''), '{HOSTILE}', '{HOSTILE}', '')"
    );
    world.sql(postgres, &sql).await;
    let filter = http::Request::builder()
        .method("PUT")
        .uri(format!("http://{}/log-filter", replica.admin))
        .body("info,[</dd><script>alert(1)</script>]=debug".into())
        .expect("a request");
    replica.request(filter).await.expect("an answer");

    let page = replica.admin("/statusz").await;
    let (_, text, _) =
        world.run(&["status", "--admin", &format!("http://{}", replica.admin)]).await;
    for shown in [page.text(), text.as_str()] {
        assert!(shown.contains(r"\u{1b}[31m") && shown.contains(r"\u{202e}"), "{shown}");
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown}");
    }
    assert!(!page.text().contains("<script"), "{}", page.text());
    assert_eq!(status(&replica).await["rejects"]["newest"][0]["reason"], HOSTILE);
}

#[tokio::test]
async fn no_secret_and_nothing_personal_is_told() {
    let world = World::new().await;
    let mut command = world.command(&["serve"]);
    let (login, place) = world.database.url.rsplit_once('@').expect("a login");
    let (_, password) = login.rsplit_once(':').expect("a password");
    let url = format!("{login}@{place}?sslpassword=c0rrecthorse");
    let broker = world.broker.url().replace("nats://", "nats://me:hunter2@");
    command.env("WAYBILL_DATABASE__URL", &url).env("WAYBILL_BROKER__URL", broker);
    let replica = world.launch("discreet", command).await;
    replica.until_ready().await;
    world.publish_raw([order(MODEL_UID), order(MODEL_UID).slice(..900)]).await;
    world.until_drained().await;
    let told = until(&replica, "the reject is told", |status| {
        status["rejects"]["newest"][0]["sequence"] == 2
    })
    .await;
    let texts = [
        told.to_string(),
        replica.admin("/statusz").await.text().to_owned(),
        world.run(&["status", "--admin", &format!("http://{}", replica.admin)]).await.1,
    ];
    for text in texts {
        for secret in [password, "hunter2", "c0rrecthorse", "Test Testov", MODEL_UID] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
        assert!(text.contains("nats://me:***@127.0.0.1"), "{text}");
    }
}
