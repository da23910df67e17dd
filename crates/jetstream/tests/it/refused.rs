//! Streams and consumers that are there and could lose messages.

use jetstream::{Error, ErrorKind, SessionState};
use serde_json::{Value, json};

use crate::harness::{
    api, connect, consumer_config, live, numbered, publish, server, session, stream_config, take,
    until, until_live, workers,
};

/// What is refused, and with which setting.
async fn refusal(url: &str) -> Option<(&'static str, String)> {
    match connect(url).await.ensure(&workers()).await {
        Ok(()) => None,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Permanent, "{error}");
            let Error::Unsuitable { setting, is, .. } = error else { panic!("{error}") };
            Some((setting, is))
        }
    }
}

#[tokio::test]
async fn a_stream_of_each_unsuitable_kind_is_refused_by_the_name_of_its_setting() {
    let server = server().await;
    let url = server.url();
    for (setting, value, is) in [
        ("storage", json!("memory"), "memory"),
        ("retention", json!("workqueue"), "workqueue"),
        ("retention", json!("interest"), "interest"),
        ("discard", json!("old"), "old"),
        ("max_msgs", json!(1_000), "1000"),
        ("max_bytes", json!(1_000_000), "1000000"),
        ("max_age", json!(3_600_000_000_000_u64), "3600000000000 ns"),
        ("max_msgs_per_subject", json!(5), "5"),
        ("subjects", json!(["invoices"]), "invoices"),
    ] {
        let mut config = stream_config();
        config[setting] = value;
        api(&url, "STREAM.CREATE.ORDERS", config).await;
        assert_eq!(refusal(&url).await, Some((setting, is.to_owned())));
        api(&url, "STREAM.DELETE.ORDERS", Value::Null).await;
    }
    api(&url, "STREAM.CREATE.ORDERS", stream_config()).await;
    assert_eq!(refusal(&url).await, None);
}

#[tokio::test]
async fn a_consumer_of_each_unsuitable_kind_is_refused_by_the_name_of_its_setting() {
    let server = server().await;
    let url = server.url();
    api(&url, "STREAM.CREATE.ORDERS", stream_config()).await;
    for (setting, value, is) in [
        ("ack_policy", json!("none"), "none"),
        ("ack_policy", json!("all"), "all"),
        ("max_deliver", json!(7), "7"),
        ("deliver_subject", json!("pushed"), "pushed"),
        ("headers_only", json!(true), "true"),
    ] {
        let mut config = consumer_config();
        config[setting] = value;
        let request = json!({ "stream_name": "ORDERS", "config": config });
        api(&url, "CONSUMER.CREATE.ORDERS.workers.orders", request).await;
        assert_eq!(refusal(&url).await, Some((setting, is.to_owned())));
        api(&url, "CONSUMER.DELETE.ORDERS.workers", Value::Null).await;
    }
    let mut other = stream_config();
    other["subjects"] = json!(["orders", "invoices"]);
    api(&url, "STREAM.UPDATE.ORDERS", other).await;
    let mut config = consumer_config();
    config["filter_subject"] = "invoices".into();
    let request = json!({ "stream_name": "ORDERS", "config": config });
    api(&url, "CONSUMER.CREATE.ORDERS.workers.invoices", request).await;
    assert_eq!(refusal(&url).await, Some(("filter_subject", "invoices".to_owned())));
}

/// A session tells what is wrong, and goes on when that is put right.
#[tokio::test]
async fn a_session_waits_until_its_stream_is_put_right() {
    let server = server().await;
    let url = server.url();
    let mut config = stream_config();
    config["max_msgs"] = 10.into();
    api(&url, "STREAM.CREATE.ORDERS", config).await;
    let session = session(&url, workers()).await;
    let state = until(&session, |state| matches!(state, SessionState::Retrying(_))).await;
    let text = "stream ORDERS has max_msgs = 10, which must be -1, no limit";
    assert_eq!(state, SessionState::Retrying(text.to_owned()));
    api(&url, "STREAM.UPDATE.ORDERS", stream_config()).await;
    until_live(&session).await;
    publish(&url, numbered(0..1)).await;
    take(&session.messages()).await.ack();
}

#[tokio::test]
async fn what_is_there_and_loses_nothing_is_taken_as_it_is() {
    let server = server().await;
    let url = server.url();
    api(&url, "STREAM.CREATE.ORDERS", stream_config()).await;
    let mut config = consumer_config();
    config["ack_wait"] = 7_000_000_000_u64.into();
    config["max_ack_pending"] = 3.into();
    let request = json!({ "stream_name": "ORDERS", "config": config });
    api(&url, "CONSUMER.CREATE.ORDERS.workers.orders", request).await;
    let session = live(&url, workers()).await;
    let consumer = api(&url, "CONSUMER.INFO.ORDERS.workers", Value::Null).await;
    assert_eq!(consumer["config"]["max_ack_pending"], 3);
    assert_eq!(consumer["config"]["ack_wait"], 7_000_000_000_u64);
    session.close().await;
}

#[tokio::test]
async fn members_that_begin_at_once_agree_on_one_consumer() {
    let server = server().await;
    let url = server.url();
    let begin = || live(&url, workers());
    let sessions = tokio::join!(begin(), begin(), begin(), begin());
    publish(&url, numbered(0..1)).await;
    let sessions = [sessions.0, sessions.1, sessions.2, sessions.3];
    for session in sessions {
        assert_eq!(session.monitor().stats().session_rebuilds, 0);
        session.close().await;
    }
}
