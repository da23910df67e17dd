//! The supervised session: nothing lost, nothing in hand twice, no members left behind.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use stan::{Connection, Session, SessionState};
use testbed::{Proxy, eventually};
use tokio::time::timeout;

use crate::harness::{
    PATIENCE, broker, eventually_lag, forgetful_broker, group, lag, numbered, options, publish,
    session, take,
};

async fn until_live(session: &Session) {
    let mut state = session.monitor().state();
    let live = state.wait_for(|state| *state == SessionState::Live);
    timeout(PATIENCE, live).await.expect("in time").expect("supervised");
}

#[tokio::test]
async fn what_is_acked_just_before_close_stays_acked_and_the_rest_comes_to_the_next() {
    let broker = broker().await;
    publish(&broker, numbered(0..100)).await;
    let first = session(&broker, "first").await;
    let messages = first.messages();
    let mut acked = HashSet::new();
    for _ in 0..40 {
        let message = take(&messages).await;
        acked.insert(message.sequence);
        message.ack();
    }
    first.close().await;
    assert!(messages.recv().await.is_none(), "the stream ends");
    eventually_lag(&broker, "only the unacked are pending, no member is left", (0, 60, 0)).await;

    let second = session(&broker, "second").await;
    let messages = second.messages();
    let began = Instant::now();
    for _ in 0..60 {
        let message = take(&messages).await;
        assert!(acked.insert(message.sequence), "{} was acked before", message.sequence);
        message.ack();
    }
    assert!(began.elapsed() < Duration::from_secs(10), "they came at once, not after the ack wait");
    second.close().await;
    eventually_lag(&broker, "all is acked", (0, 0, 0)).await;
    assert!(broker.clients().await.expect("clients").is_empty());
}

#[tokio::test]
async fn a_session_that_starts_before_its_broker_goes_live_when_that_comes() {
    let mut broker = broker().await;
    broker.stop().await.expect("stopped");
    let session = session(&broker, "early").await;
    let mut state = session.monitor().state();
    let retrying = state.wait_for(|state| matches!(state, SessionState::Retrying(_)));
    timeout(PATIENCE, retrying).await.expect("in time").expect("supervised");
    broker.start_again().await.expect("started");
    until_live(&session).await;
    session.close().await;
}

/// The late ack after the session was rebuilt, where the server begins anew.
#[tokio::test]
async fn a_broker_that_lost_its_memory_gets_a_new_session_and_the_stream_goes_on() {
    let mut broker = forgetful_broker().await;
    let session = session(&broker, "steady").await;
    until_live(&session).await;
    let messages = session.messages();
    publish(&broker, ["before".to_owned()]).await;
    let held = take(&messages).await;
    broker.kill().expect("killed");
    broker.start_again().await.expect("started again");
    let monitor = session.monitor();
    eventually("the session is rebuilt", PATIENCE, async || {
        (monitor.stats().session_rebuilds == 1).then_some(())
    })
    .await;
    until_live(&session).await;
    // The new store counts from 1 again: an ack of the old message must not settle the new one.
    held.ack();
    publish(&broker, ["after".to_owned()]).await;
    let message = take(&messages).await;
    assert_eq!((message.sequence, &message.data[..]), (1, &b"after"[..]));
    assert_eq!(lag(&broker).await.1, 1, "the new message is still unacked");
    message.ack();
    eventually_lag(&broker, "the new message is acked", (0, 0, 1)).await;
    session.close().await;
}

#[tokio::test]
async fn a_restart_of_a_broker_with_a_file_store_loses_nothing_and_doubles_nothing_in_hand() {
    let mut broker = broker().await;
    publish(&broker, numbered(0..50)).await;
    let session = session(&broker, "steady").await;
    let messages = session.messages();
    let mut held = Vec::new();
    for _ in 0..50 {
        held.push(take(&messages).await);
    }
    broker.kill().expect("killed");
    broker.start_again().await.expect("started again");
    let monitor = session.monitor();
    eventually("what is in hand is offered again", PATIENCE, async || {
        (monitor.stats().duplicates_suppressed >= 50).then_some(())
    })
    .await;
    assert_eq!(monitor.depth().messages, 0, "nothing of it is yielded a second time");
    held.into_iter().for_each(stan::Message::ack);
    eventually_lag(&broker, "late acks find the live inbox", (0, 0, 1)).await;
    assert_eq!(monitor.stats().session_rebuilds, 0, "the registration held");
    session.close().await;
}

#[tokio::test]
async fn after_a_cut_link_what_was_missed_comes_at_once() {
    let broker = broker().await;
    let mut proxy = Proxy::start(([127, 0, 0, 1], broker.port()).into()).await.expect("a proxy");
    let url = format!("nats://127.0.0.1:{}", proxy.port());
    let session =
        Session::supervise(options(&url, "behind-a-proxy"), group()).await.expect("a session");
    until_live(&session).await;
    proxy.cut().await;
    publish(&broker, numbered(0..10)).await;
    proxy.heal().await.expect("healed");
    let messages = session.messages();
    let began = Instant::now();
    for _ in 0..10 {
        take(&messages).await.ack();
    }
    assert!(began.elapsed() < Duration::from_secs(15), "the ack wait is 30 s");
    session.close().await;
    eventually_lag(&broker, "all is acked and no member is left", (0, 0, 0)).await;
}

#[tokio::test]
async fn a_replaced_session_does_not_disturb_its_replacement() {
    let broker = broker().await;
    let mut proxy = Proxy::start(([127, 0, 0, 1], broker.port()).into()).await.expect("a proxy");
    let url = format!("nats://127.0.0.1:{}", proxy.port());
    let old = Session::supervise(options(&url, "same-name"), group()).await.expect("a session");
    until_live(&old).await;
    proxy.cut().await;
    let new = Connection::connect(options(&broker.url(), "same-name")).await.expect("takes over");
    proxy.heal().await.expect("healed");
    let mut state = old.monitor().state();
    let told = state.wait_for(|state| matches!(state, SessionState::Lost(_)));
    timeout(PATIENCE, told).await.expect("in time").expect("supervised");
    let told = state.wait_for(|state| matches!(state, SessionState::Retrying(_)));
    timeout(PATIENCE, told).await.expect("in time").expect("supervised");
    old.close().await;
    new.publish("orders", "still registered".into()).await.expect("acknowledged");
    new.close().await.expect("closed by its own hand");
}

/// The flood: the server's window does not bound redeliveries.
#[tokio::test]
async fn a_flood_of_redeliveries_neither_drops_nor_doubles() {
    let broker = broker().await;
    publish(&broker, numbered(0..300)).await;
    let mut wide = group();
    wide.max_in_flight = 300;
    let crowd = Session::supervise(options(&broker.url(), "crowd"), wide).await.expect("a session");
    let taken = crowd.messages();
    let held: Vec<_> = {
        let mut held = Vec::new();
        for _ in 0..300 {
            held.push(take(&taken).await);
        }
        held
    };
    crowd.close().await;
    drop(held);
    let mut narrow = group();
    narrow.max_in_flight = 10;
    let joiner =
        Session::supervise(options(&broker.url(), "joiner"), narrow).await.expect("a session");
    let messages = joiner.messages();
    let mut seen = HashSet::new();
    for _ in 0..300 {
        let message = take(&messages).await;
        assert!(message.redelivered);
        assert!(seen.insert(message.sequence), "{} came twice", message.sequence);
        message.ack();
    }
    assert_eq!(joiner.monitor().stats().slow_consumer_drops, 0);
    joiner.close().await;
    eventually_lag(&broker, "all is acked", (0, 0, 0)).await;
}

#[tokio::test]
async fn what_goes_over_the_byte_budget_is_shed_and_comes_again() {
    let broker = broker().await;
    publish(&broker, (0..20).map(|n| format!("{n}").repeat(500))).await;
    let mut tight = group();
    tight.queue_max_bytes = 2_000;
    tight.ack_wait = Duration::from_secs(1);
    let session =
        Session::supervise(options(&broker.url(), "tight"), tight).await.expect("a session");
    let monitor = session.monitor();
    eventually("some are shed", PATIENCE, async || (monitor.stats().shed > 0).then_some(())).await;
    assert!(monitor.depth().bytes <= 2_000);
    let messages = session.messages();
    let mut seen = HashSet::new();
    while seen.len() < 20 {
        let message = take(&messages).await;
        seen.insert(message.sequence);
        message.ack();
    }
    session.close().await;
    eventually_lag(&broker, "all is acked", (0, 0, 0)).await;
}
