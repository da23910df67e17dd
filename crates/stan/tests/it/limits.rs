//! A server whose limits remove messages before they are delivered or acknowledged.

use std::time::Duration;

use stan::{Session, StartPosition, SubscriptionOptions};
use testbed::{Broker, BrokerOptions, eventually};

use crate::harness::{
    PATIENCE, ack_all, connect, eventually_lag, group, numbered, options, publish, sequences, take,
    take_many,
};

/// Keeps the newest ten messages of a channel.
async fn short_memory() -> Broker {
    let options = BrokerOptions { max_messages: Some(10), ..BrokerOptions::default() };
    Broker::start(options).await.expect("a broker")
}

/// `TestDeliveryWithGapsInSequence`: what is gone shows as a jump in the numbers.
#[tokio::test]
async fn messages_that_the_server_removed_before_a_subscription_saw_them_are_a_jump_in_sequence() {
    let broker = short_memory().await;
    publish(&broker, numbered(0..5)).await;
    let connection = connect(&broker, "subscriber").await;
    let mut narrow = SubscriptionOptions::plain("orders");
    narrow.start_position = StartPosition::First;
    narrow.max_in_flight = 2;
    let subscription = connection.subscribe(narrow).await.expect("subscribed");
    let messages = subscription.messages();
    let held = take_many(&messages, 2).await;
    publish(&broker, numbered(5..60)).await;
    let state = broker.channel("orders").await.expect("state");
    assert_eq!((state.first_seq, state.last_seq), (51, 60), "3 to 50 are gone undelivered");
    ack_all(held);
    for expected in 51..=60 {
        let message = take(&messages).await;
        assert_eq!((message.sequence, message.redelivered), (expected, false));
        message.ack();
    }
    publish(&broker, numbered(60..61)).await;
    assert_eq!(take(&messages).await.sequence, 61, "it goes on");
    assert_eq!(subscription.stats().delivered, 13);
    connection.close().await.expect("closed");
}

/// `TestDroppedMessagesOnSendToQueueSub`: neither the group nor a session hangs, whatever
/// was unacknowledged when it was removed.
#[tokio::test]
async fn a_group_whose_unacknowledged_messages_were_removed_goes_on_with_the_next() {
    let broker = short_memory().await;
    let mut narrow = group();
    narrow.max_in_flight = 4;
    narrow.ack_wait = Duration::from_secs(1);
    let session = Session::supervise(options(&broker.url(), "steady"), narrow.clone()).await;
    let session = session.expect("a session");
    let messages = session.messages();
    publish(&broker, numbered(0..4)).await;
    let held = take_many(&messages, 4).await;
    assert_eq!(sequences(&held), [1, 2, 3, 4]);
    publish(&broker, numbered(4..40)).await;
    assert_eq!(broker.channel("orders").await.expect("state").first_seq, 31);
    // The server takes removed messages for acknowledged when their ack wait is over.
    for expected in 31..=40 {
        let message = take(&messages).await;
        assert_eq!(message.sequence, expected);
        message.ack();
    }
    ack_all(held);
    eventually_lag(&broker, "nothing waits", (0, 0, 1)).await;
    session.close().await;

    // What is removed while nobody is there is a jump as well.
    publish(&broker, numbered(40..60)).await;
    let session = Session::supervise(options(&broker.url(), "steady"), narrow).await;
    let session = session.expect("a session");
    let messages = session.messages();
    for expected in 51..=60 {
        let message = take(&messages).await;
        assert_eq!(message.sequence, expected);
        message.ack();
    }
    eventually("nothing is in hand", PATIENCE, async || {
        (session.monitor().depth().in_hand == 0).then_some(())
    })
    .await;
    session.close().await;
    eventually_lag(&broker, "all is acked", (0, 0, 0)).await;
}
