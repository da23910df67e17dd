//! The counters of a session, against what happened to it.

use std::time::Duration;

use stan::{Session, SessionState};
use testbed::{Proxy, eventually};
use tokio::time::timeout;

use crate::harness::{PATIENCE, broker, forgetful_broker, group, numbered, options, publish, take};

#[tokio::test]
async fn a_quiet_session_counts_deliveries_and_acks_and_nothing_else() {
    let broker = broker().await;
    publish(&broker, numbered(0..20)).await;
    let session = Session::supervise(options(&broker.url(), "quiet"), group()).await.expect("open");
    let (messages, monitor) = (session.messages(), session.monitor());
    for _ in 0..15 {
        take(&messages).await.ack();
    }
    eventually("all are delivered", PATIENCE, async || {
        (monitor.stats().delivered == 20).then_some(())
    })
    .await;
    let mut expected = stan::Stats::default();
    (expected.delivered, expected.acks) = (20, 15);
    assert_eq!(monitor.stats(), expected);
    session.close().await;
}

#[tokio::test]
async fn a_dropped_message_is_counted_as_redelivered_when_it_comes_again() {
    let broker = broker().await;
    publish(&broker, numbered(0..1)).await;
    let mut impatient = group();
    impatient.ack_wait = Duration::from_secs(1);
    let session =
        Session::supervise(options(&broker.url(), "hasty"), impatient).await.expect("open");
    let messages = session.messages();
    drop(take(&messages).await);
    take(&messages).await.ack();
    let stats = session.monitor().stats();
    assert_eq!((stats.delivered, stats.redelivered, stats.acks), (2, 1, 1));
    session.close().await;
}

#[tokio::test]
async fn a_link_that_comes_back_counts_as_a_reconnect_and_no_rebuild() {
    let broker = broker().await;
    let mut proxy = Proxy::start(([127, 0, 0, 1], broker.port()).into()).await.expect("a proxy");
    let url = format!("nats://127.0.0.1:{}", proxy.port());
    let session = Session::supervise(options(&url, "cut"), group()).await.expect("open");
    let monitor = session.monitor();
    let mut state = monitor.state();
    let live = state.wait_for(|state| *state == SessionState::Live);
    timeout(PATIENCE, live).await.expect("in time").expect("supervised");
    assert_eq!(monitor.stats().reconnects, 0, "the first connect is none");
    proxy.cut().await;
    proxy.heal().await.expect("healed");
    eventually("the link is back", PATIENCE, async || {
        (monitor.stats().reconnects == 1).then_some(())
    })
    .await;
    assert_eq!(monitor.stats().session_rebuilds, 0);
    session.close().await;
}

#[tokio::test]
async fn each_loss_of_the_registration_counts_as_one_rebuild() {
    let mut broker = forgetful_broker().await;
    let session = Session::supervise(options(&broker.url(), "lost"), group()).await.expect("open");
    let monitor = session.monitor();
    let mut state = monitor.state();
    for rebuilds in 0..2 {
        let live = state.wait_for(|state| *state == SessionState::Live);
        timeout(PATIENCE, live).await.expect("in time").expect("supervised");
        assert_eq!(monitor.stats().session_rebuilds, rebuilds);
        broker.kill().expect("killed");
        broker.start_again().await.expect("started again");
        eventually("the session is rebuilt", PATIENCE, async || {
            (monitor.stats().session_rebuilds == rebuilds + 1).then_some(())
        })
        .await;
    }
    session.close().await;
}
