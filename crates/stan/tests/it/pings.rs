//! Staying registered: heartbeats answered whatever the user does, pings sent.

use std::time::Duration;

use futures_util::future::join_all;
use stan::ConnectionState;
use stan::{Connection, Lost, PublishError, Session, SessionState, SubscriptionOptions};
use testbed::{Broker, BrokerOptions, Proxy, eventually};
use tokio::time::timeout;

use crate::fake::{self, Fake};
use crate::harness::{PATIENCE, broker, group, options, until_lost};
use crate::wire::{ConnectRequest, MsgProto, Ping, SubscriptionRequest, Tap, decoded, encoded};

/// Counts the changes of state until the connection is dropped.
fn count_changes(connection: &Connection) -> tokio::task::JoinHandle<Vec<ConnectionState>> {
    let mut state = connection.state();
    tokio::spawn(async move {
        let mut seen = Vec::new();
        while state.changed().await.is_ok() {
            seen.push(*state.borrow_and_update());
        }
        seen
    })
}

async fn brisk_broker() -> Broker {
    let options = BrokerOptions {
        heartbeat_interval: Duration::from_millis(100),
        heartbeat_timeout: Duration::from_secs(1),
        heartbeat_fail_count: 2,
        ..BrokerOptions::default()
    };
    Broker::start(options).await.expect("a broker")
}

/// Waits for more heartbeats than a client survives that does not answer them.
async fn outlive_heartbeats(broker: &Broker, client_id: &str) {
    let clients = broker.clients().await.expect("clients");
    let client = clients.iter().find(|client| client.id == client_id).expect("registered");
    let mut heartbeats = Tap::on(broker, &client.hb_inbox).await;
    for _ in 0..10 {
        heartbeats.next().await;
    }
    assert_eq!(broker.clients().await.expect("clients").len(), clients.len(), "evicted");
}

/// `TestCheckClientHealth`.
#[tokio::test]
async fn a_client_that_answers_heartbeats_is_not_evicted() {
    let broker = brisk_broker().await;
    let connection = Connection::connect(options(&broker.url(), "healthy")).await.expect("open");
    outlive_heartbeats(&broker, "healthy").await;
    connection.close().await.expect("still registered");
}

/// Heartbeats are answered while the user's consumer blocks its thread, its queue full.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn heartbeats_are_answered_while_the_consumer_is_blocked() {
    let broker = brisk_broker().await;
    let connection = Connection::connect(options(&broker.url(), "busy")).await.expect("open");
    let mut tight = SubscriptionOptions::plain("orders");
    tight.queue_max_bytes = 1;
    let subscription = connection.subscribe(tight).await.expect("subscribed");
    let messages = subscription.messages();
    let (taken, is_taken) = tokio::sync::oneshot::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let consumer = tokio::spawn(async move {
        let message = messages.recv().await.expect("a message");
        taken.send(()).expect("the test waits");
        // Blocked plainly, a worker may take the runtime's own I/O down with it.
        tokio::task::block_in_place(|| released.recv()).expect("released by the test");
        message.ack();
    });
    for _ in 0..10 {
        connection.publish("orders", "work".into()).await.expect("acknowledged");
    }
    timeout(PATIENCE, is_taken).await.expect("in time").expect("taken");
    outlive_heartbeats(&broker, "busy").await;
    release.send(()).expect("the consumer waits");
    consumer.await.expect("no panic");
    connection.publish("orders", "more".into()).await.expect("still registered");
}

/// `TestPings`: they carry the connection's id, and their end is told once.
#[tokio::test]
async fn pings_flow_and_when_none_is_answered_the_loss_is_told_once() {
    let broker = broker().await;
    let mut fake = Fake::start(&broker).await;
    let mut connects = Tap::on(&broker, "_STAN.discover.fake").await;
    let options = fake::options(&broker, "pinger");
    let connection = fake.connection(options, &Fake::welcome_with_pings()).await;
    let conn_id = decoded::<ConnectRequest>(&connects.next().await).conn_id;
    let changes = count_changes(&connection);
    for _ in 0..4 {
        let ping = fake.pings.next().await;
        assert_eq!(decoded::<Ping>(&ping).conn_id, conn_id);
        // More answers than the pings it may miss: each must have counted.
        fake.reply(&ping, "").await;
    }
    assert_eq!(*connection.state().borrow(), ConnectionState::Open);
    assert_eq!(until_lost(&connection).await, Lost::PingsUnanswered);
    connection.close().await.expect("nothing is said to a server that is lost");
    drop(connection);
    let changes = changes.await.expect("no panic");
    let lost = changes.iter().filter(|state| matches!(state, ConnectionState::Lost(_))).count();
    assert_eq!(lost, 1, "{changes:?}");
    assert_eq!(fake.closes.count().await, 0);
}

/// A server that allows no ping to stay unanswered, not even the one just sent.
#[tokio::test]
async fn a_server_that_wants_every_ping_answered_beforehand_does_not_end_the_registration() {
    let broker = broker().await;
    let mut fake = Fake::start(&broker).await;
    let mut strict = Fake::welcome_with_pings();
    strict.ping_max_out = 0;
    let connection = fake.connection(fake::options(&broker, "pinger"), &strict).await;
    for _ in 0..2 {
        let ping = fake.pings.next().await;
        fake.reply(&ping, "").await;
    }
    assert_eq!(*connection.state().borrow(), ConnectionState::Open);
    assert_eq!(until_lost(&connection).await, Lost::PingsUnanswered, "when answers stay out");
}

/// `TestPings`: also when NATS itself is gone.
#[tokio::test]
async fn a_killed_nats_server_is_a_loss() {
    let mut broker = broker().await;
    let connection = Connection::connect(options(&broker.url(), "pinger")).await.expect("open");
    broker.kill().expect("killed");
    assert_eq!(until_lost(&connection).await, Lost::PingsUnanswered);
}

/// A server of protocol 0 would not know what a ping is.
#[tokio::test]
async fn a_server_of_protocol_0_is_not_pinged() {
    let broker = broker().await;
    let mut fake = Fake::start(&broker).await;
    let mut connects = Tap::on(&broker, "_STAN.discover.fake").await;
    let mut old = Fake::welcome_with_pings();
    old.protocol = 0;
    let _unpinging = fake.connection(fake::options(&broker, "old"), &old).await;
    let modern = Fake::welcome_with_pings();
    let _pinging = fake.connection(fake::options(&broker, "modern"), &modern).await;
    connects.next().await;
    let pinging = decoded::<ConnectRequest>(&connects.next().await).conn_id;
    for _ in 0..3 {
        let ping = fake.pings.next().await;
        assert_eq!(decoded::<Ping>(&ping).conn_id, pinging);
        fake.reply(&ping, "").await;
    }
}

/// Such a server cannot be asked whether we are still registered, so after a cut the
/// subscription stays as it is; it is not made anew under a name that may be another's.
#[tokio::test]
async fn a_session_with_a_server_of_protocol_0_goes_on_after_a_cut() {
    let broker = broker().await;
    let mut fake = Fake::start(&broker).await;
    let mut proxy = Proxy::start(([127, 0, 0, 1], broker.port()).into()).await.expect("a proxy");
    let mut through = fake::options(&broker, "old");
    through.url = format!("nats://127.0.0.1:{}", proxy.port());
    let session = Session::supervise(through, group()).await.expect("a session");
    let request = fake.connects.next().await;
    fake.reply(&request, encoded(&Fake::welcome())).await;
    let request = fake.subscribes.next().await;
    fake.reply(&request, encoded(&fake::subscribed())).await;
    let inbox = decoded::<SubscriptionRequest>(&request).inbox;
    let mut state = session.monitor().state();
    let mut until = async |wanted: fn(&SessionState) -> bool| {
        timeout(PATIENCE, state.wait_for(wanted)).await.expect("in time").expect("a session");
    };
    until(|state| *state == SessionState::Live).await;
    proxy.cut().await;
    until(|state| matches!(state, SessionState::Retrying(_))).await;
    proxy.heal().await.expect("healed");
    until(|state| *state == SessionState::Live).await;
    assert_eq!(fake.subscribes.count().await, 0);
    let message = MsgProto { sequence: 1, subject: "orders".to_owned(), ..MsgProto::default() };
    let payload: bytes::Bytes = encoded(&message).into();
    let messages = session.messages();
    eventually("the subscription is there again", PATIENCE, async || {
        fake.client.publish(inbox.clone(), payload.clone()).await.expect("sent");
        timeout(Duration::from_millis(100), messages.recv()).await.ok()
    })
    .await
    .expect("an open stream")
    .ack();
}

/// `TestPingsCloseUnlockPubCalls`: those that wait for an ack and those for a place.
#[tokio::test]
async fn publishes_that_wait_end_when_the_session_dies() {
    let broker = broker().await;
    let mut fake = Fake::start(&broker).await;
    let mut narrow = fake::options(&broker, "publisher");
    narrow.max_pub_acks_in_flight = 10;
    let connection = fake.connection(narrow, &Fake::welcome_with_pings()).await;
    let publishes = (0..100).map(|_| connection.publish("orders", "x".into()));
    let outcomes = timeout(PATIENCE, join_all(publishes)).await.expect("all end");
    assert!(outcomes.iter().all(|outcome| *outcome == Err(PublishError::ConnectionClosed)));
    assert_eq!(until_lost(&connection).await, Lost::PingsUnanswered);
    assert_eq!(fake.publishes.count().await, 10, "the rest waited for a place");
}
