//! What is pulled fits into the queue, and a pull that nobody answers is given up.

use jetstream::{Session, SessionState};
use testbed::{Held, Proxy, Tap, eventually};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::{Instant, timeout};

use crate::harness::{
    PATIENCE, STALL, ack_all, address, connect, consumer_info, live, numbered, publish, sequences,
    server, session, take, take_many, until, until_acked, until_live, url, workers,
};

/// What a message in the queue costs beside its payload.
const OVERHEAD: usize = 128;

/// The next publication that the proxy holds.
async fn held(holding: &mut UnboundedReceiver<Held>) -> Held {
    timeout(PATIENCE, holding.recv()).await.expect("in time").expect("a proxy")
}

fn queued(session: &Session) -> usize {
    let depth = session.monitor().depth();
    depth.bytes + depth.messages * OVERHEAD
}

#[tokio::test]
async fn no_more_is_pulled_than_the_queue_has_room_for() {
    let server = server().await;
    let mut workers = workers();
    workers.queue_max_bytes = 64 * 1024;
    connect(&server.url()).await.ensure(&workers).await.expect("a stream");
    let texts = || (0..2_000).map(|number| "x".repeat(50 + number % 1_500));
    publish(&server.url(), texts()).await;
    let session = live(&server.url(), workers.clone()).await;
    let mut taken = Vec::new();
    while taken.len() < 2_000 {
        eventually("more messages", PATIENCE, async || (queued(&session) > 0).then_some(())).await;
        assert!(queued(&session) <= workers.queue_max_bytes, "{:?}", session.monitor().depth());
        taken.extend(session.messages().recv_batch(7, usize::MAX).await);
        let outstanding = consumer_info(&server.url()).await.expect("a consumer").num_ack_pending;
        let (outstanding, room) = (usize::try_from(outstanding).expect("small"), 64 * 1024);
        assert!((outstanding - taken.len()) * OVERHEAD <= room, "{outstanding} outstanding");
        if taken.len() > 200 {
            taken.extend(take_many(&session.messages(), 2_000 - taken.len()).await);
        }
    }
    assert_eq!(session.monitor().stats().session_rebuilds, 0, "{:?}", session.monitor().stats());
    assert_eq!(sequences(&taken), (1..=2_000).collect::<Vec<_>>(), "none was dropped on the way");
    assert_eq!(session.monitor().stats().shed, 0);
    ack_all(taken);
    until_acked(&server.url(), 2_000).await;
}

#[tokio::test]
async fn a_message_larger_than_the_queue_passes_alone() {
    let server = server().await;
    let mut workers = workers();
    workers.queue_max_bytes = 8 * 1024;
    let session = live(&server.url(), workers).await;
    let large = "x".repeat(900 * 1024);
    publish(&server.url(), ["small".into(), large.clone(), "small".into(), large.clone()]).await;
    let taken = timeout(PATIENCE, take_many(&session.messages(), 4)).await.expect("in time");
    assert_eq!(sequences(&taken), [1, 2, 3, 4]);
    assert_eq!(taken[1].data, large);
    ack_all(taken);
    until_acked(&server.url(), 4).await;
}

#[tokio::test]
async fn a_consumers_own_limits_for_pulls_are_kept_to() {
    let server = server().await;
    let url = server.url();
    connect(&url).await.ensure(&workers()).await.expect("made");
    crate::harness::api(&url, "CONSUMER.DELETE.ORDERS.workers", serde_json::Value::Null).await;
    let mut config = crate::harness::consumer_config();
    config["max_batch"] = 3.into();
    config["max_bytes"] = 1_000.into();
    config["max_expires"] = 500_000_000.into();
    let request = serde_json::json!({ "stream_name": "ORDERS", "config": config });
    crate::harness::api(&url, "CONSUMER.CREATE.ORDERS.workers.orders", request).await;
    let session = live(&url, workers()).await;
    publish(&url, numbered(0..50)).await;
    publish(&url, ["x".repeat(2_000)]).await;
    let taken = take_many(&session.messages(), 51).await;
    assert_eq!(session.monitor().stats().session_rebuilds, 0);
    ack_all(taken);
    until_acked(&url, 51).await;
}

/// An idle session pulls once a second, not as fast as it can.
#[tokio::test]
async fn an_idle_session_pulls_rarely_and_stays_live() {
    let server = server().await;
    let session = live(&server.url(), workers()).await;
    let began = Instant::now();
    eventually("some pulls", PATIENCE, async || {
        (session.monitor().stats().pulls >= 4).then_some(())
    })
    .await;
    assert!(began.elapsed().as_millis() > 2_000, "{:?}", began.elapsed());
    assert_eq!(session.monitor().stats().session_rebuilds, 0);
    publish(&server.url(), numbered(0..1)).await;
    take(&session.messages()).await.ack();
    until_acked(&server.url(), 1).await;
}

#[tokio::test]
async fn a_pull_that_nobody_answers_is_given_up_and_the_next_is_sent() {
    let server = server().await;
    let (sender, mut holding) = mpsc::unbounded_channel();
    let tap = Tap { holds: |seen| seen.subject.contains("CONSUMER.MSG.NEXT"), held: sender };
    let proxy = Proxy::start_tapped(address(&server), tap).await.expect("a proxy");
    connect(&server.url()).await.ensure(&workers()).await.expect("a stream");
    let session = session(&url(&proxy), workers()).await;
    publish(&server.url(), numbered(0..1)).await;
    held(&mut holding).await.swallow();
    let gave_up = until(&session, |state| matches!(state, SessionState::Retrying(_))).await;
    let SessionState::Retrying(why) = gave_up else { unreachable!() };
    assert_eq!(why, "the server did not end a pull in time");
    tokio::spawn(async move {
        while let Some(held) = holding.recv().await {
            held.pass();
        }
    });
    let message = timeout(STALL, take(&session.messages())).await.expect("no longer stall");
    message.ack();
    until_live(&session).await;
    until_acked(&server.url(), 1).await;
}

/// The inbox stays: what a busy server delivers late would else have to be sent again.
#[tokio::test]
async fn a_pull_that_is_lost_between_others_is_followed_by_the_next_from_the_same_inbox() {
    let server = server().await;
    let (sender, mut holding) = mpsc::unbounded_channel();
    let tap = Tap { holds: |seen| seen.subject.contains("CONSUMER.MSG.NEXT"), held: sender };
    let proxy = Proxy::start_tapped(address(&server), tap).await.expect("a proxy");
    connect(&server.url()).await.ensure(&workers()).await.expect("a stream");
    let session = session(&url(&proxy), workers()).await;
    held(&mut holding).await.pass();
    held(&mut holding).await.swallow();
    publish(&server.url(), numbered(0..1)).await;
    held(&mut holding).await.pass();
    drop(holding);
    take(&session.messages()).await.ack();
    until_acked(&server.url(), 1).await;
    assert_eq!(session.monitor().stats().session_rebuilds, 0);
}

#[tokio::test]
async fn an_ack_that_is_lost_on_the_way_makes_the_message_come_again() {
    let server = server().await;
    let (sender, mut holding) = mpsc::unbounded_channel();
    let tap = Tap { holds: |seen| seen.payload == b"+ACK", held: sender };
    let proxy = Proxy::start_tapped(address(&server), tap).await.expect("a proxy");
    let mut workers = workers();
    workers.ack_wait = std::time::Duration::from_secs(1);
    let session = live(&url(&proxy), workers).await;
    publish(&server.url(), numbered(0..1)).await;
    take(&session.messages()).await.ack();
    held(&mut holding).await.swallow();
    drop(holding);
    let again = take(&session.messages()).await;
    assert_eq!((again.sequence, again.redelivered), (1, true));
    again.ack();
    until_acked(&server.url(), 1).await;
}
