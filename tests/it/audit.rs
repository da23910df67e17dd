//! The audit log: who is told to have read or changed what, and what happens when that cannot be
//! written.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testbed::Postgres;

use crate::access::{MASKED, ORDERS, send, tokens_file};
use crate::service::{MODEL, MODEL_UID, Replica, World, order};

/// A file that takes nothing, as one on a full disk.
const FULL: &str = "/dev/full";

fn log_file(world: &World) -> PathBuf {
    world.path().join("audit.jsonl")
}

/// The records that stand in a file.
fn records(path: &PathBuf) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("an audit log");
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// A replica that has the canonical order and records into a file.
async fn audited(world: &World, settings: &[(&str, &str)]) -> Replica {
    let file = log_file(world).display().to_string();
    let target = [("WAYBILL_AUDIT__TARGET", "file"), ("WAYBILL_AUDIT__FILE", file.as_str())];
    let replica = world.start("audited", &[&target[..], settings].concat()).await;
    replica.until_ready().await;
    world.publish_raw([Bytes::from_static(MODEL), "no order".into()]).await;
    world.until_drained().await;
    replica
}

/// A replica whose audit log cannot be written.
pub(crate) async fn unrecorded(world: &World, name: &str) -> Replica {
    let settings = [("WAYBILL_AUDIT__TARGET", "file"), ("WAYBILL_AUDIT__FILE", FULL)];
    let replica = world.start(name, &settings).await;
    replica.until_ready().await;
    replica.expecting("The audit log cannot be written, retrying")
}

/// What a record says, but for when and where from.
fn said(record: &Value) -> (&str, &Value, &str, u64) {
    let text = |name: &str| record[name].as_str().expect("a text");
    let status = record["status"].as_u64().unwrap_or_default();
    (text("action"), &record["targets"], text("outcome"), status)
}

#[tokio::test]
async fn every_look_at_an_order_or_a_reject_is_recorded() {
    let world = World::new().await;
    let replica = audited(&world, &[]).await;
    let (site, admin) = (format!("http://{}", replica.site), format!("http://{}", replica.admin));
    let lookup = r#"{"uids":["a","b c"]}"#;
    for (method, url, body) in [
        (Method::GET, format!("{site}/api/v1/orders/{MODEL_UID}"), ""),
        (Method::GET, format!("{site}/orders/nobody%2Dknows"), ""),
        (Method::GET, format!("{site}/api/v1/orders/a%20b"), ""),
        (Method::POST, format!("{site}/api/v1/orders/lookup"), lookup),
        (Method::GET, format!("{admin}/orders.json"), ""),
        (Method::GET, format!("{admin}/rejects"), ""),
        (Method::GET, format!("{admin}/rejects/1"), ""),
        (Method::PUT, format!("{admin}/log-filter"), "info"),
        // And these are not.
        (Method::GET, format!("{site}/"), ""),
        (Method::GET, format!("{site}/static/style.css"), ""),
        (Method::GET, format!("{admin}/metrics"), ""),
    ] {
        send(&replica, method, &url, &[], body).await;
    }
    let records = records(&log_file(&world));
    let said: Vec<_> = records.iter().map(said).collect();
    let (model, none) = (json!([MODEL_UID]), json!([]));
    let expected = [
        ("order.read", &model, "success", 200),
        ("order.read", &json!(["nobody-knows"]), "not_found", 404),
        ("order.read", &json!(["a b"]), "failed", 400),
        ("order.lookup", &json!(["a", "b c"]), "success", 200),
        ("order.list", &none, "success", 200),
        ("reject.list", &none, "success", 200),
        ("reject.read", &json!(["1"]), "success", 200),
        ("log_filter.change", &none, "success", 200),
    ];
    assert_eq!(said, expected);
    for record in &records {
        assert_eq!(record["address"], "127.0.0.1", "{record}");
        assert!(record["time"].as_str().expect("a time").ends_with('Z'), "{record}");
        assert!(record.get("subject").is_none(), "nobody had to say: {record}");
    }
    assert!(
        (replica.metric("waybill_audit_records_total{result=\"written\"}").await - 8.0).abs() < 0.1
    );
}

#[tokio::test]
async fn a_record_tells_whose_token_it_was_and_where_a_proxy_had_it_from() {
    let world = World::new().await;
    let tokens = tokens_file(&world);
    let settings = [
        ("WAYBILL_ACCESS__MODE", "tokens"),
        ("WAYBILL_ACCESS__TOKENS_FILE", tokens.as_str()),
        ("WAYBILL_AUDIT__TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let replica = audited(&world, &settings).await;
    let url = format!("http://{}/api/v1/orders/{MODEL_UID}", replica.site);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for token in [ORDERS, MASKED, "unknown"] {
        let bearer = format!("Bearer {token}");
        let fields = [
            ("authorization", bearer.as_str()),
            ("x-forwarded-for", "203.0.113.9, 198.51.100.7"),
            ("traceparent", trace),
        ];
        send(&replica, Method::GET, &url, &fields, "").await;
    }
    let told: Vec<_> = records(&log_file(&world))
        .into_iter()
        .map(|record| {
            assert_eq!(record["address"], "198.51.100.7");
            assert_eq!(record["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
            (record["subject"].clone(), record["masked"].clone(), record["outcome"].clone())
        })
        .collect();
    let named = |token: &str| json!(format!("the {token}"));
    let expected = [
        (named(ORDERS), Value::Null, json!("success")),
        (named(MASKED), json!(true), json!("success")),
        (Value::Null, Value::Null, json!("denied")),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_refused_and_nothing_of_it_shown() {
    let world = World::new().await;
    let replica = unrecorded(&world, "unrecorded").await;
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    world.until_drained().await;
    let refused = replica.order(MODEL_UID).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    let problem: Value = serde_json::from_slice(&refused.body).expect("JSON");
    assert_eq!(problem["type"], "/problems/not-recorded");
    assert!(refused.headers.contains_key("retry-after"));
    assert!(!refused.text().contains("Test Testov"), "{}", refused.text());
    let page = replica.get("/").await;
    assert_eq!(page.status, StatusCode::OK, "what is not recorded is answered");
    assert!(replica.metric("waybill_audit_records_total{result=\"refused\"}").await >= 1.0);
    assert!(replica.metric("waybill_audit_write_failures_total").await >= 1.0);
}

#[tokio::test]
async fn records_may_be_dropped_where_answers_count_more() {
    let world = World::new().await;
    let settings = [
        ("WAYBILL_AUDIT__FILE", FULL),
        ("WAYBILL_AUDIT__ON_OVERFLOW", "drop"),
        ("WAYBILL_AUDIT__QUEUE_RECORDS", "1"),
    ];
    let replica = audited(&world, &settings).await;
    let replica = replica.expecting("The audit log cannot be written, retrying");
    // One is being written and one waits.
    for _ in 0..4 {
        assert_eq!(replica.order(MODEL_UID).await.status, StatusCode::OK);
    }
    assert!(replica.metric("waybill_audit_records_total{result=\"dropped\"}").await >= 1.0);
}

#[tokio::test]
async fn no_record_of_an_answer_is_lost_by_kill_9() {
    let world = World::new().await;
    let mut replica = audited(&world, &[]).await;
    let answered = 200;
    for number in 0..answered {
        assert_eq!(replica.order(&format!("unknown-{number}")).await.status, StatusCode::NOT_FOUND);
    }
    replica.process.kill().expect("killed");
    let recorded = records(&log_file(&world));
    assert_eq!(recorded.len(), answered);
    assert_eq!(recorded[answered - 1]["targets"], json!([format!("unknown-{}", answered - 1)]));
}

#[tokio::test]
async fn a_file_that_is_rotated_away_is_made_anew_and_only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let world = World::new().await;
    let replica = audited(&world, &[]).await;
    replica.order("before").await;
    let (file, rotated) = (log_file(&world), world.path().join("audit.jsonl.1"));
    fs::rename(&file, &rotated).expect("rotated");
    replica.order("after").await;
    assert_eq!(records(&rotated)[0]["targets"], json!(["before"]));
    assert_eq!(records(&file)[0]["targets"], json!(["after"]));
    assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_stop_in_order_writes_what_waits() {
    let world = World::new().await;
    let settings = [("WAYBILL_AUDIT__ON_OVERFLOW", "block")];
    let mut replica = audited(&world, &settings).await;
    let lookups = (0..100).map(|number| {
        let (replica, uid) = (&replica, format!("unknown-{number}"));
        async move { replica.order(&uid).await.status }
    });
    futures_util::future::join_all(lookups).await;
    assert_eq!(replica.stop().await, Some(0));
    assert_eq!(records(&log_file(&world)).len(), 100);
}

#[tokio::test]
async fn records_in_postgres_are_added_and_no_more() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let replica = world.start("audited", &[("WAYBILL_AUDIT__TARGET", "postgres")]).await;
    replica.until_ready().await;
    world.publish_raw([order("shown")]).await;
    world.until_drained().await;
    assert_eq!(replica.order("shown").await.status, StatusCode::OK);
    let asked = "select record->>'action' || ' ' || (record->>'outcome') from audit_records \
                 where record->'targets' ? 'shown'";
    assert_eq!(world.sql(postgres, asked).await.trim(), "order.read success");
}

#[tokio::test]
async fn commands_that_reveal_or_change_are_recorded_before_and_after() {
    let world = World::new().await;
    let _replica = audited(&world, &[]).await;
    let file = log_file(&world);
    let mark = records(&file).len();
    let set = format!("audit.file={}", file.display());
    let audit = ["--set", "audit.target=file", "--set", set.as_str()];
    let run = async |command: &[&str]| world.run(&[command, &audit[..]].concat()).await;
    assert_eq!(run(&["rejects", "show", "1"]).await.0, 0);
    assert_eq!(run(&["rejects", "show", "999"]).await.0, 1);
    assert_eq!(run(&["rejects", "list"]).await.0, 0);
    let prune = ["rejects", "prune", "--reason", "not_json", "--all", "--yes"];
    assert_eq!(run(&prune).await.0, 0);
    let records = records(&file);
    let said: Vec<_> = records[mark..].iter().map(said).collect();
    let (one, none) = (json!(["1"]), json!(["999"]));
    let chosen = json!(["reason=not_json"]);
    let expected = [
        ("reject.read", &one, "attempted", 0),
        ("reject.read", &one, "success", 0),
        ("reject.read", &none, "attempted", 0),
        ("reject.read", &none, "failed", 0),
        ("reject.prune", &chosen, "attempted", 0),
        ("reject.prune", &chosen, "success", 0),
    ];
    assert_eq!(said, expected);
    for record in &records[mark..] {
        assert!(record["subject"].as_str().expect("a user").starts_with("uid "), "{record}");
    }
}

#[tokio::test]
async fn a_command_that_cannot_be_recorded_does_nothing() {
    let world = World::new().await;
    let _replica = audited(&world, &[]).await;
    let full = ["--set", "audit.target=file", "--set", "audit.file=/dev/full"];
    let show = [&["rejects", "show", "1"], &full[..]].concat();
    let (code, shown, error) = world.run(&show).await;
    assert_eq!((code, shown.as_str()), (1, ""), "{error}");
    assert!(error.contains("this cannot be recorded in the audit log"), "{error}");
    let prune = [&["rejects", "prune", "--all", "--yes"], &full[..]].concat();
    assert_eq!(world.run(&prune).await.0, 1);
    let (_, listed, _) = world.run(&["rejects", "list"]).await;
    assert!(listed.contains("not_json"), "it is still there: {listed}");
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_told_at_the_start() {
    let world = World::new().await;
    let set = ["--set", "audit.target=file", "--set", "audit.file=/no/such/folder/audit.jsonl"];
    let (code, _, error) = world.run(&[&["serve"], &set[..]].concat()).await;
    assert_eq!(code, 64, "{error}");
    assert!(error.contains("`audit.file` /no/such/folder/audit.jsonl"), "{error}");
    let (code, _, error) = world.run(&["serve", "--set", "audit.target=file"]).await;
    assert_eq!(code, 64, "{error}");
    assert!(error.contains("audit.file"), "{error}");
}
