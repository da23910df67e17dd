//! Staying registered: heartbeats answered whatever the user does, pings sent, losses told.

use std::time::Duration;

use futures_util::future::join_all;
use stan::connection::ConnectionState;
use stan::{
    Connection, Error, Lost, Options, PublishError, Session, SessionState, SubscriptionOptions,
};
use testbed::{Broker, BrokerOptions, Proxy, broker::GUEST_CLUSTER_ID, eventually};
use tokio::time::timeout;

use crate::bench::{PATIENCE, broker, forgetful_broker, group, options};
use crate::fake::{self, Fake};
use crate::wire::{ConnectRequest, Ping, Tap, decoded, until_links};

async fn until_lost(connection: &Connection) -> Lost {
    let mut state = connection.state();
    let lost = state.wait_for(|state| matches!(state, ConnectionState::Lost(_)));
    match *timeout(PATIENCE, lost).await.expect("noticed in time").expect("a connection") {
        ConnectionState::Lost(lost) => lost,
        state => panic!("{state:?}"),
    }
}

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

fn guest_options(guest: &Broker, client_id: &str) -> Options {
    let mut options = options(&guest.url(), client_id);
    options.cluster_id = GUEST_CLUSTER_ID.to_owned();
    options
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

/// §4.29, `TestCheckClientHealth`.
#[tokio::test]
async fn a_client_that_answers_heartbeats_is_not_evicted() {
    let broker = brisk_broker().await;
    let connection = Connection::connect(options(&broker.url(), "healthy")).await.expect("open");
    outlive_heartbeats(&broker, "healthy").await;
    connection.close().await.expect("still registered");
}

/// §4.43: heartbeats are answered while the user's consumer blocks its thread, its queue full.
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
        released.recv().expect("released by the test");
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

/// §4.2, `TestPings`: they carry the connection's id, and their end is told once.
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

/// §4.2, `TestPings`: also when NATS itself is gone.
#[tokio::test]
async fn a_killed_nats_server_is_a_loss() {
    let mut broker = broker().await;
    let connection = Connection::connect(options(&broker.url(), "pinger")).await.expect("open");
    broker.kill().expect("killed");
    assert_eq!(until_lost(&connection).await, Lost::PingsUnanswered);
}

/// Own: a server of protocol 0 would not know what a ping is.
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

/// §4.4, `TestPingsCloseUnlockPubCalls`: those that wait for an ack and those for a place.
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

/// §4.3, `TestPingsResponseError`; §4.43: a replaced client sends no Close and no `SubClose`.
#[tokio::test]
async fn a_client_replaced_while_cut_off_learns_it_and_says_nothing_more() {
    let broker = broker().await;
    let mut proxy = Proxy::start(([127, 0, 0, 1], broker.port()).into()).await.expect("a proxy");
    let url = format!("nats://127.0.0.1:{}", proxy.port());
    let mut patient = options(&url, "same");
    patient.ping_max_out = 100;
    let old = Connection::connect(patient).await.expect("open");
    let subscription = old.subscribe(group()).await.expect("subscribed");
    proxy.cut().await;
    until_links(&broker, "same", 0).await;
    let new = Connection::connect(options(&broker.url(), "same")).await.expect("takes over");
    let mut requests = Tap::on(&broker, "_STAN.*.waybill").await;
    proxy.heal().await.expect("healed");
    assert_eq!(until_lost(&old).await, Lost::Replaced);
    for outcome in [
        subscription.close().await,
        subscription.unsubscribe().await,
        old.subscribe(group()).await.map(drop),
    ] {
        assert!(matches!(outcome, Err(Error::SessionLost(Lost::Replaced))), "{outcome:?}");
    }
    old.close().await.expect("in silence");
    drop((subscription, old));
    until_links(&broker, "same", 1).await;
    assert_eq!(requests.count().await, 0);
    new.publish("orders", "still registered".into()).await.expect("acknowledged");
}

/// §4.43: not even before a ping has told it, for then it asks first.
#[tokio::test]
async fn a_client_that_does_not_know_yet_that_it_is_replaced_asks_before_it_closes() {
    let broker = broker().await;
    for by_hand in [true, false] {
        let address = ([127, 0, 0, 1], broker.port()).into();
        let mut proxy = Proxy::start(address).await.expect("a proxy");
        let mut unaware = options(&format!("nats://127.0.0.1:{}", proxy.port()), "same");
        unaware.ping_interval = Duration::from_secs(600);
        let old = Connection::connect(unaware).await.expect("open");
        proxy.cut().await;
        until_links(&broker, "same", 0).await;
        let new = Connection::connect(options(&broker.url(), "same")).await.expect("takes over");
        let mut requests = Tap::on(&broker, "_STAN.*.waybill").await;
        proxy.heal().await.expect("healed");
        until_links(&broker, "same", 2).await;
        if by_hand {
            let closed = old.close().await;
            assert!(matches!(closed, Err(Error::SessionLost(Lost::Replaced))), "{closed:?}");
        }
        drop(old);
        until_links(&broker, "same", 1).await;
        assert_eq!(requests.count().await, 0);
        new.publish("orders", "still registered".into()).await.expect("acknowledged");
        new.close().await.expect("closed by its own hand");
        drop(new);
        until_links(&broker, "same", 0).await;
    }
}

/// §4.30, `TestClientPings`: the server that forgot us says so.
#[tokio::test]
async fn publishing_to_a_server_that_forgot_us_is_refused_and_the_loss_is_noticed() {
    let mut broker = forgetful_broker().await;
    let connection = Connection::connect(options(&broker.url(), "publisher")).await.expect("open");
    broker.kill().expect("killed");
    broker.start_again().await.expect("started again");
    until_lost(&connection).await;
    let error = connection.publish("orders", "late".into()).await.expect_err("lost");
    assert_eq!(error, PublishError::ConnectionClosed);
}

/// §4.30, `TestPersistentStoreClientPings`; §4.43: NATS up, STAN down and back.
#[tokio::test]
async fn a_registration_holds_over_a_restart_of_a_streaming_server_with_a_file_store() {
    let host = broker().await;
    let mut guest = Broker::start_on(&host, BrokerOptions::default()).await.expect("a guest");
    let mut patient = guest_options(&guest, "steady");
    patient.ping_max_out = 100;
    let connection = Connection::connect(patient).await.expect("open");
    guest.kill().expect("killed");
    let error = connection.publish("orders", "early".into()).await.expect_err("nobody is there");
    assert_eq!(error, PublishError::NoResponders, "not the 30 s of a time-out, and no success");
    guest.start_again().await.expect("started again");
    let mut pings = Tap::on(&host, &format!("_STAN.discover.{GUEST_CLUSTER_ID}.pings")).await;
    let mut answers = Tap::on(&host, pings.next().await.reply.expect("a reply").as_str()).await;
    for _ in 0..2 {
        let answer = answers.next().await;
        assert_eq!((answer.status, answer.payload.len()), (None, 0), "a ping is answered well");
    }
    assert_eq!(*connection.state().borrow(), ConnectionState::Open);
    connection.publish("orders", "late".into()).await.expect("acknowledged");
    assert_eq!(guest.channel("orders").await.expect("state").last_seq, 1);
}

/// §4.43: NATS up, STAN down. "No responders" answers the pings, and is no sign of life; the
/// lost connection no longer answers heartbeats, so its name is free for the next.
#[tokio::test]
async fn a_streaming_server_that_is_gone_while_nats_stays_is_a_loss() {
    let host = broker().await;
    let mut guest = Broker::start_on(&host, BrokerOptions::default()).await.expect("a guest");
    let old = Connection::connect(guest_options(&guest, "same")).await.expect("open");
    guest.kill().expect("killed");
    assert_eq!(until_lost(&old).await, Lost::PingsUnanswered);
    guest.start_again().await.expect("started again");
    assert_eq!(guest.clients().await.expect("clients").len(), 1, "the server knows the old one");
    let new = Connection::connect(guest_options(&guest, "same")).await.expect("takes over");
    old.close().await.expect("in silence");
    new.publish("orders", "mine".into()).await.expect("acknowledged");
}

/// §4.43: NATS up, STAN down for longer than the pings allow; the session goes on after it.
#[tokio::test]
async fn a_session_goes_on_when_the_streaming_server_is_back() {
    let host = broker().await;
    let mut guest = Broker::start_on(&host, BrokerOptions::default()).await.expect("a guest");
    let session = Session::supervise(guest_options(&guest, "worker"), group()).await;
    let session = session.expect("a session");
    let mut state = session.monitor().state();
    let mut until = async |wanted: fn(&SessionState) -> bool| {
        timeout(PATIENCE, state.wait_for(wanted)).await.expect("in time").expect("a session");
    };
    until(|state| *state == SessionState::Live).await;
    guest.kill().expect("killed");
    until(|state| matches!(state, SessionState::Lost(Lost::PingsUnanswered))).await;
    until(|state| matches!(state, SessionState::Retrying(_))).await;
    guest.start_again().await.expect("started again");
    until(|state| *state == SessionState::Live).await;
    let publisher = Connection::connect(guest_options(&guest, "publisher")).await.expect("open");
    publisher.publish("orders", "after".into()).await.expect("acknowledged");
    let message = timeout(PATIENCE, session.messages().recv()).await.expect("in time");
    message.expect("an open stream").ack();
    session.close().await;
    let one_left = async || guest.clients().await.expect("clients").len() == 1;
    eventually("it has left", PATIENCE, async || one_left().await.then_some(())).await;
}
