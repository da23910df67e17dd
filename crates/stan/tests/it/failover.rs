//! Two fault-tolerant streaming servers with one store: the second takes over from the first.

use std::collections::HashSet;
use std::time::Duration;

use stan::{Connection, Message, Options, Session, SessionState};
use testbed::{Broker, BrokerOptions, broker::GUEST_CLUSTER_ID, eventually};

use crate::harness::{PATIENCE, broker, eventually_lag, group, options, take, take_many};

fn guest_options(host: &Broker, client_id: &str) -> Options {
    let mut options = options(&host.url(), client_id);
    GUEST_CLUSTER_ID.clone_into(&mut options.cluster_id);
    options
}

async fn publish(connection: &Connection, numbers: std::ops::Range<u32>) {
    for number in numbers {
        connection.publish("orders", number.to_string().into()).await.expect("acknowledged");
    }
}

/// Failover of fault-tolerant servers: the registration, the group and its messages are in
/// the store they share, so nothing is lost, and what is in hand is not yielded again.
#[tokio::test]
async fn a_session_goes_on_when_the_standby_takes_over() {
    let host = broker().await;
    let pair = Broker::start_pair_on(&host, BrokerOptions::default()).await;
    let (mut active, mut standby) = pair.expect("a pair");
    let mut impatient = group();
    impatient.ack_wait = Duration::from_secs(2);
    let session = Session::supervise(guest_options(&host, "steady"), impatient).await;
    let session = session.expect("a session");
    let (messages, monitor) = (session.messages(), session.monitor());
    let mut patient = guest_options(&host, "publisher");
    patient.ping_max_out = 100;
    let publisher = Connection::connect(patient).await.expect("open");
    publish(&publisher, 0..20).await;
    let mut held = take_many(&messages, 20).await;
    held.drain(..10).for_each(Message::ack);
    eventually_lag(&active, "half is in hand", (0, 10, 1)).await;

    active.kill().expect("killed");
    standby.until_active().await.expect("it takes over");
    // What the publisher is told to be stored by the one must come from the other.
    eventually("the publisher finds the other", PATIENCE, async || {
        publisher.publish("orders", "20".into()).await.ok()
    })
    .await;
    publish(&publisher, 21..40).await;
    let in_hand: HashSet<u64> = held.iter().map(|message| message.sequence).collect();
    let mut missing: HashSet<u64> = (21..=40).collect();
    while !missing.is_empty() {
        let message = take(&messages).await;
        // A server keeps acks in a buffer for a while: what it had not written comes again.
        assert!(message.sequence > 20 || message.redelivered, "{message:?}");
        assert!(!in_hand.contains(&message.sequence), "{} is in hand", message.sequence);
        missing.remove(&message.sequence);
        message.ack();
    }
    eventually("what is in hand is offered again", PATIENCE, async || {
        (monitor.stats().duplicates_suppressed >= 10).then_some(())
    })
    .await;
    while monitor.depth().messages > 0 {
        let message = take(&messages).await;
        assert!(!in_hand.contains(&message.sequence), "{} is in hand", message.sequence);
        message.ack();
    }
    held.into_iter().for_each(Message::ack);
    let user = tokio::spawn(async move {
        let mut last = 0;
        while let Some(message) = messages.recv().await {
            last = last.max(message.sequence);
            message.ack();
        }
        last
    });
    eventually_lag(&standby, "all is acked, late acks too", (0, 0, 1)).await;
    let clients = standby.clients().await.expect("clients");
    assert_eq!(clients.len(), 2, "the session and the publisher: {clients:?}");

    // And back again.
    active.start_again().await.expect("it stands by");
    standby.stop().await.expect("stopped");
    active.until_active().await.expect("it takes over");
    eventually("the publisher finds the first again", PATIENCE, async || {
        publisher.publish("orders", "40".into()).await.ok()
    })
    .await;
    eventually_lag(&active, "all is acked by the same member", (0, 0, 1)).await;
    assert_eq!(*monitor.state().borrow(), SessionState::Live);
    publisher.close().await.expect("closed");
    session.close().await;
    eventually_lag(&active, "nobody is left", (0, 0, 0)).await;
    assert!(active.clients().await.expect("clients").is_empty());
    assert!(user.await.expect("no panic") >= 41, "the last of them was delivered");
}

/// Failover: what the publisher was told to be stored is, whenever the server was killed.
#[tokio::test]
async fn what_was_acknowledged_before_the_active_server_died_is_all_there_after_it() {
    let host = broker().await;
    let pair = Broker::start_pair_on(&host, BrokerOptions::default()).await;
    let (mut active, mut standby) = pair.expect("a pair");
    let mut options = guest_options(&host, "publisher");
    options.ping_max_out = 100;
    options.pub_ack_timeout = Duration::from_secs(1);
    let publisher = Connection::connect(options).await.expect("open");
    let mut stored = HashSet::new();
    let mut acks = Vec::new();
    for number in 0..300_u32 {
        let ack = publisher.publish_async("orders", number.to_string().into()).await;
        acks.push((number, ack.expect("sent")));
        if number == 200 {
            for (number, ack) in acks.drain(..100) {
                ack.await.expect("acknowledged");
                stored.insert(number);
            }
            active.kill().expect("killed");
        }
    }
    for (number, ack) in acks {
        if ack.await.is_ok() {
            stored.insert(number);
        }
    }
    assert!(stored.len() < 300, "nobody was there to take the last of them");
    standby.until_active().await.expect("it takes over");
    let session = Session::supervise(guest_options(&host, "steady"), group()).await;
    let session = session.expect("a session");
    let messages = session.messages();
    while !stored.is_empty() {
        let message = take(&messages).await;
        let text = std::str::from_utf8(&message.data).expect("our text");
        stored.remove(&text.parse().expect("our number"));
        message.ack();
    }
    session.close().await;
}
