//! Acknowledgements that are late: of messages that the broker lost with its power.

use std::fs;
use std::time::Duration;

use stan::{Message, Messages, Options, Session, SessionState};
use testbed::broker::CLUSTER_ID;
use testbed::{Broker, BrokerOptions, Proxy, eventually};
use tokio::time::timeout;

use super::{CHANNEL, PATIENCE, connect, file, group, repair};

/// A group of which one member has two messages acknowledged and one in hand, behind a proxy.
struct Scene {
    broker: Broker,
    proxy: Proxy,
    session: Session,
    lost: Message,
}

impl Scene {
    /// The store of the broker as it was before the third message is put back while it is down.
    async fn set() -> Self {
        let mut broker = Broker::start(BrokerOptions::default()).await.expect("a broker");
        let address = ([127, 0, 0, 1], broker.port()).into();
        let mut proxy = Proxy::start(address).await.expect("a proxy");
        let url = format!("nats://127.0.0.1:{}", proxy.port());
        let mut group = group();
        // Nothing that comes in time has waited for it.
        group.ack_wait = Duration::from_mins(5);
        let options = Options::new(&url, CLUSTER_ID, "steady");
        let session = Session::supervise(options, group).await.expect("a session");
        let messages = session.messages();
        for text in ["1", "2"] {
            publish(&broker, text).await;
            take(&messages).await.ack();
        }
        eventually_pending(&broker, 0).await;
        let stored = ["orders/msgs.1.dat", "orders/msgs.1.idx"].map(|name| {
            let path = file(&broker, name);
            (fs::read(&path).expect("there"), path)
        });
        publish(&broker, "lost").await;
        let lost = take(&messages).await;
        eventually_pending(&broker, 1).await;

        broker.kill().expect("killed");
        proxy.cut().await;
        for (content, path) in stored {
            fs::write(path, content).expect("written");
        }
        assert!(repair(&broker).contains("subs.dat: kept"));
        broker.start_again().await.expect("started");
        Self { broker, proxy, session, lost }
    }
}

async fn publish(broker: &Broker, text: &'static str) {
    let publisher = connect(broker, "publisher").await;
    publisher.publish(CHANNEL, text.into()).await.expect("confirmed");
    publisher.close().await.expect("closed");
}

async fn take(messages: &Messages) -> Message {
    timeout(PATIENCE, messages.recv()).await.expect("in time").expect("a message")
}

async fn eventually_pending(broker: &Broker, expected: u64) {
    eventually("the acknowledgements have come", PATIENCE, async || {
        let channel = broker.channel(CHANNEL).await.ok()?;
        let pending: u64 = channel.subscriptions.iter().map(|one| one.pending_count).sum();
        (pending == expected).then_some(())
    })
    .await;
}

/// The broker delivers a message before it is synced. One that loses it with its power gives its
/// sequence to the next, which it confirms; its clients keep their registrations.
#[tokio::test]
async fn a_late_ack_of_a_lost_message_acknowledges_no_other() {
    let Scene { broker, mut proxy, session, lost } = Scene::set().await;
    let (messages, mut state) = (session.messages(), session.monitor().state());
    publish(&broker, "kept").await;
    eventually_pending(&broker, 1).await;
    let away = state.wait_for(|state| *state != SessionState::Live);
    timeout(PATIENCE, away).await.expect("in time").expect("supervised");
    assert_eq!(lost.sequence, 3);
    lost.ack();
    proxy.heal().await.expect("healed");

    let kept = take(&messages).await;
    assert_eq!((kept.sequence, &kept.data[..]), (3, &b"kept"[..]));
    assert_eq!(session.monitor().stats().session_rebuilds, 0, "it is the same registration");
    kept.ack();
    eventually_pending(&broker, 0).await;
    session.close().await;
}

#[tokio::test]
async fn an_ack_after_the_restart_of_a_message_lost_before_it_acknowledges_no_other() {
    let Scene { broker, mut proxy, session, lost } = Scene::set().await;
    publish(&broker, "kept").await;
    proxy.heal().await.expect("healed");
    let kept = take(&session.messages()).await;
    assert_eq!((kept.sequence, lost.sequence), (3, 3));
    lost.ack();
    // All acknowledgements are sent before it is closed.
    session.close().await;
    eventually_pending(&broker, 1).await;
    drop(kept);
}
