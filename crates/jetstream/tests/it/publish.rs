//! Each outcome of a publish.

use std::time::Duration;

use futures_util::FutureExt as _;
use jetstream::{Connection, ErrorKind, PublishError, Publisher, Stored, Terms};
use testbed::{Direction, NatsOptions, NatsServer};

use crate::harness::{api, behind_proxy, connect, options, server, stream_config, url, workers};

async fn publisher(server: &NatsServer) -> Publisher {
    let connection = connect(&server.url()).await;
    connection.ensure(&workers()).await.expect("a stream");
    connection.publisher("orders").await.expect("a publisher")
}

async fn publish(
    publisher: &Publisher,
    data: &'static str,
    terms: Terms<'_>,
) -> Result<Stored, PublishError> {
    publisher.publish(data.into(), terms).await?.await
}

fn place(stored: &Stored) -> (u64, bool) {
    (stored.sequence, stored.duplicate)
}

#[tokio::test]
async fn messages_get_their_numbers_and_one_with_a_known_id_that_of_the_first() {
    let server = server().await;
    let publisher = publisher(&server).await;
    let id = |id| Terms { message_id: Some(id), ..Terms::default() };
    let first = publish(&publisher, "a", id("a")).await.expect("stored");
    let second = publish(&publisher, "b", Terms::default()).await.expect("stored");
    let again = publish(&publisher, "a", id("a")).await.expect("known");
    assert_eq!([place(&first), place(&second), place(&again)], [(1, false), (2, false), (1, true)]);
    let error = publish(&publisher, "a", id("two\r\nlines")).await.expect_err("no header");
    assert!(matches!(error, PublishError::Invalid(_)), "{error}");
}

#[tokio::test]
async fn a_message_is_stored_only_after_the_sequence_that_it_is_to_follow() {
    let server = server().await;
    let publisher = publisher(&server).await;
    let after = |sequence| Terms { expected_last_sequence: Some(sequence), ..Terms::default() };
    assert_eq!(publish(&publisher, "a", after(0)).await.map(|it| it.sequence), Ok(1));
    assert_eq!(publish(&publisher, "b", after(1)).await.map(|it| it.sequence), Ok(2));
    let wrong = publish(&publisher, "b", after(1)).await;
    assert_eq!(wrong, Err(PublishError::WrongLastSequence(2)));
    let stream = connect(&server.url()).await.stream("ORDERS").expect("a name");
    assert_eq!(stream.info().await.expect("info").messages, 2);
}

#[tokio::test]
async fn without_a_stream_a_publish_fails_at_once() {
    let server = server().await;
    let publisher = connect(&server.url()).await.publisher("orders").await.expect("a publisher");
    let error = publish(&publisher, "a", Terms::default()).await.expect_err("no stream");
    assert_eq!((&error, error.kind()), (&PublishError::NoStream, ErrorKind::Retryable));
    let invalid = connect(&server.url()).await.publisher("orders.>").await;
    assert!(invalid.is_err(), "no subject to publish to");
}

#[tokio::test]
async fn a_full_stream_and_too_large_a_message_are_told_apart() {
    let options = NatsOptions {
        configuration: Some("max_payload: 1000".to_owned()),
        ..NatsOptions::default()
    };
    let server = NatsServer::start(options).await.expect("a server");
    let mut config = stream_config();
    config["max_msgs"] = 1.into();
    config["max_msg_size"] = 500.into();
    api(&server.url(), "STREAM.CREATE.ORDERS", config).await;
    let publisher = connect(&server.url()).await.publisher("orders").await.expect("a publisher");
    let sized = async |size: usize| {
        publisher.publish("x".repeat(size).into(), Terms::default()).await.expect("queued").await
    };
    let too_large = PublishError::TooLarge { size_bytes: 1_001, limit_bytes: 1_000 };
    assert_eq!(sized(1_001).await, Err(too_large));
    let refused = sized(501).await.expect_err("larger than the stream takes");
    assert_eq!(refused.kind(), ErrorKind::Permanent);
    assert!(matches!(refused, PublishError::Refused { code: 10054, .. }), "{refused}");
    sized(1).await.expect("stored");
    let full = sized(1).await.expect_err("full");
    assert!(matches!(full, PublishError::Full { code: 10077, .. }), "{full}");
}

#[tokio::test]
async fn an_ack_that_is_swallowed_ends_by_time_and_a_lost_link_is_told_at_once() {
    let (server, mut proxy) = behind_proxy().await;
    connect(&server.url()).await.ensure(&workers()).await.expect("a stream");
    let mut options = options(&url(&proxy));
    options.pub_ack_timeout = Duration::from_secs(2);
    let connection = Connection::connect(options).await.expect("a connection");
    let publisher = connection.publisher("orders").await.expect("a publisher");
    publish(&publisher, "a", Terms::default()).await.expect("stored");
    proxy.black_hole(Direction::ToClient);
    let error = publish(&publisher, "b", Terms::default()).await.expect_err("no answer");
    assert_eq!(error, PublishError::Timeout(Duration::from_secs(2)));
    assert!(error.may_be_stored());
    let stream = connect(&server.url()).await.stream("ORDERS").expect("a name");
    assert_eq!(stream.info().await.expect("info").messages, 2, "it is");
    proxy.cut().await;
    testbed::eventually("the loss", Duration::from_secs(20), async || {
        let outcome = publish(&publisher, "c", Terms::default()).await;
        (outcome == Err(PublishError::Disconnected)).then_some(())
    })
    .await;
    proxy.heal().await.expect("healed");
    testbed::eventually("the link", Duration::from_secs(20), async || {
        publish(&publisher, "d", Terms::default()).await.ok()
    })
    .await;
}

#[tokio::test]
async fn the_window_holds_back_what_is_above_it_and_a_dropped_publisher_ends_what_waits() {
    let (server, proxy) = behind_proxy().await;
    connect(&server.url()).await.ensure(&workers()).await.expect("a stream");
    let mut options = options(&url(&proxy));
    options.max_pub_acks_in_flight = 2;
    let connection = Connection::connect(options).await.expect("a connection");
    let publisher = connection.publisher("orders").await.expect("a publisher");
    proxy.black_hole(Direction::ToServer);
    let first = publisher.publish("a".into(), Terms::default()).await.expect("sent");
    let _second = publisher.publish("b".into(), Terms::default()).await.expect("sent");
    let third = publisher.publish("c".into(), Terms::default()).now_or_never();
    assert!(third.is_none(), "the window is full");
    drop(publisher);
    assert_eq!(first.await, Err(PublishError::ConnectionClosed));
}
