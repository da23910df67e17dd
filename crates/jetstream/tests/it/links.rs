//! Links that are cut, or swallow what is sent.

use jetstream::{Session, SessionState};
use testbed::{Direction, NatsServer, Proxy};
use tokio::time::timeout;

use crate::harness::{
    STALL, behind_proxy, live, numbered, publish, take, until, until_acked, until_live, url,
    workers,
};

/// A server, a proxy before it, and a session through it that has received a message.
async fn scene() -> (NatsServer, Proxy, Session) {
    let (server, proxy) = behind_proxy().await;
    let session = live(&url(&proxy), workers()).await;
    publish(&server.url(), numbered(0..1)).await;
    take(&session.messages()).await.ack();
    until_acked(&server.url(), 1).await;
    (server, proxy, session)
}

async fn until_noticed(session: &Session) {
    until(session, |state| matches!(state, SessionState::Retrying(_))).await;
}

/// What was published meanwhile comes within the bound after the fault has ended.
async fn goes_on(server: &NatsServer, session: &Session, sequence: u64) {
    let message = timeout(STALL, take(&session.messages())).await.expect("no longer stall");
    assert_eq!(message.sequence, sequence);
    message.ack();
    until_acked(&server.url(), sequence).await;
    until_live(session).await;
}

#[tokio::test]
async fn a_cut_link_is_noticed_and_what_was_published_meanwhile_comes_when_it_is_back() {
    let (server, mut proxy, session) = scene().await;
    proxy.cut().await;
    until_noticed(&session).await;
    publish(&server.url(), numbered(1..2)).await;
    proxy.heal().await.expect("healed");
    goes_on(&server, &session, 2).await;
    assert!(session.monitor().stats().reconnects >= 1);
    session.close().await;
}

#[tokio::test]
async fn a_link_that_swallows_what_is_sent_to_the_server_is_replaced() {
    let (server, mut proxy, session) = scene().await;
    proxy.black_hole(Direction::ToServer);
    until_noticed(&session).await;
    publish(&server.url(), numbered(1..2)).await;
    proxy.heal().await.expect("healed");
    goes_on(&server, &session, 2).await;
}

/// The fault is noticed and the link dialled again while nothing comes through: after the healing
/// no old connection is of use.
#[tokio::test]
async fn a_link_that_swallows_what_comes_from_the_server_is_replaced() {
    let (server, mut proxy, session) = scene().await;
    proxy.black_hole(Direction::ToClient);
    until_noticed(&session).await;
    proxy.heal().await.expect("healed");
    until_live(&session).await;
    publish(&server.url(), numbered(1..2)).await;
    goes_on(&server, &session, 2).await;
}

#[tokio::test]
async fn acks_given_while_the_link_is_down_are_sent_when_it_is_back() {
    let (server, mut proxy, session) = scene().await;
    publish(&server.url(), numbered(1..4)).await;
    let held = crate::harness::take_many(&session.messages(), 3).await;
    proxy.cut().await;
    until_noticed(&session).await;
    crate::harness::ack_all(held);
    assert_eq!(session.monitor().stats().acks, 1, "they have nowhere to go");
    proxy.heal().await.expect("healed");
    until_live(&session).await;
    until_acked(&server.url(), 4).await;
    assert_eq!(session.monitor().stats().redelivered, 0, "not only after the ack wait");
}

#[tokio::test]
async fn a_session_closes_in_bounded_time_over_a_link_that_swallows_all() {
    let (_server, proxy, session) = scene().await;
    proxy.black_hole(Direction::ToServer);
    proxy.black_hole(Direction::ToClient);
    timeout(STALL, session.close()).await.expect("closed");
}
