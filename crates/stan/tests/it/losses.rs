//! Losing a registration: replaced, forgotten, or the streaming server away while NATS stays.

use std::time::Duration;

use stan::ConnectionState;
use stan::{Connection, Error, Lost, Options, PublishError, Session, SessionState};
use testbed::{Broker, BrokerOptions, Proxy, broker::GUEST_CLUSTER_ID, eventually};
use tokio::time::timeout;

use crate::harness::{PATIENCE, broker, forgetful_broker, group, options, until_lost};
use crate::wire::{Tap, until_links};

fn guest_options(guest: &Broker, client_id: &str) -> Options {
    let mut options = options(&guest.url(), client_id);
    GUEST_CLUSTER_ID.clone_into(&mut options.cluster_id);
    options
}

/// `TestPingsResponseError`; a replaced client sends no Close and no `SubClose`.
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

/// Not even before a ping has told it, for then it asks first.
#[tokio::test]
async fn a_client_that_does_not_know_yet_that_it_is_replaced_asks_before_it_closes() {
    let broker = broker().await;
    for by_hand in [true, false] {
        let address = ([127, 0, 0, 1], broker.port()).into();
        let mut proxy = Proxy::start(address).await.expect("a proxy");
        let mut unaware = options(&format!("nats://127.0.0.1:{}", proxy.port()), "same");
        unaware.ping_interval = Duration::from_mins(10);
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

/// `TestClientPings`: the server that forgot us says so.
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

/// `TestPersistentStoreClientPings`; NATS up, STAN down and back.
#[tokio::test]
async fn a_registration_holds_over_a_restart_of_a_streaming_server_with_a_file_store() {
    let host = broker().await;
    let mut guest = Broker::start_on(&host, BrokerOptions::default()).await.expect("a guest");
    let mut patient = guest_options(&guest, "steady");
    patient.ping_max_out = 100;
    let connection = Connection::connect(patient).await.expect("open");
    guest.kill().expect("killed");
    // Until NATS has noticed, it sends the message into the void.
    until_links(&host, "_NSS-waybill-guest", 0).await;
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

/// NATS up, STAN down. "No responders" answers the pings, and is no sign of life; the
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

/// The link goes for good while a server that is away is being asked whether it still
/// knows us.
#[tokio::test]
async fn a_link_lost_for_good_while_the_server_is_away_too_is_dialled_again() {
    let host = broker().await;
    let mut guest = Broker::start_on(&host, BrokerOptions::default()).await.expect("a guest");
    let mut proxy = Proxy::start(([127, 0, 0, 1], host.port()).into()).await.expect("a proxy");
    let mut options = guest_options(&guest, "steady");
    options.url = format!("nats://127.0.0.1:{}", proxy.port());
    // Time for the link to go while the registration still counts.
    options.ping_max_out = 8;
    let session = Session::supervise(options, group()).await.expect("a session");
    let monitor = session.monitor();
    let until = async |what: &str, wanted: fn(&SessionState) -> bool| {
        let mut state = monitor.state();
        let reached = timeout(PATIENCE, state.wait_for(wanted)).await;
        let present = || monitor.state().borrow().clone();
        reached.unwrap_or_else(|_| panic!("{what}: {:?}", present())).expect("the session lives");
    };
    until("the session begins", |state| *state == SessionState::Live).await;
    proxy.cut().await;
    until("the cut is noticed", |state| *state != SessionState::Live).await;
    guest.kill().expect("killed");
    proxy.heal().await.expect("healed");
    let asking = |state: &SessionState| matches!(state, SessionState::Retrying(why) if why.contains("answers the ping request"));
    until("the server is asked whether it knows us", asking).await;
    proxy.cut().await;
    until("the registration is given up", |state| matches!(state, SessionState::Lost(_))).await;
    guest.start_again().await.expect("started again");
    proxy.heal().await.expect("healed");
    until("the session is live", |state| *state == SessionState::Live).await;
    session.close().await;
}

/// NATS up, STAN down for longer than the pings allow; the session goes on after it.
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
