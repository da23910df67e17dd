//! What a session does while nothing fails.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use testbed::eventually;
use tokio::time::timeout;

use jetstream::{Options, Session, SessionState};

use crate::harness::{
    PATIENCE, ack_all, api, consumer_info, live, numbered, publish, sequences, server, take,
    take_many, until_acked, until_live, workers,
};

#[tokio::test]
async fn what_is_published_comes_in_order_and_is_acked_for_good() {
    let server = server().await;
    crate::harness::connect(&server.url()).await.ensure(&workers()).await.expect("a stream");
    publish(&server.url(), numbered(0..3_000)).await;
    let options = Options::new(&server.url(), "with the defaults");
    let session = Session::supervise(options, workers()).await.expect("a session");
    until_live(&session).await;
    let taken = take_many(&session.messages(), 3_000).await;
    assert_eq!(sequences(&taken), (1..=3_000).collect::<Vec<_>>());
    assert_eq!(&taken[7].data[..], b"message 7");
    assert!(taken.iter().all(|message| !message.redelivered && message.redelivery_count == 0));
    assert!(taken.windows(2).all(|pair| pair[0].timestamp <= pair[1].timestamp));
    ack_all(taken);
    until_acked(&server.url(), 3_000).await;
    let stats = session.monitor().stats();
    assert_eq!((stats.delivered, stats.acks, stats.redelivered), (3_000, 3_000, 0));
    assert_eq!((stats.session_rebuilds, stats.shed, stats.garbled), (0, 0, 0));
    session.close().await;
}

#[tokio::test]
async fn what_was_published_before_the_consumer_was_made_comes_too() {
    let server = server().await;
    live(&server.url(), workers()).await.close().await;
    api(&server.url(), "CONSUMER.DELETE.ORDERS.workers", Value::Null).await;
    publish(&server.url(), numbered(0..3)).await;
    let session = live(&server.url(), workers()).await;
    assert_eq!(sequences(&take_many(&session.messages(), 3).await), [1, 2, 3]);
}

#[tokio::test]
async fn stream_and_consumer_are_made_so_that_they_lose_nothing() {
    let server = server().await;
    let session = live(&server.url(), workers()).await;
    let stream = api(&server.url(), "STREAM.INFO.ORDERS", Value::Null).await;
    let config = &stream["config"];
    assert_eq!((&config["storage"], &config["retention"]), (&"file".into(), &"limits".into()));
    assert_eq!((&config["discard"], &config["max_age"]), (&"new".into(), &0.into()));
    for limit in ["max_msgs", "max_bytes", "max_msgs_per_subject"] {
        assert_eq!(config[limit], -1, "{limit}");
    }
    let consumer = api(&server.url(), "CONSUMER.INFO.ORDERS.workers", Value::Null).await;
    let config = &consumer["config"];
    assert_eq!((&config["ack_policy"], &config["max_deliver"]), (&"explicit".into(), &(-1).into()));
    assert_eq!(config["durable_name"], "workers");
    assert_eq!(config["ack_wait"], 120_000_000_000_u64);
    assert_eq!(config["max_ack_pending"], 8_192);
    session.close().await;
}

#[tokio::test]
async fn two_members_share_and_none_gets_what_the_other_has() {
    let server = server().await;
    let (one, other) = (live(&server.url(), workers()).await, live(&server.url(), workers()).await);
    publish(&server.url(), numbered(0..2_000)).await;
    let mut taken = [Vec::new(), Vec::new()];
    eventually("the members have it all", PATIENCE, async || {
        for (session, taken) in [&one, &other].into_iter().zip(&mut taken) {
            while session.monitor().depth().messages > 0 {
                taken.push(take(&session.messages()).await);
            }
        }
        (taken.iter().map(Vec::len).sum::<usize>() == 2_000).then_some(())
    })
    .await;
    assert!(
        taken.iter().all(|taken| taken.len() > 100),
        "{} and {}",
        taken[0].len(),
        taken[1].len()
    );
    let all: BTreeSet<u64> = taken.iter().flatten().map(|message| message.sequence).collect();
    assert_eq!(all.len(), 2_000);
    taken.into_iter().for_each(ack_all);
    until_acked(&server.url(), 2_000).await;
}

/// What is acked counts, what is queued, taken or on its way is the other member's at once.
#[tokio::test]
async fn a_clean_stop_hands_over_at_once() {
    let server = server().await;
    let leaving = live(&server.url(), workers()).await;
    publish(&server.url(), numbered(0..1_500)).await;
    let messages = leaving.messages();
    let mut taken = take_many(&messages, 20).await;
    let held = taken.split_off(10);
    ack_all(taken);
    eventually("a full queue", PATIENCE, async || {
        (leaving.monitor().depth().messages == 1_480).then_some(())
    })
    .await;
    let monitor = leaving.monitor();
    leaving.close().await;
    assert_eq!(*monitor.state().borrow(), SessionState::Closed);
    assert_eq!(monitor.stats().naks, 1_490);
    assert!(messages.recv().await.is_none(), "the stream has ended");
    let staying = live(&server.url(), workers()).await;
    let handed = timeout(Duration::from_secs(5), take_many(&staying.messages(), 1_490)).await;
    let handed = handed.expect("not only after the ack wait");
    let sequences: BTreeSet<u64> = handed.iter().map(|message| message.sequence).collect();
    assert_eq!(sequences, (11..=1_500).collect());
    assert!(handed.iter().all(|message| message.redelivered));
    ack_all(held);
    ack_all(handed);
    until_acked(&server.url(), 1_500).await;
}

/// Messages that come while the session waits for the end of its pull are handed over too.
#[tokio::test]
async fn a_stop_while_messages_come_leaves_none_behind() {
    let server = server().await;
    let leaving = live(&server.url(), workers()).await;
    let url = server.url();
    let publishing = tokio::spawn(async move { publish(&url, numbered(0..5_000)).await });
    take(&leaving.messages()).await.ack();
    leaving.close().await;
    let staying = live(&server.url(), workers()).await;
    let messages = staying.messages();
    for _ in 1..5_000 {
        timeout(Duration::from_secs(20), messages.recv())
            .await
            .expect("not only after the ack wait")
            .expect("an open stream")
            .ack();
    }
    publishing.await.expect("no panic");
    until_acked(&server.url(), 5_000).await;
}

#[tokio::test]
async fn a_redelivery_of_a_message_in_hand_is_dropped_and_its_ack_counts() {
    let server = server().await;
    let mut workers = workers();
    workers.ack_wait = Duration::from_secs(1);
    let session = live(&server.url(), workers).await;
    publish(&server.url(), numbered(0..1)).await;
    let message = take(&session.messages()).await;
    eventually("redeliveries", PATIENCE, async || {
        (session.monitor().stats().duplicates_suppressed >= 2).then_some(())
    })
    .await;
    assert_eq!(session.monitor().depth().messages, 0);
    message.ack();
    until_acked(&server.url(), 1).await;
}

#[tokio::test]
async fn a_message_that_is_dropped_comes_again() {
    let server = server().await;
    let mut workers = workers();
    workers.ack_wait = Duration::from_secs(1);
    let session = live(&server.url(), workers).await;
    publish(&server.url(), numbered(0..1)).await;
    drop(take(&session.messages()).await);
    let again = take(&session.messages()).await;
    assert_eq!((again.sequence, again.redelivered, again.redelivery_count), (1, true, 1));
    again.ack();
    until_acked(&server.url(), 1).await;
}

#[tokio::test]
async fn a_dropped_session_hands_over_in_the_background() {
    let server = server().await;
    let session = live(&server.url(), workers()).await;
    publish(&server.url(), numbered(0..10)).await;
    drop(take(&session.messages()).await);
    eventually("the rest", PATIENCE, async || {
        (session.monitor().depth().messages == 9).then_some(())
    })
    .await;
    drop(session);
    let other = live(&server.url(), workers()).await;
    let nine = timeout(Duration::from_secs(10), take_many(&other.messages(), 9)).await;
    assert_eq!(nine.expect("not only after the ack wait").len(), 9);
    assert!(consumer_info(&server.url()).await.is_some());
}
