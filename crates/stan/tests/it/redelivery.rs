//! Redelivery in groups: who comes back gets it all, and the server counts.

use std::time::{Duration, Instant};

use stan::{Connection, Subscription};
use testbed::Proxy;

use crate::harness::{
    ack_all, broker, connect, eventually_lag, eventually_pending, group, numbered, options,
    publish, sequences, take, take_from_all, take_many,
};

/// `TestDurableQueueSubRedeliveryOnRejoin`.
#[tokio::test]
async fn who_rejoins_an_empty_group_gets_all_that_was_unacked_and_then_the_new() {
    let broker = broker().await;
    let first = connect(&broker, "first").await.subscribe(group()).await.expect("subscribed");
    let second = connect(&broker, "second").await.subscribe(group()).await.expect("subscribed");
    publish(&broker, numbered(0..20)).await;
    let held: Vec<_> =
        vec![take_many(&first.messages(), 10).await, take_many(&second.messages(), 10).await];
    first.close().await.expect("closed");
    second.close().await.expect("closed");
    drop(held);
    eventually_lag(&broker, "the group keeps them", (0, 20, 0)).await;
    publish(&broker, numbered(20..25)).await;

    let back = connect(&broker, "third").await.subscribe(group()).await.expect("subscribed");
    let messages = back.messages();
    let mut again = take_many(&messages, 20).await;
    assert!(again.iter().all(|message| message.redelivered), "first what was unacked");
    again.sort_by_key(|message| message.sequence);
    assert_eq!(sequences(&again), (1..=20).collect::<Vec<_>>());
    ack_all(again);
    let news = take_many(&messages, 5).await;
    assert_eq!(sequences(&news), [21, 22, 23, 24, 25]);
    assert!(news.iter().all(|message| !message.redelivered), "then the new");
    ack_all(news);
    eventually_lag(&broker, "all is acked", (0, 0, 1)).await;
}

/// `TestPersistentStoreDurableQueueSubRedeliveryOnRejoin`: with a restart in between.
#[tokio::test]
async fn who_rejoins_after_a_restart_of_the_server_gets_all_that_was_unacked() {
    let mut broker = broker().await;
    let first = connect(&broker, "first").await.subscribe(group()).await.expect("subscribed");
    publish(&broker, numbered(0..10)).await;
    let held = take_many(&first.messages(), 10).await;
    first.close().await.expect("closed");
    drop((held, first));
    broker.stop().await.expect("stopped");
    broker.start_again().await.expect("started");
    let back = connect(&broker, "second").await.subscribe(group()).await.expect("subscribed");
    let again = take_many(&back.messages(), 10).await;
    assert_eq!(sequences(&again), (1..=10).collect::<Vec<_>>());
    assert!(again.iter().all(|message| message.redelivered));
    ack_all(again);
    eventually_pending(&broker, "all is acked", 0).await;
}

/// `TestQueueRedeliveryAfterMembersCrash`.
#[tokio::test]
async fn members_that_crash_and_return_under_their_names_do_not_wait_for_the_ack_wait() {
    let broker = broker().await;
    let mut proxy = Proxy::start(([127, 0, 0, 1], broker.port()).into()).await.expect("a proxy");
    let url = format!("nats://127.0.0.1:{}", proxy.port());
    let mut patient = group();
    patient.ack_wait = Duration::from_mins(1);
    let names = ["first", "second"];
    let mut crashing: Vec<Subscription> = Vec::new();
    for name in names {
        let connection = Connection::connect(options(&url, name)).await.expect("open");
        crashing.push(connection.subscribe(patient.clone()).await.expect("subscribed"));
    }
    publish(&broker, numbered(0..20)).await;
    let mut held = Vec::new();
    for member in &crashing {
        held.extend(take_many(&member.messages(), 10).await);
    }
    proxy.cut().await;

    let began = Instant::now();
    let mut back = Vec::new();
    for name in names {
        let connection = connect(&broker, name).await;
        back.push(connection.subscribe(patient.clone()).await.expect("subscribed"));
    }
    // How they are shared is up to the server; it must all be there.
    let seen = take_from_all(&[&back[0], &back[1]], 20).await;
    assert!(began.elapsed() < Duration::from_secs(30), "the ack wait is a minute");
    assert!(seen.iter().all(|message| message.redelivered));
    ack_all(seen);
    eventually_lag(&broker, "all is acked by the two", (0, 0, 2)).await;
    drop((held, crashing));
}

/// `TestQueueRedeliveryCount`.
#[tokio::test]
async fn redeliveries_are_counted_across_the_members() {
    let broker = broker().await;
    let mut impatient = group();
    impatient.ack_wait = Duration::from_secs(1);
    let first =
        connect(&broker, "first").await.subscribe(impatient.clone()).await.expect("subscribed");
    let second = connect(&broker, "second").await.subscribe(impatient).await.expect("subscribed");
    publish(&broker, numbered(0..1)).await;
    let (ours, theirs) = (first.messages(), second.messages());
    for expected in 0..4 {
        let message = tokio::select! {
            message = take(&ours) => message,
            message = take(&theirs) => message,
        };
        assert_eq!(message.redelivery_count, expected);
        assert_eq!(message.redelivered, expected > 0);
        if expected == 3 {
            message.ack();
        }
    }
    eventually_lag(&broker, "it is acked", (0, 0, 2)).await;
}

/// `TestPersistentStoreRedeliveryCount`: the count is in the server's memory, so it
/// begins anew, but the flag holds.
#[tokio::test]
async fn a_restarted_server_still_flags_redeliveries_and_counts_from_one() {
    let mut broker = broker().await;
    let mut impatient = group();
    impatient.ack_wait = Duration::from_secs(1);
    let member = connect(&broker, "member").await;
    let subscription = member.subscribe(impatient.clone()).await.expect("subscribed");
    let messages = subscription.messages();
    publish(&broker, numbered(0..1)).await;
    while take(&messages).await.redelivery_count < 2 {}
    subscription.close().await.expect("closed");
    member.close().await.expect("closed");
    broker.kill().expect("killed");
    broker.start_again().await.expect("started");
    let back = connect(&broker, "member").await.subscribe(impatient).await.expect("subscribed");
    let message = take(&back.messages()).await;
    assert_eq!((message.redelivered, message.redelivery_count), (true, 1));
    message.ack();
    eventually_pending(&broker, "it is acked", 0).await;
}
