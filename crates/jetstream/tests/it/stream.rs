//! A stream as it is measured, read and deleted from.

use futures_util::{StreamExt as _, TryStreamExt as _};
use jetstream::{Error, StoredMessage, Stream, StreamOptions, Terms};
use serde_json::{Value, json};
use testbed::NatsServer;

use crate::harness::{
    ack_all, api, connect, live, nats, numbered, publish, server, take_many, until_acked, workers,
};

async fn stream(server: &NatsServer) -> Stream {
    let connection = connect(&server.url()).await;
    connection.ensure(&workers()).await.expect("a stream");
    connection.stream("ORDERS").expect("a name")
}

#[tokio::test]
async fn what_is_stored_is_read_in_order_without_what_was_deleted() {
    let server = server().await;
    let stream = stream(&server).await;
    publish(&server.url(), numbered(1..1_001)).await;
    for sequence in [1, 7, 8, 1_000] {
        assert!(stream.delete(sequence).await.expect("deleted"));
        assert!(!stream.delete(sequence).await.expect("gone"));
    }
    assert!(!stream.delete(5_000).await.expect("never there"));
    let read: Vec<StoredMessage> = stream.read(1..=1_000).try_collect().await.expect("read");
    let expected = (2..1_000).filter(|sequence| ![7, 8].contains(sequence));
    assert!(read.iter().map(|message| message.sequence).eq(expected));
    assert_eq!(&read[0].data[..], b"message 2");
    assert_eq!(read[0].subject, "orders");
    assert!(read.windows(2).all(|pair| pair[0].timestamp <= pair[1].timestamp));
    assert_eq!(stream.get(7).await.expect("an answer"), None);
    let info = stream.info().await.expect("info");
    assert_eq!((info.first_sequence, info.last_sequence), (2, 1_000));
    assert_eq!((info.messages, info.deleted), (996, 3), "the first left no gap");
    assert_eq!(info.subjects, ["orders"]);
}

/// Its time is that of its delivery, and it may be as large as the server takes.
#[tokio::test]
async fn a_large_message_is_read_whole_and_as_it_is_delivered() {
    let server = server().await;
    let stream = stream(&server).await;
    let large: Vec<u8> = (0..1_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let publisher = connect(&server.url()).await.publisher("orders").await.expect("a publisher");
    let terms = Terms { message_id: Some("large"), ..Terms::default() };
    let sent = publisher.publish(large.clone().into(), terms).await.expect("sent");
    sent.await.expect("stored");
    let stored = stream.get(1).await.expect("an answer").expect("a message");
    assert!(stored.data == large, "{} bytes", stored.data.len());
    let session = live(&server.url(), workers()).await;
    let delivered = take_many(&session.messages(), 1).await;
    assert_eq!((delivered[0].timestamp, &delivered[0].data), (stored.timestamp, &stored.data));
}

#[tokio::test]
async fn a_consumers_progress_is_told_exactly() {
    let server = server().await;
    let stream = stream(&server).await;
    publish(&server.url(), numbered(0..10)).await;
    // The server counts a message for its consumers after it has confirmed it.
    testbed::eventually("ten messages", crate::harness::PATIENCE, async || {
        let info = stream.consumer_info("workers").await.ok()?;
        ((info.delivered, info.ack_floor, info.num_pending) == (0, 0, 10)).then_some(())
    })
    .await;
    let session = live(&server.url(), workers()).await;
    let mut taken = take_many(&session.messages(), 10).await;
    let held = taken.split_off(4);
    ack_all(taken);
    testbed::eventually("four acks", crate::harness::PATIENCE, async || {
        let info = stream.consumer_info("workers").await.ok()?;
        (info.num_ack_pending == 6).then_some(())
    })
    .await;
    let after = stream.consumer_info("workers").await.expect("info");
    assert_eq!((after.delivered, after.ack_floor, after.num_pending), (10, 4, 0));
    ack_all(held);
    until_acked(&server.url(), 10).await;
}

#[tokio::test]
async fn what_is_not_there_is_told_so() {
    let server = server().await;
    let connection = connect(&server.url()).await;
    let none = connection.stream("NONE").expect("a name");
    for error in [
        none.info().await.expect_err("no stream"),
        none.delete(1).await.expect_err("no stream"),
        none.get(1).await.expect_err("no stream"),
        none.read(1..=3).next().await.expect("an item").expect_err("no stream"),
    ] {
        assert!(matches!(error, Error::Refused { code: 10059, .. }), "{error}");
    }
    assert_eq!(none.read(1..=3).count().await, 1, "it ends with the error");
    let orders = stream(&server).await;
    let error = orders.consumer_info("nobody").await.expect_err("no consumer");
    assert!(matches!(error, Error::Refused { code: 10014, .. }), "{error}");
    assert!(connection.stream("a.b").is_err());
}

/// Where the first sequence is a given one, the first message has it; what the options say of a
/// stream that is there already is not made so.
#[tokio::test]
async fn a_stream_begins_with_the_sequence_that_it_is_made_with_and_cannot_be_purged() {
    let server = server().await;
    let connection = connect(&server.url()).await;
    let mut options = StreamOptions::new("ARCHIVE", &["archive", "archive.gap"]);
    (options.first_sequence, options.deny_purge) = (1_001, true);
    let made = connection.ensure_stream(&options).await.expect("made");
    assert_eq!((made.first_sequence, made.last_sequence, made.messages), (1_001, 1_000, 0));
    let messages = connection.publisher("archive").await.expect("a publisher");
    let gaps = connection.publisher("archive.gap").await.expect("a publisher");
    for (publisher, last) in [(&messages, 1_000), (&gaps, 1_001), (&messages, 1_002)] {
        let terms = Terms { expected_last_sequence: Some(last), ..Terms::default() };
        let stored = publisher.publish("x".into(), terms).await.expect("sent").await;
        assert_eq!(stored.map(|stored| stored.sequence), Ok(last + 1));
    }
    let stream = connection.stream("ARCHIVE").expect("a name");
    let next = async |subject, from| {
        let next = stream.next_of(subject, from).await.expect("an answer");
        next.map(|message| message.sequence)
    };
    assert_eq!(next("archive", 1_002).await, Some(1_003));
    assert_eq!(next("archive.gap", 0).await, Some(1_002));
    assert_eq!(next("archive.gap", 1_003).await, None);
    options.first_sequence = 5;
    let there = connection.ensure_stream(&options).await.expect("taken as it is");
    assert_eq!((there.first_sequence, there.last_sequence), (1_001, 1_003));
    let purge = nats(&server.url()).await.request("$JS.API.STREAM.PURGE.ARCHIVE", "".into()).await;
    let purge: Value = serde_json::from_slice(&purge.expect("an answer").payload).expect("JSON");
    assert!(purge["error"].is_object(), "{purge}");
    assert_eq!(stream.info().await.expect("info").messages, 3);
}

#[tokio::test]
async fn a_stream_that_may_be_purged_is_refused_where_it_must_not_be() {
    let server = server().await;
    let mut config = crate::harness::stream_config();
    config["deny_purge"] = json!(false);
    api(&server.url(), "STREAM.CREATE.ORDERS", config).await;
    let mut options = StreamOptions::new("ORDERS", &["orders"]);
    let connection = connect(&server.url()).await;
    connection.ensure_stream(&options).await.expect("suits");
    options.deny_purge = true;
    let error = connection.ensure_stream(&options).await.expect_err("may be purged");
    assert!(matches!(error, Error::Unsuitable { setting: "deny_purge", .. }), "{error}");
}
