//! The supervised session over links and servers that fail: what was held comes back at once,
//! nothing in hand comes twice, late acks count, and no member is left behind in the server.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use stan::{Connection, Message, Messages, Monitor, Session, SessionState};
use testbed::{Broker, BrokerOptions, Direction, Proxy, eventually};
use tokio::time::timeout;

use crate::harness::{
    PATIENCE, broker, eventually_lag, group, lag, numbered, options, publish, take,
};

/// Far more than [`PATIENCE`]: what comes within that did not wait for it.
const ACK_WAIT: Duration = Duration::from_mins(5);

/// A session behind a proxy that has five messages in hand and five acknowledged.
struct Scene {
    broker: Broker,
    proxy: Proxy,
    session: Session,
    messages: Messages,
    monitor: Monitor,
    held: Vec<Message>,
}

impl Scene {
    async fn set() -> Self {
        Self::set_on(broker().await).await
    }

    async fn set_on(broker: Broker) -> Self {
        let proxy = Proxy::start(([127, 0, 0, 1], broker.port()).into()).await.expect("a proxy");
        let url = format!("nats://127.0.0.1:{}", proxy.port());
        let mut group = group();
        group.ack_wait = ACK_WAIT;
        let session = Session::supervise(options(&url, "steady"), group).await.expect("a session");
        publish(&broker, numbered(0..10)).await;
        let (messages, monitor) = (session.messages(), session.monitor());
        for _ in 0..5 {
            take(&messages).await.ack();
        }
        let mut held = Vec::new();
        for _ in 0..5 {
            held.push(take(&messages).await);
        }
        eventually_lag(&broker, "five are in hand", (0, 5, 1)).await;
        Self { broker, proxy, session, messages, monitor, held }
    }

    async fn until_noticed(&self) {
        until(&self.monitor, |state| *state != SessionState::Live).await;
    }

    /// The ten messages published meanwhile come; then those in hand are acknowledged.
    async fn recover(self) {
        let Self { broker, proxy, session, messages, monitor, held } = self;
        let in_hand: HashSet<u64> = held.iter().map(|message| message.sequence).collect();
        let mut missing: HashSet<u64> = (11..=20).collect();
        while !missing.is_empty() {
            let message = take(&messages).await;
            assert!(!in_hand.contains(&message.sequence), "{} is in hand", message.sequence);
            missing.remove(&message.sequence);
            message.ack();
        }
        until(&monitor, |state| *state == SessionState::Live).await;
        held.into_iter().for_each(Message::ack);
        // Acks that the link lost make their messages come again: the user acks those again.
        let acking = async {
            while let Some(message) = messages.recv().await {
                message.ack();
            }
        };
        let checking = async {
            eventually_lag(&broker, "late acks find the live inbox", (0, 0, 1)).await;
            let delivered = monitor.stats().delivered;
            publish(&broker, numbered(20..21)).await;
            eventually("the one member is read from", PATIENCE, async || {
                (monitor.stats().delivered > delivered).then_some(())
            })
            .await;
            eventually_lag(&broker, "all is acked", (0, 0, 1)).await;
            let clients = broker.clients().await.expect("clients");
            let clients: Vec<_> = clients.iter().map(|c| (c.id.as_str(), c.subs_count)).collect();
            assert_eq!(clients, [("steady", 1)], "exactly our registration and subscription");
            session.close().await;
        };
        tokio::join!(acking, checking);
        eventually_lag(&broker, "nobody is left in the group", (0, 0, 0)).await;
        assert!(broker.clients().await.expect("clients").is_empty());
        drop(proxy);
    }
}

async fn until(monitor: &Monitor, wanted: impl FnMut(&SessionState) -> bool) {
    let mut state = monitor.state();
    timeout(PATIENCE, state.wait_for(wanted)).await.expect("in time").expect("supervised");
}

async fn until_rebuilt(monitor: &Monitor) {
    eventually("a new registration", PATIENCE, async || {
        (monitor.stats().session_rebuilds > 0).then_some(())
    })
    .await;
}

fn signal(broker: &Broker, signal: &str) {
    let sent = Command::new("kill").args([signal, &broker.id().to_string()]).status();
    assert!(sent.expect("the kill program").success());
}

#[tokio::test]
async fn a_cut_link_keeps_the_registration_and_brings_what_was_missed_at_once() {
    let mut scene = Scene::set().await;
    scene.proxy.cut().await;
    scene.until_noticed().await;
    publish(&scene.broker, numbered(10..20)).await;
    scene.proxy.heal().await.expect("healed");
    let monitor = scene.monitor.clone();
    scene.recover().await;
    assert_eq!(monitor.stats().session_rebuilds, 0, "the server never forgot us");
}

#[tokio::test]
async fn a_link_that_flaps_leaves_one_member() {
    let mut scene = Scene::set().await;
    for n in 10..20 {
        scene.proxy.cut().await;
        publish(&scene.broker, numbered(n..n + 1)).await;
        let before = scene.monitor.stats().reconnects;
        scene.proxy.heal().await.expect("healed");
        // No wait for the subscription: the next cut is to come in the middle of its renewal.
        eventually("the link is back", PATIENCE, async || {
            (scene.monitor.stats().reconnects > before).then_some(())
        })
        .await;
    }
    scene.recover().await;
}

#[tokio::test]
async fn a_black_hole_towards_the_server_is_noticed_by_pings() {
    black_hole(&[Direction::ToServer]).await;
}

#[tokio::test]
async fn a_black_hole_towards_the_client_is_noticed_by_pings() {
    black_hole(&[Direction::ToClient]).await;
}

#[tokio::test]
async fn a_black_hole_both_ways_is_noticed_by_pings() {
    black_hole(&[Direction::ToServer, Direction::ToClient]).await;
}

async fn black_hole(directions: &[Direction]) {
    let mut scene = Scene::set().await;
    for direction in directions {
        scene.proxy.black_hole(*direction);
    }
    publish(&scene.broker, numbered(10..20)).await;
    scene.until_noticed().await;
    scene.proxy.heal().await.expect("healed");
    until_rebuilt(&scene.monitor).await;
    scene.recover().await;
}

/// `TestCheckClientHealth` turned round: who does not answer is evicted, and comes back.
#[tokio::test]
async fn a_session_evicted_by_heartbeats_registers_again() {
    let mut scene = Scene::set().await;
    scene.proxy.black_hole(Direction::ToServer);
    scene.proxy.black_hole(Direction::ToClient);
    publish(&scene.broker, numbered(10..20)).await;
    eventually("the server gives the client up", PATIENCE, async || {
        let clients = scene.broker.clients().await.ok()?;
        clients.iter().all(|client| client.id != "steady").then_some(())
    })
    .await;
    scene.proxy.heal().await.expect("healed");
    until_rebuilt(&scene.monitor).await;
    scene.recover().await;
}

/// A half-open link: the peer's kernel still takes bytes, the server reads none of them.
#[tokio::test]
async fn a_server_that_hangs_and_wakes_is_noticed_and_used_again() {
    let scene = Scene::set().await;
    signal(&scene.broker, "-STOP");
    scene.until_noticed().await;
    signal(&scene.broker, "-CONT");
    publish(&scene.broker, numbered(10..20)).await;
    scene.recover().await;
}

/// The late ack after the session was rebuilt, where the server kept what it had sent.
#[tokio::test]
async fn a_server_away_for_longer_than_the_ping_budget_is_waited_for() {
    let mut scene = Scene::set().await;
    scene.broker.kill().expect("killed");
    until(&scene.monitor, |state| matches!(state, SessionState::Lost(_))).await;
    scene.broker.start_again().await.expect("started again");
    publish(&scene.broker, numbered(10..20)).await;
    until_rebuilt(&scene.monitor).await;
    scene.recover().await;
}

/// For sessions, `TestPingsResponseError`, and what comes after.
#[tokio::test]
async fn a_replaced_session_comes_back_when_its_replacement_leaves() {
    let mut scene = Scene::set().await;
    scene.proxy.cut().await;
    scene.until_noticed().await;
    let usurper = Connection::connect(options(&scene.broker.url(), "steady")).await.expect("taken");
    publish(&scene.broker, numbered(10..20)).await;
    scene.proxy.heal().await.expect("healed");
    until(&scene.monitor, |state| matches!(state, SessionState::Lost(stan::Lost::Replaced))).await;
    let refused = |state: &SessionState| matches!(state, SessionState::Retrying(text) if text.contains("already registered"));
    until(&scene.monitor, refused).await;
    usurper.publish("elsewhere", "still mine".into()).await.expect("acknowledged");
    usurper.close().await.expect("closed");
    scene.recover().await;
}

#[tokio::test]
async fn a_session_closed_while_its_link_is_down_ends_within_its_time() {
    let mut scene = Scene::set().await;
    scene.proxy.cut().await;
    scene.until_noticed().await;
    timeout(PATIENCE, scene.session.close()).await.expect("each step is bounded");
    assert!(scene.messages.recv().await.is_none(), "the stream ends");
    scene.proxy.heal().await.expect("healed");
    eventually("the server gives the client up", PATIENCE, async || {
        scene.broker.clients().await.ok()?.is_empty().then_some(())
    })
    .await;
    eventually_lag(&scene.broker, "what was in hand waits for the next", (0, 5, 0)).await;
}

/// `TestSubTimeout`, where the link loses the closing message too.
#[tokio::test]
async fn a_subscription_whose_closing_was_lost_too_is_closed_before_the_next() {
    let host = broker().await;
    // No heartbeats nor pings: the requests alone are counted below.
    let rarely = Duration::from_mins(1);
    let quiet = BrokerOptions { heartbeat_interval: rarely, ..BrokerOptions::default() };
    let guest = Broker::start_on(&host, quiet).await.expect("a guest");
    let mut proxy = Proxy::start(([127, 0, 0, 1], host.port()).into()).await.expect("a proxy");
    let mut options = options(&format!("nats://127.0.0.1:{}", proxy.port()), "steady");
    testbed::broker::GUEST_CLUSTER_ID.clone_into(&mut options.cluster_id);
    options.ping_interval = rarely;
    let connection = Connection::connect(options).await.expect("a connection");
    guest_publish(&guest, "before").await;

    signal(&guest, "-STOP");
    let subscribing = tokio::spawn({
        let connection = connection.clone();
        async move { connection.subscribe(group()).await }
    });
    eventually("the request is on its way", PATIENCE, async || {
        (host_messages(&host, "steady").await >= 2).then_some(())
    })
    .await;
    proxy.black_hole(Direction::ToServer);
    subscribing.await.expect("no panic").expect_err("no answer in time");
    signal(&guest, "-CONT");
    eventually_lag(&guest, "the server makes a member that nobody reads", (0, 1, 1)).await;
    proxy.heal().await.expect("healed");

    let subscription = connection.subscribe(group()).await.expect("subscribed");
    assert_eq!(lag(&guest).await.2, 1, "the one live member is the new one");
    let message = take(&subscription.messages()).await;
    assert_eq!(&message.data[..], b"before");
    message.ack();
    connection.close().await.expect("closed");
}

/// How many messages the NATS server took from a client.
async fn host_messages(host: &Broker, name: &str) -> u64 {
    let port = host.monitor_url().rsplit(':').next().and_then(|port| port.parse().ok());
    let (_, body) = testbed::http::get(port.expect("a port"), "/connz").await.expect("connz");
    let client = body.split('{').find(|part| part.contains(&format!("\"name\": \"{name}\"")));
    let count = client.and_then(|client| client.split("\"in_msgs\":").nth(1)).unwrap_or("0");
    let digits: String = count.trim().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

/// NATS up and STAN down.
#[tokio::test]
async fn a_short_absence_of_the_streaming_server_alone_keeps_the_registration() {
    let host = broker().await;
    let mut guest = Broker::start_on(&host, BrokerOptions::default()).await.expect("a guest");
    let session = guest_session(&guest).await;
    guest.kill().expect("killed");
    guest.start_again().await.expect("started again");
    guest_publish(&guest, "after").await;
    let message = take(&session.messages()).await;
    assert_eq!(&message.data[..], b"after");
    message.ack();
    eventually_lag(&guest, "the same member acked", (0, 0, 1)).await;
    let stats = session.monitor().stats();
    assert_eq!((stats.session_rebuilds, stats.reconnects), (0, 0));
    session.close().await;
    eventually_lag(&guest, "nobody is left", (0, 0, 0)).await;
}

/// NATS up and STAN down for longer than the ping budget, then back with its store.
#[tokio::test]
async fn a_long_absence_of_the_streaming_server_alone_is_noticed_and_told() {
    let host = broker().await;
    absence(&host, Broker::start_on(&host, BrokerOptions::default()).await.expect("a guest")).await;
}

/// NATS up and STAN down, and back with nothing.
#[tokio::test]
async fn a_streaming_server_that_comes_back_with_nothing_gets_a_new_registration() {
    let host = broker().await;
    let options = BrokerOptions { keeps_messages: false, ..BrokerOptions::default() };
    absence(&host, Broker::start_on(&host, options).await.expect("a guest")).await;
}

async fn absence(host: &Broker, mut guest: Broker) {
    let session = guest_session(&guest).await;
    let monitor = session.monitor();
    guest.kill().expect("killed");
    until(&monitor, |state| *state == SessionState::Lost(stan::Lost::PingsUnanswered)).await;
    let told = |state: &SessionState| matches!(state, SessionState::Retrying(text) if text.contains("no streaming server"));
    until(&monitor, told).await;
    guest.start_again().await.expect("started again");
    until(&monitor, |state| *state == SessionState::Live).await;
    guest_publish(&guest, "after").await;
    let message = take(&session.messages()).await;
    assert_eq!(&message.data[..], b"after");
    message.ack();
    eventually_lag(&guest, "one member, all acked", (0, 0, 1)).await;
    let stats = monitor.stats();
    assert_eq!((stats.session_rebuilds, stats.reconnects), (1, 0));
    session.close().await;
    assert!(guest.clients().await.expect("clients").is_empty());
    assert!(host.clients().await.expect("clients").is_empty());
}

async fn guest_session(guest: &Broker) -> Session {
    let mut options = options(&guest.url(), "steady");
    testbed::broker::GUEST_CLUSTER_ID.clone_into(&mut options.cluster_id);
    let session = Session::supervise(options, group()).await.expect("a session");
    until(&session.monitor(), |state| *state == SessionState::Live).await;
    session
}

async fn guest_publish(guest: &Broker, text: &'static str) {
    let mut options = options(&guest.url(), "publisher");
    testbed::broker::GUEST_CLUSTER_ID.clone_into(&mut options.cluster_id);
    let publisher = Connection::connect(options).await.expect("a connection");
    publisher.publish("orders", text.into()).await.expect("acknowledged");
    publisher.close().await.expect("closed");
}
