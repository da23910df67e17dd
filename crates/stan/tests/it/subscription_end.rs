//! How subscriptions end: closed, unsubscribed, dropped, and all of it at once.

use std::time::Duration;

use stan::{Error, StartPosition, SubscriptionOptions};
use testbed::eventually;
use tokio::time::timeout;

use crate::harness::{
    PATIENCE, ack_all, broker, connect, eventually_lag, eventually_live, eventually_pending, group,
    numbered, pending, publish, session, take, take_many,
};

fn durable() -> SubscriptionOptions {
    let mut options = SubscriptionOptions::plain("orders");
    options.durable_name = Some("mine".to_owned());
    options.start_position = StartPosition::First;
    options
}

/// `TestUnsubscribe`.
#[tokio::test]
async fn after_unsubscribe_nothing_comes_and_the_server_knows_nothing_of_it() {
    let broker = broker().await;
    publish(&broker, numbered(0..3)).await;
    let connection = connect(&broker, "subscriber").await;
    let subscription = connection.subscribe(durable()).await.expect("subscribed");
    let messages = subscription.messages();
    ack_all(take_many(&messages, 3).await);
    subscription.unsubscribe().await.expect("unsubscribed");
    assert!(broker.channel("orders").await.expect("state").subscriptions.is_empty());
    publish(&broker, numbered(3..6)).await;
    assert!(messages.recv().await.is_none(), "the stream has ended");
    assert!(matches!(subscription.unsubscribe().await, Err(Error::Closed)));
    connection.close().await.expect("closed");
}

/// `TestUnsubscribeWhileConnClosing` and `TestRaceOnSubscribeAndConnClose`.
#[tokio::test]
async fn subscribing_and_unsubscribing_while_the_connection_closes_ends_one_way_or_the_other() {
    let broker = broker().await;
    for round in 0..20 {
        let connection = connect(&broker, &format!("subscriber-{round}")).await;
        let first = connection.subscribe(durable()).await.expect("subscribed");
        let unsubscribing = tokio::spawn(async move { first.unsubscribe().await });
        let subscribing = tokio::spawn({
            let connection = connection.clone();
            async move { connection.subscribe(SubscriptionOptions::plain("orders")).await }
        });
        let closed = timeout(PATIENCE, connection.close()).await.expect("no deadlock");
        closed.expect("closed");
        let _ = timeout(PATIENCE, unsubscribing).await.expect("no deadlock").expect("no panic");
        let outcome = timeout(PATIENCE, subscribing).await.expect("no deadlock").expect("no panic");
        if let Ok(late) = outcome {
            let end = timeout(PATIENCE, late.messages().recv()).await.expect("in time");
            assert!(end.is_none(), "its stream ends with the connection");
        }
    }
    assert!(broker.clients().await.expect("clients").is_empty());
    eventually_live(&broker, "nothing is left", 0).await;
}

/// `TestRaceAckOnClose`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acks_that_race_with_close_neither_panic_nor_hang() {
    let broker = broker().await;
    publish(&broker, numbered(0..200)).await;
    for round in 0..10 {
        let connection = connect(&broker, &format!("subscriber-{round}")).await;
        let mut options = SubscriptionOptions::plain("orders");
        options.start_position = StartPosition::First;
        let subscription = connection.subscribe(options).await.expect("subscribed");
        let held = take_many(&subscription.messages(), 200).await;
        let acking = tokio::task::spawn_blocking(move || ack_all(held));
        timeout(PATIENCE, connection.close()).await.expect("no deadlock").expect("closed");
        timeout(PATIENCE, acking).await.expect("no deadlock").expect("no panic");
    }
}

/// Nothing is left in the server of a subscription that was only dropped.
#[tokio::test]
async fn a_dropped_subscription_is_closed_in_the_background() {
    let broker = broker().await;
    publish(&broker, numbered(0..10)).await;
    let connection = connect(&broker, "subscriber").await;
    let dropped = connection.subscribe(group()).await.expect("subscribed");
    let mut held = take_many(&dropped.messages(), 10).await;
    ack_all(held.split_off(4));
    drop(dropped);
    eventually_lag(&broker, "the acks are in and the member is gone", (0, 4, 0)).await;
    assert_eq!(broker.clients().await.expect("clients").len(), 1, "the client stays");
    // What the dropped one held is the next one's at once: the ack wait is 30 s.
    let next = connection.subscribe(group()).await.expect("subscribed");
    ack_all(timeout(PATIENCE, take_many(&next.messages(), 4)).await.expect("at once"));
    next.close().await.expect("closed");
    eventually_lag(&broker, "all is acked", (0, 0, 0)).await;
    connection.close().await.expect("closed");
}

/// Everything dropped at once: the subscription goes first, then the registration.
#[tokio::test]
async fn a_dropped_connection_with_its_subscription_is_closed_in_the_background() {
    let broker = broker().await;
    publish(&broker, numbered(0..10)).await;
    let connection = connect(&broker, "subscriber").await;
    let subscription = connection.subscribe(group()).await.expect("subscribed");
    let held = take_many(&subscription.messages(), 10).await;
    drop(connection);
    assert_eq!(pending(&broker).await, 10, "the subscription keeps its connection");
    ack_all(held);
    drop(subscription);
    eventually_lag(&broker, "the acks are in and the member is gone", (0, 0, 0)).await;
    // Well before its heartbeats would fail.
    eventually("the client is gone", Duration::from_secs(10), async || {
        broker.clients().await.ok()?.is_empty().then_some(())
    })
    .await;
}

/// The same for a session.
#[tokio::test]
async fn a_dropped_session_leaves_in_the_background() {
    let broker = broker().await;
    publish(&broker, numbered(0..10)).await;
    let session = session(&broker, "dropped").await;
    let messages = session.messages();
    let mut held = take_many(&messages, 10).await;
    ack_all(held.split_off(4));
    drop(session);
    assert!(timeout(PATIENCE, messages.recv()).await.expect("in time").is_none());
    eventually_lag(&broker, "the acks are in and the member is gone", (0, 4, 0)).await;
    eventually("the client is gone", PATIENCE, async || {
        broker.clients().await.ok()?.is_empty().then_some(())
    })
    .await;
}

/// A subscription that ends with its connection leaves its tasks nothing to wait for.
#[tokio::test]
async fn tasks_end_with_their_subscription_while_the_connection_lives_on() {
    let broker = broker().await;
    let connection = connect(&broker, "subscriber").await;
    let runtime = tokio::runtime::Handle::current();
    let before = runtime.metrics().num_alive_tasks();
    for round in 0..20 {
        let subscription = connection.subscribe(durable()).await.expect("subscribed");
        if round % 2 == 0 {
            subscription.close().await.expect("closed");
        }
        drop(subscription);
        eventually_live(&broker, "it is closed", 0).await;
    }
    eventually("the tasks have ended", PATIENCE, async || {
        (runtime.metrics().num_alive_tasks() <= before).then_some(())
    })
    .await;
    connection.close().await.expect("closed");
}

/// With a plain durable: the server waits for the acks before it closes.
#[tokio::test]
async fn closing_keeps_the_position_of_a_plain_durable() {
    let broker = broker().await;
    publish(&broker, numbered(0..10)).await;
    let connection = connect(&broker, "subscriber").await;
    let subscription = connection.subscribe(durable()).await.expect("subscribed");
    let messages = subscription.messages();
    for _ in 0..7 {
        take(&messages).await.ack();
    }
    subscription.close().await.expect("closed");
    eventually_pending(&broker, "three are left", 3).await;
    connection.close().await.expect("closed");
}
