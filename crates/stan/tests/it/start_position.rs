//! Where a subscription begins: the five start positions.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stan::{Connection, Message, StartPosition, SubscriptionOptions};
use testbed::{Broker, eventually};

use crate::harness::{PATIENCE, broker, connect, numbered, publish, take, take_many};

/// Publishes ten messages, subscribes, publishes one more; answers what comes up to that one.
async fn seen_from(broker: &Broker, start: StartPosition) -> Vec<u64> {
    publish(broker, numbered(0..10)).await;
    let connection = connect(broker, "subscriber").await;
    let seen = seen_after_ten(broker, &connection, start).await;
    connection.close().await.expect("closed");
    seen
}

async fn seen_after_ten(
    broker: &Broker,
    connection: &Connection,
    start: StartPosition,
) -> Vec<u64> {
    let mut options = SubscriptionOptions::plain("orders");
    options.start_position = start;
    let subscription = connection.subscribe(options).await.expect("subscribed");
    publish(broker, ["the eleventh".to_owned()]).await;
    let messages = subscription.messages();
    let mut seen = Vec::new();
    while seen.last() != Some(&11) {
        let message = take(&messages).await;
        seen.push(message.sequence);
        message.ack();
    }
    seen
}

/// The default of `SubscriptionOptions`.
#[tokio::test]
async fn new_only_begins_with_the_next_message() {
    let broker = broker().await;
    assert_eq!(seen_from(&broker, StartPosition::NewOnly).await, [11]);
}

/// `TestSubscriptionStartPositionLast`.
#[tokio::test]
async fn last_received_begins_with_the_newest_message() {
    let broker = broker().await;
    assert_eq!(seen_from(&broker, StartPosition::LastReceived).await, [10, 11]);
}

/// `TestSubscriptionStartPositionAtSequence`.
#[tokio::test]
async fn a_sequence_begins_with_that_message() {
    let broker = broker().await;
    assert_eq!(seen_from(&broker, StartPosition::Sequence(8)).await, [8, 9, 10, 11]);
}

/// A sequence that is yet to come counts as the next one.
#[tokio::test]
async fn a_sequence_from_the_future_begins_with_the_next_message() {
    let broker = broker().await;
    assert_eq!(seen_from(&broker, StartPosition::Sequence(500)).await, [11]);
}

/// `TestSubscriptionStartPositionFirst`.
#[tokio::test]
async fn first_begins_with_the_oldest_message() {
    let broker = broker().await;
    assert_eq!(seen_from(&broker, StartPosition::First).await, (1..=11).collect::<Vec<_>>());
}

/// `TestSubscriptionStartPositionAtTime`.
#[tokio::test]
async fn a_time_ago_begins_with_what_was_published_since() {
    const GAP: Duration = Duration::from_secs(1);
    let broker = broker().await;
    publish(&broker, numbered(0..5)).await;
    let connection = connect(&broker, "subscriber").await;
    let mut all = SubscriptionOptions::plain("orders");
    all.start_position = StartPosition::First;
    let watcher = connection.subscribe(all).await.expect("subscribed");
    let fifth = take_many(&watcher.messages(), 5).await.pop().expect("five messages");
    eventually("a gap in time", PATIENCE, async || (age(&fifth) > GAP).then_some(())).await;
    publish(&broker, numbered(5..10)).await;
    let sixth = take(&watcher.messages()).await;
    watcher.close().await.expect("closed");
    // Half of the gap stays for the way of the request.
    let start = StartPosition::TimeDelta(age(&sixth) + GAP / 2);
    let seen = seen_after_ten(&broker, &connection, start).await;
    assert_eq!(seen, (6..=11).collect::<Vec<_>>());
    connection.close().await.expect("closed");
}

fn age(message: &Message) -> Duration {
    let stored = Duration::from_nanos(message.timestamp.unsigned_abs());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    now.saturating_sub(stored)
}
