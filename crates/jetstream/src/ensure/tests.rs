//! What is refused, without a server.

use serde_json::Value;

use super::*;

fn options() -> ConsumerOptions {
    ConsumerOptions::new("ORDERS", "orders", "waybill")
}

fn good_stream() -> Value {
    json!({
        "subjects": ["orders"], "retention": "limits", "storage": "file", "discard": "new",
        "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_msgs_per_subject": -1,
    })
}

fn good_consumer() -> Value {
    json!({ "ack_policy": "explicit", "max_deliver": -1, "filter_subject": "orders" })
}

fn changed<T: serde::de::DeserializeOwned>(mut good: Value, setting: &str, value: Value) -> T {
    good[setting] = value;
    serde_json::from_value(good).expect("a configuration")
}

#[test]
fn a_stream_that_could_lose_messages_is_refused_with_the_setting() {
    let judge = |setting: &str, value: Value| {
        judge_stream(&changed(good_stream(), setting, value), &options().stream_options())
    };
    for (setting, value) in [
        ("subjects", json!(["orders"])),
        ("subjects", json!(["invoices", "*"])),
        ("subjects", json!([">"])),
        ("max_msgs_per_subject", json!(0)),
        ("num_replicas", json!(3)),
    ] {
        assert!(judge(setting, value.clone()).is_ok(), "{setting} {value}");
    }
    for (setting, value, text) in [
        ("retention", json!("workqueue"), "retention = workqueue, which must be limits"),
        ("storage", json!("memory"), "storage = memory, which must be file"),
        ("discard", json!("old"), "discard = old, which must be new"),
        ("max_msgs", json!(9), "max_msgs = 9, which must be -1, no limit"),
        ("max_bytes", json!(9), "max_bytes = 9, which must be -1, no limit"),
        ("max_age", json!(9), "max_age = 9 ns, which must be 0, no limit"),
        ("max_msgs_per_subject", json!(9), "max_msgs_per_subject = 9, which must be -1, no limit"),
        ("subjects", json!(["orders.*", "x"]), "subjects = orders.*, x, which must be such that"),
    ] {
        let error = judge(setting, value).expect_err(setting).to_string();
        assert!(error.starts_with(&format!("stream ORDERS has {text}")), "{error}");
    }
}

#[test]
fn a_stream_that_may_be_purged_or_lacks_a_subject_is_refused_where_that_matters() {
    let mut wanted = StreamOptions::new("ORDERS", &["orders", "gaps"]);
    wanted.deny_purge = true;
    let judge = |setting: &str, value: Value| {
        let mut good = good_stream();
        good["subjects"] = json!(["orders", "gaps"]);
        good["deny_purge"] = json!(true);
        let judged = judge_stream(&changed(good, setting, value), &wanted);
        judged.err().map(|error| error.to_string())
    };
    assert_eq!(judge("max_msgs", json!(-1)), None);
    let text = "stream ORDERS has deny_purge = false, which must be true";
    assert_eq!(judge("deny_purge", json!(false)).as_deref(), Some(text));
    let text = "stream ORDERS has subjects = orders, which must be such that gaps is one of them";
    assert_eq!(judge("subjects", json!(["orders"])).as_deref(), Some(text));
}

#[test]
fn a_consumer_that_could_lose_messages_is_refused_with_the_setting() {
    let stream: StreamConfig = serde_json::from_value(good_stream()).expect("a configuration");
    let judge = |setting: &str, value: Value| {
        judge_consumer(&changed(good_consumer(), setting, value), &stream, &options())
    };
    for (setting, value) in [
        ("filter_subject", json!("orders")),
        ("filter_subject", json!("")),
        ("max_ack_pending", json!(1)),
    ] {
        assert!(judge(setting, value.clone()).is_ok(), "{setting} {value}");
    }
    for (setting, value, text) in [
        ("ack_policy", json!("all"), "ack_policy = all, which must be explicit"),
        ("max_deliver", json!(5), "max_deliver = 5, which must be -1, no limit"),
        ("deliver_subject", json!("x"), "deliver_subject = x, which must be none: it is pulled"),
        ("deliver_group", json!("x"), "deliver_group = x, which must be none: it is pulled"),
        ("headers_only", json!(true), "headers_only = true, which must be false"),
        ("filter_subject", json!("new"), "filter_subject = new, which must be orders"),
        ("filter_subjects", json!(["new"]), "filter_subject = new, orders, which must be orders"),
    ] {
        let error = judge(setting, value).expect_err(setting).to_string();
        assert_eq!(error, format!("consumer waybill has {text}"));
    }
    let several = StreamConfig { subjects: vec!["orders".into(), "x".into()], ..stream };
    let unfiltered: ConsumerConfig = changed(good_consumer(), "filter_subject", json!(""));
    let error = judge_consumer(&unfiltered, &several, &options()).expect_err("takes others too");
    assert_eq!(error.to_string(), "consumer waybill has filter_subject = , which must be orders");
}
