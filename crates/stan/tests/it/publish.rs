//! Publishing: each message has exactly one outcome, and only the server's word counts.

use std::time::{Duration, Instant};

use stan::{Connection, PublishError};
use testbed::eventually;

use crate::bench::{PATIENCE, broker, forgetful_broker, options};

#[tokio::test]
async fn an_acknowledged_message_is_stored() {
    let broker = broker().await;
    let connection = Connection::connect(options(&broker.url(), "publisher")).await.expect("open");
    connection.publish("orders", "one".into()).await.expect("acknowledged");
    assert_eq!(broker.channel("orders").await.expect("state").last_seq, 1);
    connection.close().await.expect("closed");
    assert!(broker.clients().await.expect("clients").is_empty());
}

#[tokio::test]
async fn a_second_client_under_a_live_id_gets_the_servers_refusal() {
    let broker = broker().await;
    let first = Connection::connect(options(&broker.url(), "same")).await.expect("open");
    let second = Connection::connect(options(&broker.url(), "same")).await.expect_err("taken");
    assert!(second.to_string().contains("clientID already registered"), "{second}");
    first.publish("orders", "still mine".into()).await.expect("acknowledged");
}

#[tokio::test]
async fn a_wrong_cluster_id_is_named_at_once() {
    let broker = broker().await;
    let mut wrong = options(&broker.url(), "publisher");
    wrong.cluster_id = "elsewhere".to_owned();
    let began = Instant::now();
    let error = Connection::connect(wrong).await.expect_err("nobody answers");
    assert!(error.to_string().contains("cluster id wrong"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(1), "a 503 must not cost the time-out");
}

#[tokio::test]
async fn an_illegal_channel_is_refused_in_the_servers_words() {
    let broker = broker().await;
    let connection = Connection::connect(options(&broker.url(), "publisher")).await.expect("open");
    let error = connection.publish("orders.>", "x".into()).await.expect_err("illegal");
    assert!(matches!(&error, PublishError::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_message_over_the_servers_limit_is_refused_before_it_is_sent() {
    let broker = broker().await;
    let connection = Connection::connect(options(&broker.url(), "publisher")).await.expect("open");
    let error = connection.publish("orders", vec![b'x'; 1 << 20].into()).await.expect_err("large");
    assert!(matches!(error, PublishError::TooLarge { limit_bytes: 1_048_576, .. }), "{error}");
    connection.publish("orders", "small".into()).await.expect("the link still stands");
}

#[tokio::test]
async fn every_publish_has_an_outcome_when_time_is_too_short() {
    let broker = broker().await;
    let mut hasty = options(&broker.url(), "publisher");
    hasty.pub_ack_timeout = Duration::from_millis(1);
    let connection = Connection::connect(hasty).await.expect("open");
    let (mut stored, mut late) = (0, 0);
    let mut acks = Vec::new();
    for n in 0..2_000 {
        match connection.publish_async("orders", n.to_string().into()).await {
            Ok(ack) => acks.push(ack),
            Err(error) => panic!("{error}"),
        }
    }
    for ack in acks {
        match ack.await {
            Ok(()) => stored += 1,
            Err(PublishError::Timeout(_) | PublishError::Disconnected) => late += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(stored + late, 2_000);
    assert!(late > 0, "1 ms was enough for all: the test proves nothing");
}

#[tokio::test]
async fn a_window_of_one_holds_the_second_publish_back() {
    let broker = broker().await;
    let mut narrow = options(&broker.url(), "publisher");
    narrow.max_pub_acks_in_flight = 1;
    let connection = Connection::connect(narrow).await.expect("open");
    for n in 0..20 {
        let first = connection.publish_async("orders", format!("{n}a").into()).await.expect("sent");
        // It gets its place only when the first is acknowledged.
        let second =
            connection.publish_async("orders", format!("{n}b").into()).await.expect("sent");
        first.await.expect("acknowledged before the second was sent");
        second.await.expect("acknowledged");
    }
}

#[tokio::test]
async fn publishing_to_a_server_that_forgot_us_is_refused_and_the_loss_is_noticed() {
    let mut broker = forgetful_broker().await;
    let connection = Connection::connect(options(&broker.url(), "publisher")).await.expect("open");
    broker.kill().expect("killed");
    broker.start_again().await.expect("started again");
    let state = connection.state();
    eventually("the loss is noticed by a ping", PATIENCE, async || {
        matches!(*state.borrow(), stan::connection::ConnectionState::Lost(_)).then_some(())
    })
    .await;
    let error = connection.publish("orders", "late".into()).await.expect_err("lost");
    assert_eq!(error, PublishError::ConnectionClosed);
}
