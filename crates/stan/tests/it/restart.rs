//! Restarts: of the server under a client, and of the client's own pod.

use testbed::{Direction, Proxy, eventually};
use tokio::time::timeout;

use stan::{Session, SessionState};

use crate::harness::{
    PATIENCE, ack_all, broker, connect, eventually_lag, group, numbered, options, publish,
    sequences, session, take_many,
};

/// `TestPersistentStoreAutomaticDeliveryOnRestart`.
#[tokio::test]
async fn a_subscription_goes_on_over_a_restart_of_the_server_without_subscribing_again() {
    let mut broker = broker().await;
    publish(&broker, numbered(0..10)).await;
    let connection = connect(&broker, "subscriber").await;
    let subscription = connection.subscribe(group()).await.expect("subscribed");
    let messages = subscription.messages();
    ack_all(take_many(&messages, 10).await);
    eventually_lag(&broker, "all is acked", (0, 0, 1)).await;
    let before = broker.channel("orders").await.expect("state").subscriptions[0].ack_inbox.clone();
    broker.stop().await.expect("stopped");
    broker.start_again().await.expect("started");
    // What is sent before our link is back comes again only after the ack wait.
    eventually("the link is back", PATIENCE, async || {
        connection.publish("elsewhere", "a sign of life".into()).await.ok()
    })
    .await;
    publish(&broker, numbered(10..20)).await;
    let news = take_many(&messages, 10).await;
    assert_eq!(sequences(&news), (11..=20).collect::<Vec<_>>());
    ack_all(news);
    eventually_lag(&broker, "the acks find their way", (0, 0, 1)).await;
    let after = broker.channel("orders").await.expect("state").subscriptions[0].ack_inbox.clone();
    assert_eq!(before, after, "it is the same subscription");
    connection.close().await.expect("closed");
}

/// A pod comes back under its name while its half-dead predecessor still holds messages.
#[tokio::test]
async fn a_restarted_pod_takes_over_at_once_and_its_predecessor_stays_silent() {
    let broker = broker().await;
    let mut proxy = Proxy::start(([127, 0, 0, 1], broker.port()).into()).await.expect("a proxy");
    let url = format!("nats://127.0.0.1:{}", proxy.port());
    publish(&broker, numbered(0..20)).await;
    let old = Session::supervise(options(&url, "pod-0"), group()).await.expect("a session");
    let held = take_many(&old.messages(), 20).await;
    // Its link stands, but nothing comes through.
    proxy.black_hole(Direction::ToServer);
    proxy.black_hole(Direction::ToClient);

    let new = session(&broker, "pod-0").await;
    let messages = new.messages();
    // The ack wait is 30 s, and the first copies are still in the hands of the old one.
    let mut again = timeout(PATIENCE, take_many(&messages, 20)).await.expect("at once");
    assert!(again.iter().all(|message| message.redelivered));
    ack_all(again.split_off(10));
    eventually_lag(&broker, "half is acked", (0, 10, 1)).await;

    proxy.heal().await.expect("healed");
    let mut state = old.monitor().state();
    let refused = state.wait_for(
        |state| matches!(state, SessionState::Retrying(why) if why.contains("already registered")),
    );
    timeout(PATIENCE, refused).await.expect("in time").expect("supervised");
    // Its acks are of no use to anybody now, and it must not make them count twice.
    ack_all(held);
    publish(&broker, numbered(20..30)).await;
    let news = take_many(&messages, 10).await;
    assert_eq!(sequences(&news), (21..=30).collect::<Vec<_>>());
    ack_all(news);
    ack_all(again);
    eventually_lag(&broker, "the new one has it all", (0, 0, 1)).await;
    assert_eq!(new.monitor().stats().session_rebuilds, 0, "it was never disturbed");

    // And when the new one leaves, the old one may have its name back.
    new.close().await;
    let live = state.wait_for(|state| *state == SessionState::Live);
    timeout(PATIENCE, live).await.expect("in time").expect("supervised");
    old.close().await;
    eventually_lag(&broker, "nobody is left", (0, 0, 0)).await;
    eventually("no client is left", PATIENCE, async || {
        broker.clients().await.ok()?.is_empty().then_some(())
    })
    .await;
}
