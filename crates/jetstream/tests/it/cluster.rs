//! Three servers, each with a copy of the stream.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use jetstream::{PublishError, Terms};
use serde_json::Value;
use testbed::{NatsOptions, NatsServer, eventually};
use tokio::time::timeout;

use crate::harness::{
    PATIENCE, ack_all, api, connect, live, numbered, publish, take, take_many, until_acked, workers,
};

async fn cluster() -> (Vec<NatsServer>, String) {
    let members = NatsServer::start_cluster(NatsOptions::default()).await.expect("a cluster");
    let urls: Vec<String> = members.iter().map(NatsServer::url).collect();
    (members, urls.join(","))
}

fn replicated() -> jetstream::ConsumerOptions {
    let mut workers = workers();
    workers.replicas = 3;
    workers
}

/// Which of the servers leads the consumer.
async fn leader(url: &str) -> Option<usize> {
    let info = api(url, "CONSUMER.INFO.ORDERS.workers", Value::Null).await;
    let leader = info["cluster"]["leader"].as_str()?;
    ["a", "b", "c"].iter().position(|name| *name == leader)
}

#[tokio::test]
async fn a_session_goes_on_when_the_leader_of_its_consumer_is_killed() {
    let (mut members, urls) = cluster().await;
    let session = live(&urls, replicated()).await;
    publish(&urls, numbered(0..100)).await;
    let first = take_many(&session.messages(), 100).await;
    let led = eventually("a leader", PATIENCE, async || leader(&members[0].url()).await).await;
    members[led].kill().expect("killed");
    ack_all(first);
    let other = members[(led + 1) % 3].url();
    eventually("a stream with a leader", PATIENCE, async || {
        let connection = connect(&other).await;
        connection.ensure(&replicated()).await.ok()
    })
    .await;
    publish(&other, numbered(100..200)).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 100 {
        let message = take(&session.messages()).await;
        if message.sequence > 100 {
            seen.insert(message.sequence);
        }
        message.ack();
    }
    members[led].start_again().await.expect("started");
}

/// Where the second comes while the first is being replicated, the server takes none.
#[tokio::test]
async fn one_of_many_messages_of_the_same_id_is_stored_and_the_others_may_be_tried_again() {
    let (_members, urls) = cluster().await;
    let connection = connect(&urls).await;
    connection.ensure(&replicated()).await.expect("a stream");
    let publisher = connection.publisher("orders").await.expect("a publisher");
    let terms = Terms { message_id: Some("the same"), ..Terms::default() };
    let mut acks = Vec::new();
    for _ in 0..200 {
        acks.push(publisher.publish("the same".into(), terms).await.expect("sent"));
    }
    let outcomes = join_all(acks).await;
    let in_process = outcomes.iter().filter(|it| **it == Err(PublishError::SameIdInProcess));
    let in_process = in_process.count();
    assert!(in_process > 0, "{outcomes:?}");
    let stored = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(stored + in_process, 200, "{outcomes:?}");
    let again = publisher.publish("the same".into(), terms).await.expect("sent").await;
    assert!(again.is_ok_and(|stored| stored.duplicate && stored.sequence == 1));
    assert_eq!(
        connection.stream("ORDERS").expect("a name").info().await.expect("info").messages,
        1
    );
}

/// The leader of the consumer steps down under its pulls.
#[tokio::test]
async fn a_session_goes_on_when_its_consumer_is_led_by_another() {
    let (members, urls) = cluster().await;
    let session = live(&urls, replicated()).await;
    for round in 0..3 {
        let led = eventually("a leader", PATIENCE, async || leader(&members[0].url()).await).await;
        api(&members[0].url(), "CONSUMER.LEADER.STEPDOWN.ORDERS.workers", Value::Null).await;
        publish(&urls, numbered(round..round + 1)).await;
        let message = timeout(Duration::from_secs(10), take(&session.messages())).await;
        message.expect("no longer stall").ack();
        until_acked(&members[(led + 1) % 3].url(), u64::from(round) + 1).await;
    }
}

#[tokio::test]
async fn a_clean_stop_hands_over_at_once_in_a_cluster_too() {
    let (_members, urls) = cluster().await;
    let leaving = live(&urls, replicated()).await;
    let staying = live(&urls, replicated()).await;
    publish(&urls, numbered(0..500)).await;
    eventually("all is delivered", PATIENCE, async || {
        let depths = [leaving.monitor().depth(), staying.monitor().depth()];
        (depths[0].messages + depths[1].messages == 500).then_some(())
    })
    .await;
    assert!(leaving.monitor().depth().messages > 0);
    leaving.close().await;
    let all = timeout(Duration::from_secs(10), take_many(&staying.messages(), 500)).await;
    let all = all.expect("not only after the ack wait");
    let sequences: BTreeSet<u64> = all.iter().map(|message| message.sequence).collect();
    assert_eq!(sequences.len(), 500);
    ack_all(all);
}

/// One server of three answers for some time, with what it has itself, and that may be old.
#[tokio::test]
async fn who_stores_a_stream_is_told_and_that_nobody_leads_it() {
    let (mut members, urls) = cluster().await;
    let session = live(&urls, replicated()).await;
    publish(&urls, numbered(0..3)).await;
    let led = eventually("a leader", PATIENCE, async || leader(&members[0].url()).await).await;
    let connection = crate::harness::connect(&members[led].url()).await;
    let stream = connection.stream("ORDERS").expect("a name");
    eventually("all are current", PATIENCE, async || {
        let cluster = stream.info().await.ok()?.cluster?;
        assert!(cluster.leader.is_some());
        let is_current = |replica: &jetstream::Replica| replica.current && !replica.offline;
        (cluster.replicas.len() == 2 && cluster.replicas.iter().all(is_current)).then_some(())
    })
    .await;
    let account = connection.account_info().await.expect("an account");
    assert!(account.storage > 0 && account.max_storage.is_none(), "{account:?}");

    for other in [1, 2] {
        members[(led + other) % 3].kill().expect("killed");
    }
    eventually("nobody leads it", PATIENCE, async || {
        let told = stream.info().await;
        told.is_err_and(|error| error.has_no_leader()).then_some(())
    })
    .await;
    assert!(connection.is_connected());
    eventually("nobody leads the consumer", PATIENCE, async || {
        let told = stream.consumer_info("workers").await;
        told.is_err_and(|error| error.has_no_leader() && !error.is_not_found()).then_some(())
    })
    .await;
    for other in [1, 2] {
        members[(led + other) % 3].start_again().await.expect("started");
    }
    eventually("it is led again", PATIENCE, async || stream.info().await.ok()).await;
    drop(session);
}
