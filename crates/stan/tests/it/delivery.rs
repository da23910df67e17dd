//! Delivery to one subscription: its window, its acks, its buffer and their order.

use std::time::Duration;

use stan::{PublishError, StartPosition, SubscriptionOptions};
use testbed::eventually;

use crate::harness::{
    PATIENCE, ack_all, broker, connect, eventually_pending, numbered, pending, publish, sequences,
    take, take_many,
};

fn durable() -> SubscriptionOptions {
    let mut options = SubscriptionOptions::plain("orders");
    options.durable_name = Some("mine".to_owned());
    options.start_position = StartPosition::First;
    options
}

/// `TestManualAck`.
#[tokio::test]
async fn without_acks_exactly_the_window_arrives_and_acks_let_the_rest_through() {
    let broker = broker().await;
    publish(&broker, numbered(0..25)).await;
    let connection = connect(&broker, "subscriber").await;
    let mut narrow = durable();
    narrow.max_in_flight = 10;
    let subscription = connection.subscribe(narrow).await.expect("subscribed");
    let messages = subscription.messages();
    let held = take_many(&messages, 10).await;
    let channel = broker.channel("orders").await.expect("state");
    let server_side = &channel.subscriptions[0];
    assert!(server_side.is_stalled, "{server_side:?}");
    assert_eq!((server_side.last_sent, server_side.pending_count), (10, 10));
    assert_eq!(subscription.depth().messages, 0);
    ack_all(held);
    ack_all(take_many(&messages, 10).await);
    ack_all(take_many(&messages, 5).await);
    eventually_pending(&broker, "all is acked", 0).await;
    assert_eq!(subscription.stats().delivered, 25);
    connection.close().await.expect("closed");
}

/// In place of "an ack in auto mode is an error": there is no such mode. Nothing is acked by
/// being taken, handled or dropped; and a second ack does not compile, see [`stan::Message::ack`].
#[tokio::test]
async fn nothing_is_acknowledged_by_itself() {
    let broker = broker().await;
    publish(&broker, numbered(0..10)).await;
    let connection = connect(&broker, "subscriber").await;
    let subscription = connection.subscribe(durable()).await.expect("subscribed");
    drop(take_many(&subscription.messages(), 10).await);
    assert_eq!(subscription.depth().in_hand, 0);
    subscription.close().await.expect("closed, and acks before it are counted");
    assert_eq!((subscription.stats().acks, pending(&broker).await), (0, 10));
    connection.close().await.expect("closed");
    assert_eq!(pending(&broker).await, 10);
}

/// `TestRedelivery` and `TestRedeliveredFlag`.
#[tokio::test]
async fn only_what_is_not_acked_comes_again_and_says_so() {
    let broker = broker().await;
    publish(&broker, numbered(0..10)).await;
    let connection = connect(&broker, "subscriber").await;
    let mut impatient = durable();
    impatient.ack_wait = Duration::from_secs(1);
    let subscription = connection.subscribe(impatient).await.expect("subscribed");
    let messages = subscription.messages();
    for message in take_many(&messages, 10).await {
        assert!(!message.redelivered, "{message:?}");
        assert_eq!(message.redelivery_count, 0);
        if message.sequence % 2 == 0 {
            message.ack();
        }
    }
    let mut again = take_many(&messages, 5).await;
    again.sort_by_key(|message| message.sequence);
    assert_eq!(sequences(&again), [1, 3, 5, 7, 9]);
    assert!(again.iter().all(|message| message.redelivered && message.redelivery_count >= 1));
    ack_all(again);
    eventually_pending(&broker, "all is acked", 0).await;
    assert_eq!(subscription.depth().messages, 0, "an acked one came again");
    connection.close().await.expect("closed");
}

/// `TestSlowAsyncSubscriber` and `TestSubscriptionPending`.
#[tokio::test]
async fn what_a_slow_subscriber_does_not_take_waits_whole_and_can_be_counted() {
    let broker = broker().await;
    publish(&broker, (0..5_000).map(|n| format!("{n:04}"))).await;
    let connection = connect(&broker, "subscriber").await;
    let mut wide = durable();
    wide.max_in_flight = 5_000;
    let subscription = connection.subscribe(wide).await.expect("subscribed");
    eventually("all wait", PATIENCE, async || {
        let depth = subscription.depth();
        ((depth.messages, depth.bytes, depth.in_hand) == (5_000, 20_000, 5_000)).then_some(())
    })
    .await;
    let taken = take_many(&subscription.messages(), 5_000).await;
    assert_eq!(sequences(&taken), (1..=5_000).collect::<Vec<_>>());
    ack_all(taken);
    let stats = subscription.stats();
    assert_eq!((stats.shed, stats.slow_consumer_drops), (0, 0));
    assert_eq!(subscription.depth().in_hand, 0);
    eventually_pending(&broker, "all is acked", 0).await;
    connection.close().await.expect("closed");
}

/// `TestAckProcessedBeforeClose`.
#[tokio::test]
async fn an_ack_right_before_close_counts_each_time() {
    let broker = broker().await;
    let connection = connect(&broker, "subscriber").await;
    for round in 0..50 {
        let subscription = connection.subscribe(durable()).await.expect("subscribed");
        connection.publish("orders", "one".into()).await.expect("acknowledged");
        let message = take(&subscription.messages()).await;
        assert_eq!(message.sequence, round + 1, "an ack was lost");
        message.ack();
        subscription.close().await.expect("closed");
        assert_eq!(pending(&broker).await, 0, "round {round}");
    }
    connection.close().await.expect("closed");
}

/// With more acks than go at once.
#[tokio::test]
async fn acks_right_before_close_count_each_time() {
    let broker = broker().await;
    let connection = connect(&broker, "subscriber").await;
    for round in 0..5 {
        publish(&broker, numbered(0..1_000)).await;
        let subscription = connection.subscribe(durable()).await.expect("subscribed");
        ack_all(take_many(&subscription.messages(), 1_000).await);
        subscription.close().await.expect("closed");
        assert_eq!(pending(&broker).await, 0, "round {round}");
    }
    connection.close().await.expect("closed");
}

/// With the connection closed instead of the subscription, and more acks than go at once.
#[tokio::test]
async fn acks_right_before_the_connection_closes_count_each_time() {
    let broker = broker().await;
    for round in 0..5 {
        publish(&broker, numbered(0..1_000)).await;
        let connection = connect(&broker, "subscriber").await;
        let subscription = connection.subscribe(durable()).await.expect("subscribed");
        ack_all(take_many(&subscription.messages(), 1_000).await);
        connection.close().await.expect("closed");
        assert_eq!(pending(&broker).await, 0, "round {round}");
    }
}

/// `TestProtocolOrder`.
#[tokio::test]
async fn publishes_acks_unsubscribe_and_close_take_effect_in_the_order_of_the_program() {
    let broker = broker().await;
    let connection = connect(&broker, "subscriber").await;
    let kept = connection.subscribe(durable()).await.expect("subscribed");
    let ended = connection.subscribe(SubscriptionOptions::plain("orders")).await;
    let ended = ended.expect("subscribed");
    let mut outcomes = Vec::new();
    for n in 0..100 {
        let text = format!("message {n}");
        outcomes.push(connection.publish_async("orders", text.into()).await.expect("sent"));
    }
    ack_all(take_many(&kept.messages(), 100).await);
    ended.unsubscribe().await.expect("unsubscribed");
    for n in 100..150 {
        let text = format!("message {n}");
        outcomes.push(connection.publish_async("orders", text.into()).await.expect("sent"));
    }
    connection.close().await.expect("closed");
    for outcome in outcomes {
        let outcome = outcome.await;
        assert!(matches!(outcome, Ok(()) | Err(PublishError::ConnectionClosed)), "{outcome:?}");
    }
    let channel = broker.channel("orders").await.expect("state");
    assert_eq!(channel.last_seq, 150, "what was published before the close is stored");
    assert_eq!(channel.subscriptions.len(), 1, "the durable one is kept, the other is gone");
    let kept = &channel.subscriptions[0];
    assert_eq!(kept.last_sent.saturating_sub(kept.pending_count), 100, "the acks counted");
}
