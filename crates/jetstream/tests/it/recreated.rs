//! Streams and consumers that are deleted under a session, and made again.

use serde_json::{Value, json};
use testbed::eventually;
use tokio::time::timeout;

use crate::harness::{
    PATIENCE, STALL, ack_all, api, consumer_config, consumer_info, live, numbered, publish,
    sequences, server, stream_config, take, take_many, until_acked, workers,
};

#[tokio::test]
async fn a_stream_that_is_deleted_is_made_again_and_its_first_messages_come() {
    let server = server().await;
    let url = server.url();
    let session = live(&url, workers()).await;
    publish(&url, numbered(0..3)).await;
    ack_all(take_many(&session.messages(), 3).await);
    until_acked(&url, 3).await;
    api(&url, "STREAM.DELETE.ORDERS", Value::Null).await;
    eventually("another stream", PATIENCE, async || consumer_info(&url).await).await;
    publish(&url, numbered(10..12)).await;
    let taken = timeout(STALL, take_many(&session.messages(), 2)).await.expect("no longer stall");
    assert_eq!(sequences(&taken), [1, 2]);
    assert_eq!(&taken[0].data[..], b"message 10");
    ack_all(taken);
    until_acked(&url, 2).await;
}

/// The number of a message of the stream before means another message now.
#[tokio::test]
async fn an_ack_for_a_message_of_a_deleted_stream_acks_none_of_its_successor() {
    let server = server().await;
    let url = server.url();
    let session = live(&url, workers()).await;
    publish(&url, numbered(0..1)).await;
    let old = take(&session.messages()).await;
    api(&url, "STREAM.DELETE.ORDERS", Value::Null).await;
    eventually("another stream", PATIENCE, async || consumer_info(&url).await).await;
    publish(&url, numbered(1..2)).await;
    let new = timeout(STALL, take(&session.messages())).await.expect("no longer stall");
    assert_eq!((old.sequence, new.sequence), (1, 1));
    assert_eq!(&new.data[..], b"message 1");
    let before = session.monitor().stats().acks;
    old.ack();
    assert_eq!(session.monitor().stats().acks, before, "it is kept");
    publish(&url, numbered(2..3)).await;
    take(&session.messages()).await.ack();
    eventually("the ack of the second", PATIENCE, async || {
        (consumer_info(&url).await?.num_ack_pending == 1).then_some(())
    })
    .await;
    assert_eq!(consumer_info(&url).await.expect("a consumer").ack_floor, 0);
    new.ack();
    until_acked(&url, 2).await;
}

/// All that the stream holds comes again, but for what is in hand.
#[tokio::test]
async fn a_consumer_that_is_deleted_is_made_again() {
    let server = server().await;
    let url = server.url();
    let session = live(&url, workers()).await;
    publish(&url, numbered(0..4)).await;
    let mut taken = take_many(&session.messages(), 4).await;
    let held = taken.split_off(2);
    ack_all(taken);
    until_floor(&url, 2).await;
    api(&url, "CONSUMER.DELETE.ORDERS.workers", Value::Null).await;
    let again = timeout(STALL, take_many(&session.messages(), 2)).await.expect("no longer stall");
    assert_eq!(sequences(&again), [1, 2]);
    ack_all(again);
    ack_all(held);
    until_acked(&url, 4).await;
}

async fn until_floor(url: &str, sequence: u64) {
    eventually("the ack floor", PATIENCE, async || {
        (consumer_info(url).await?.ack_floor == sequence).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_leave_to_make_them_stream_and_consumer_are_waited_for() {
    let server = server().await;
    let url = server.url();
    let mut workers = workers();
    workers.create = false;
    let session = crate::harness::session(&url, workers).await;
    let told = |text: &'static str| {
        let mut state = session.monitor().state();
        async move {
            let told = state.wait_for(|state| format!("{state:?}").contains(text));
            timeout(PATIENCE, told).await.expect(text).expect("the session lives");
        }
    };
    told("stream not found (10059)").await;
    api(&url, "STREAM.CREATE.ORDERS", stream_config()).await;
    told("consumer not found (10014)").await;
    let request = json!({ "stream_name": "ORDERS", "config": consumer_config() });
    api(&url, "CONSUMER.CREATE.ORDERS.workers.orders", request).await;
    told("Live").await;
    publish(&url, numbered(0..1)).await;
    take(&session.messages()).await.ack();
    until_acked(&url, 1).await;
}

#[tokio::test]
async fn a_server_that_comes_back_without_its_streams_is_a_new_beginning() {
    let mut server = server().await;
    let url = server.url();
    let session = live(&url, workers()).await;
    publish(&url, numbered(0..2)).await;
    let old = take_many(&session.messages(), 2).await;
    server.kill().expect("killed");
    server.wipe().expect("wiped");
    ack_all(old);
    server.start_again().await.expect("started");
    eventually("a new stream", PATIENCE, async || consumer_info(&url).await).await;
    publish(&url, numbered(5..7)).await;
    let new = timeout(STALL, take_many(&session.messages(), 2)).await.expect("no longer stall");
    assert_eq!(sequences(&new), [1, 2]);
    assert_eq!(&new[0].data[..], b"message 5");
    ack_all(new);
    until_acked(&url, 2).await;
}
