//! A stream as it is measured, read and deleted from.

use futures_util::{StreamExt as _, TryStreamExt as _};
use jetstream::{Error, StoredMessage, Stream, Terms};
use testbed::NatsServer;

use crate::harness::{
    ack_all, connect, live, numbered, publish, server, take_many, until_acked, workers,
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
