//! Servers that stop, are killed, or come back without their streams.

use std::time::Duration;

use jetstream::{Connection, Session, SessionState, Terms};
use testbed::{NatsServer, eventually};
use tokio::time::{sleep, timeout};

use crate::harness::{
    STALL, ack_all, live, numbered, options, publish, server, session, take, take_many, until,
    until_acked, until_live, workers,
};

async fn until_noticed(session: &Session) {
    until(session, |state| matches!(state, SessionState::Retrying(_))).await;
}

async fn goes_on(server: &NatsServer, session: &Session, sequence: u64) {
    let message = timeout(STALL, take(&session.messages())).await.expect("no longer stall");
    assert_eq!(message.sequence, sequence);
    message.ack();
    until_acked(&server.url(), sequence).await;
}

#[tokio::test]
async fn a_session_waits_for_a_server_that_is_not_there_yet() {
    let mut server = server().await;
    server.kill().expect("killed");
    let session = session(&server.url(), workers()).await;
    until_noticed(&session).await;
    server.start_again().await.expect("started");
    until_live(&session).await;
    publish(&server.url(), numbered(0..1)).await;
    goes_on(&server, &session, 1).await;
}

#[tokio::test]
async fn a_session_goes_on_after_its_server_was_stopped() {
    let mut server = server().await;
    let session = live(&server.url(), workers()).await;
    publish(&server.url(), numbered(0..3)).await;
    let held = take_many(&session.messages(), 3).await;
    server.stop().await.expect("stopped");
    until_noticed(&session).await;
    ack_all(held);
    server.start_again().await.expect("started");
    publish(&server.url(), numbered(3..4)).await;
    goes_on(&server, &session, 4).await;
}

#[tokio::test]
async fn a_session_goes_on_after_its_server_was_killed_and_nothing_comes_twice() {
    let mut server = server().await;
    let session = live(&server.url(), workers()).await;
    publish(&server.url(), numbered(0..500)).await;
    let held = take_many(&session.messages(), 500).await;
    server.kill().expect("killed");
    until_noticed(&session).await;
    server.start_again().await.expect("started");
    publish(&server.url(), numbered(500..501)).await;
    let next = timeout(STALL, take(&session.messages())).await.expect("no longer stall");
    assert_eq!(next.sequence, 501, "the others are in hand");
    next.ack();
    ack_all(held);
    until_acked(&server.url(), 501).await;
}

/// The link of a session ends after some pings without a server, and the session makes another.
/// That of a connection must not: nobody would.
#[tokio::test]
async fn a_publisher_goes_on_after_its_server_was_away_for_long() {
    let mut server = server().await;
    drop(live(&server.url(), workers()).await);
    let mut options = options(&server.url());
    options.ping_interval = Duration::from_millis(100);
    let connection = Connection::connect(options).await.expect("a connection");
    let publisher = connection.publisher("orders").await.expect("a publisher");
    server.kill().expect("killed");
    // With pings so short a link that ends has done so after 4 s.
    sleep(Duration::from_secs(5)).await;
    server.start_again().await.expect("started");
    eventually("a message is stored", STALL, async || {
        let ack = publisher.publish("1".into(), Terms::default()).await.ok()?;
        ack.await.ok()
    })
    .await;
    connection.account_info().await.expect("an answer");
}
