//! Durable subscriptions, plain and in a group: what a return finds, and what is forgotten.

use std::time::Duration;

use stan::{Session, StartPosition, Subscription, SubscriptionOptions};
use testbed::{Broker, Proxy, eventually};

use crate::harness::{
    PATIENCE, ack_all, broker, connect, eventually_lag, eventually_pending, group, numbered,
    options, publish, sequences, take, take_many,
};

fn plain() -> SubscriptionOptions {
    let mut options = SubscriptionOptions::plain("orders");
    options.durable_name = Some("mine".to_owned());
    options.start_position = StartPosition::First;
    options
}

async fn subscribe(broker: &Broker, options: SubscriptionOptions) -> Subscription {
    // It keeps its connection, which is closed with it.
    connect(broker, "subscriber").await.subscribe(options).await.expect("subscribed")
}

async fn close(broker: &Broker, subscription: Subscription) {
    subscription.close().await.expect("closed");
    drop(subscription);
    eventually("the client is gone", PATIENCE, async || {
        broker.clients().await.ok()?.is_empty().then_some(())
    })
    .await;
}

async fn resumes_and_forgets(durable: SubscriptionOptions) {
    let broker = broker().await;
    publish(&broker, numbered(0..10)).await;
    let first = subscribe(&broker, durable.clone()).await;
    ack_all(take_many(&first.messages(), 10).await);
    close(&broker, first).await;
    publish(&broker, numbered(10..15)).await;

    let second = subscribe(&broker, durable.clone()).await;
    let news = take_many(&second.messages(), 5).await;
    assert_eq!(sequences(&news), [11, 12, 13, 14, 15], "it goes on where it was");
    ack_all(news);
    second.unsubscribe().await.expect("unsubscribed");
    assert!(broker.channel("orders").await.expect("state").subscriptions.is_empty());
    drop(second);

    eventually("the client is gone", PATIENCE, async || {
        broker.clients().await.ok()?.is_empty().then_some(())
    })
    .await;
    let third = subscribe(&broker, durable).await;
    let all = take_many(&third.messages(), 15).await;
    assert_eq!(sequences(&all), (1..=15).collect::<Vec<_>>(), "unsubscribe forgot the position");
    close(&broker, third).await;
}

/// `TestDurableSubscriber`.
#[tokio::test]
async fn a_plain_durable_goes_on_where_it_was_until_it_is_unsubscribed() {
    resumes_and_forgets(plain()).await;
}

/// `TestDurableQueueSubscriber`.
#[tokio::test]
async fn a_durable_group_goes_on_where_it_was_until_its_last_member_unsubscribes() {
    resumes_and_forgets(group()).await;
}

/// A session does the same for a plain durable.
#[tokio::test]
async fn a_session_of_a_plain_durable_goes_on_where_it_was() {
    let broker = broker().await;
    publish(&broker, numbered(0..10)).await;
    let mut next = 1;
    for _ in 0..2 {
        let options = options(&broker.url(), "subscriber");
        let session = Session::supervise(options, plain()).await.expect("a session");
        let messages = session.messages();
        for _ in 0..5 {
            let message = take(&messages).await;
            assert_eq!(message.sequence, next);
            next += 1;
            message.ack();
        }
        session.close().await;
    }
    eventually_pending(&broker, "all is acked", 0).await;
}

/// `TestSubHasFailedHBClearedAfterDurableResume`.
#[tokio::test]
async fn a_durable_whose_client_failed_its_heartbeats_is_redelivered_to_after_its_return() {
    let broker = broker().await;
    let mut proxy = Proxy::start(([127, 0, 0, 1], broker.port()).into()).await.expect("a proxy");
    publish(&broker, numbered(0..3)).await;
    let mut impatient = plain();
    impatient.ack_wait = Duration::from_secs(1);
    let url = format!("nats://127.0.0.1:{}", proxy.port());
    let crashing = stan::Connection::connect(options(&url, "subscriber")).await.expect("open");
    let lost = crashing.subscribe(impatient.clone()).await.expect("subscribed");
    let held = take_many(&lost.messages(), 3).await;
    proxy.cut().await;
    eventually("the heartbeats have failed", PATIENCE, async || {
        broker.clients().await.ok()?.is_empty().then_some(())
    })
    .await;

    let back = subscribe(&broker, impatient).await;
    let again = take_many(&back.messages(), 3).await;
    assert!(again.iter().all(|message| message.redelivered));
    drop(again);
    // Those come by the timer, which stands still while heartbeats fail.
    let once_more = take_many(&back.messages(), 3).await;
    ack_all(once_more);
    eventually_pending(&broker, "all is acked", 0).await;
    drop((held, lost, crashing));
    close(&broker, back).await;
}

/// `TestDurableRestartWithMaxInflight`.
#[tokio::test]
async fn a_return_with_a_full_window_gets_all_of_it_and_then_the_rest() {
    let broker = broker().await;
    publish(&broker, numbered(0..100)).await;
    let mut narrow = plain();
    narrow.max_in_flight = 10;
    let first = subscribe(&broker, narrow.clone()).await;
    let held = take_many(&first.messages(), 10).await;
    close(&broker, first).await;
    drop(held);
    let second = subscribe(&broker, narrow).await;
    let messages = second.messages();
    let again = take_many(&messages, 10).await;
    assert_eq!(sequences(&again), (1..=10).collect::<Vec<_>>());
    assert!(again.iter().all(|message| message.redelivered));
    ack_all(again);
    for expected in 11..=100 {
        let message = take(&messages).await;
        assert_eq!((message.sequence, message.redelivered), (expected, false));
        message.ack();
    }
    eventually_pending(&broker, "all is acked", 0).await;
    close(&broker, second).await;
}

/// `TestDurableClosedNotUnsubscribed`.
#[tokio::test]
async fn a_closed_durable_stays_known_and_keeps_what_comes_meanwhile() {
    let broker = broker().await;
    publish(&broker, numbered(0..1)).await;
    let first = subscribe(&broker, group()).await;
    take(&first.messages()).await.ack();
    close(&broker, first).await;
    let channel = broker.channel("orders").await.expect("state");
    assert_eq!(channel.subscriptions.len(), 1, "{channel:?}");
    assert!(channel.subscriptions[0].is_offline && channel.subscriptions[0].is_durable);
    publish(&broker, numbered(1..4)).await;
    eventually_lag(&broker, "three wait for the group", (3, 0, 0)).await;
    let second = subscribe(&broker, group()).await;
    let news = take_many(&second.messages(), 3).await;
    assert_eq!(sequences(&news), [2, 3, 4]);
    ack_all(news);
    close(&broker, second).await;
}

/// `TestSubStartPositionWithDurableQueueSub`.
#[tokio::test]
async fn the_start_position_of_who_joins_or_resumes_is_ignored() {
    let broker = broker().await;
    publish(&broker, numbered(0..10)).await;
    let first = subscribe(&broker, group()).await;
    let mut taken = take_many(&first.messages(), 10).await;
    ack_all(taken.drain(..6).collect());
    close(&broker, first).await;
    drop(taken);
    for start in [StartPosition::NewOnly, StartPosition::Sequence(2), StartPosition::LastReceived] {
        let mut elsewhere = group();
        elsewhere.start_position = start;
        let resumed = subscribe(&broker, elsewhere).await;
        assert_eq!(sequences(&take_many(&resumed.messages(), 4).await), [7, 8, 9, 10], "{start:?}");
        close(&broker, resumed).await;
    }
    eventually_lag(&broker, "the four are still unacked", (0, 4, 0)).await;
}
