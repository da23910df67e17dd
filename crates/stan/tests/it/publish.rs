//! Publishing: each message has exactly one outcome, and only the server's word counts.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::poll;
use stan::{Connection, PublishError};
use testbed::{Broker, BrokerOptions, Proxy, broker::GUEST_CLUSTER_ID};
use tokio::time::timeout;

use crate::fake::{self, Fake};
use crate::harness::{PATIENCE, broker, options};
use crate::wire::{ConnectRequest, PubAck, PubMsg, Tap, decoded, encoded, until_links};

fn acknowledged(guid: &str) -> Vec<u8> {
    encoded(&PubAck { guid: guid.to_owned(), error: String::new() })
}

#[tokio::test]
async fn an_acknowledged_message_is_stored() {
    let broker = broker().await;
    let connection = Connection::connect(options(&broker.url(), "publisher")).await.expect("open");
    connection.publish("orders", "one".into()).await.expect("acknowledged");
    assert_eq!(broker.channel("orders").await.expect("state").last_seq, 1);
    connection.close().await.expect("closed");
    assert!(broker.clients().await.expect("clients").is_empty());
}

/// `TestClientIDAndConnIDInPubMsg`.
#[tokio::test]
async fn client_id_and_connection_id_are_in_every_publish() {
    let broker = broker().await;
    let mut connects = Tap::on(&broker, "_STAN.discover.waybill").await;
    let mut publishes = Tap::on(&broker, "_STAN.pub.waybill.>").await;
    let mut conn_ids = HashSet::new();
    for client_id in ["one", "two"] {
        let connection = Connection::connect(options(&broker.url(), client_id)).await;
        let connection = connection.expect("open");
        let request = decoded::<ConnectRequest>(&connects.next().await);
        assert_eq!((request.client_id.as_str(), request.protocol), (client_id, 1));
        assert_eq!((request.ping_interval, request.ping_max_out), (1, 3));
        assert!(!request.conn_id.is_empty());
        let mut guids = HashSet::new();
        for data in ["a", "b"] {
            connection.publish("orders", data.into()).await.expect("acknowledged");
            let sent = publishes.next().await;
            assert_eq!(sent.subject.as_str(), "_STAN.pub.waybill.orders");
            let message = decoded::<PubMsg>(&sent);
            assert_eq!(
                (message.client_id.as_str(), &message.conn_id),
                (client_id, &request.conn_id)
            );
            assert_eq!((message.subject.as_str(), &message.data[..]), ("orders", data.as_bytes()));
            assert!(!message.guid.is_empty() && guids.insert(message.guid));
        }
        assert!(conn_ids.insert(request.conn_id), "one for each connection");
    }
}

/// `TestPubFailsOnClientReplaced`.
#[tokio::test]
async fn a_replaced_clients_publish_is_refused_by_the_server() {
    let broker = broker().await;
    let mut proxy = Proxy::start(([127, 0, 0, 1], broker.port()).into()).await.expect("a proxy");
    let mut unaware = options(&format!("nats://127.0.0.1:{}", proxy.port()), "same");
    unaware.ping_interval = Duration::from_mins(10);
    let old = Connection::connect(unaware).await.expect("open");
    proxy.cut().await;
    until_links(&broker, "same", 0).await;
    let new = Connection::connect(options(&broker.url(), "same")).await.expect("takes over");
    proxy.heal().await.expect("healed");
    let refused = testbed::eventually("the link is back", PATIENCE, async || {
        match old.publish("orders", "from the old".into()).await {
            Err(PublishError::Disconnected) => None,
            outcome => Some(outcome),
        }
    })
    .await;
    assert_eq!(refused, Err(PublishError::Refused("stan: invalid publish request".to_owned())));
    new.publish("orders", "from the new".into()).await.expect("acknowledged");
    assert_eq!(broker.channel("orders").await.expect("state").last_seq, 1);
}

/// The server's texts surface.
#[tokio::test]
async fn a_channel_that_differs_by_case_alone_is_refused_in_the_servers_words() {
    let broker = broker().await;
    let connection = Connection::connect(options(&broker.url(), "publisher")).await.expect("open");
    connection.publish("orders", "x".into()).await.expect("acknowledged");
    let error = connection.publish("ORDERS", "x".into()).await.expect_err("invalid");
    let PublishError::Refused(text) = &error else { panic!("{error}") };
    assert!(text.contains("different cases not allowed"), "{text}");
}

#[tokio::test]
async fn an_invalid_channel_is_refused_before_anything_is_sent() {
    let broker = broker().await;
    let mut publishes = Tap::on(&broker, "_STAN.pub.>").await;
    let connection = Connection::connect(options(&broker.url(), "publisher")).await.expect("open");
    let long = "x".repeat(5_000);
    for invalid in
        ["", ".", "orders.", "a..b", "orders.>", "orders.*", "a/b", "a b", "a\r\nb", &long]
    {
        let error = connection.publish(invalid, "x".into()).await.expect_err("invalid");
        assert!(matches!(&error, PublishError::InvalidChannel(_)), "{invalid:?}: {error}");
        assert!(error.to_string().contains("1 to 1024 bytes"), "{error}");
    }
    assert_eq!(publishes.count().await, 0);
    let longest = "x".repeat(250);
    connection.publish(&longest, "x".into()).await.expect("acknowledged, and the link stands");
}

#[tokio::test]
async fn a_message_over_the_servers_limit_is_refused_before_it_is_sent() {
    let broker = broker().await;
    let connection = Connection::connect(options(&broker.url(), "publisher")).await.expect("open");
    let error = connection.publish("orders", vec![b'x'; 1 << 20].into()).await.expect_err("large");
    assert!(matches!(error, PublishError::TooLarge { limit_bytes: 1_048_576, .. }), "{error}");
    connection.publish("orders", "small".into()).await.expect("the link still stands");
}

/// `TestDuplicateProcessingOfPubAck`.
#[tokio::test]
async fn every_publish_has_one_outcome_when_time_is_too_short() {
    let broker = broker().await;
    let mut hasty = options(&broker.url(), "publisher");
    hasty.pub_ack_timeout = Duration::from_millis(1);
    let connection = Connection::connect(hasty).await.expect("open");
    let mut acks = Vec::new();
    for n in 0..10_000 {
        let ack = connection.publish_async("orders", n.to_string().into()).await;
        acks.push(ack.expect("the window is open: what is late gives its place back"));
    }
    let (mut stored, mut late) = (0_u64, 0);
    for outcome in timeout(PATIENCE, join_all(acks)).await.expect("all have an outcome") {
        match outcome {
            Ok(()) => stored += 1,
            Err(PublishError::Timeout(_) | PublishError::Disconnected) => late += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(stored + late, 10_000);
    assert!(late > 0, "1 ms was enough for all: the test proves nothing");
    assert!(broker.channel("orders").await.expect("state").last_seq >= stored);
}

/// `TestTimeoutPublish` and `TestPublishAsyncTimeout`.
#[tokio::test]
async fn every_publish_to_a_silent_server_times_out() {
    let broker = broker().await;
    let mut fake = Fake::start(&broker).await;
    let mut hasty = fake::options(&broker, "publisher");
    hasty.pub_ack_timeout = Duration::from_millis(500);
    let connection = fake.connection(hasty, &Fake::welcome()).await;
    let publishes = (0..1_000).map(|_| connection.publish("orders", "x".into()));
    let outcomes = timeout(PATIENCE, join_all(publishes)).await.expect("all have an outcome");
    let late = Err(PublishError::Timeout(Duration::from_millis(500)));
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == late).count(), 1_000);
}

/// `TestMaxPubAcksInflight`.
#[tokio::test]
async fn a_window_of_one_holds_the_second_back_until_an_ack_or_a_time_out() {
    let broker = broker().await;
    let mut fake = Fake::start(&broker).await;
    let mut narrow = fake::options(&broker, "publisher");
    narrow.max_pub_acks_in_flight = 1;
    narrow.pub_ack_timeout = Duration::from_secs(4);
    let connection = fake.connection(narrow, &Fake::welcome()).await;
    let first = connection.publish_async("orders", "1".into()).await.expect("sent");
    let mut second = Box::pin(connection.publish_async("orders", "2".into()));
    let on_the_wire = fake.publishes.next().await;
    assert!(poll!(second.as_mut()).is_pending());
    assert_eq!(fake.publishes.count().await, 0, "the second waits");
    fake.reply(&on_the_wire, acknowledged(&decoded::<PubMsg>(&on_the_wire).guid)).await;
    let second = timeout(PATIENCE, second).await.expect("in time").expect("sent");
    first.await.expect("acknowledged");
    let mut third = Box::pin(connection.publish_async("orders", "3".into()));
    assert!(poll!(third.as_mut()).is_pending());
    let third = timeout(PATIENCE, third).await.expect("in time").expect("sent");
    assert!(matches!(second.await, Err(PublishError::Timeout(_))));
    let sent = [fake.publishes.next().await, fake.publishes.next().await];
    assert_eq!(sent.map(|sent| decoded::<PubMsg>(&sent).data), [b"2", b"3"]);
    fake.reply(&on_the_wire, acknowledged("too late")).await;
    drop(third);
}

/// A 503 is no success, and fails at once.
#[tokio::test]
async fn a_publish_to_a_streaming_server_that_is_gone_fails_at_once() {
    let host = broker().await;
    let mut guest = Broker::start_on(&host, BrokerOptions::default()).await.expect("a guest");
    let mut patient = options(&guest.url(), "publisher");
    patient.cluster_id = GUEST_CLUSTER_ID.to_owned();
    patient.ping_max_out = 100;
    patient.pub_ack_timeout = PATIENCE * 10;
    let connection = Connection::connect(patient).await.expect("open");
    connection.publish("orders", "one".into()).await.expect("acknowledged");
    guest.kill().expect("killed");
    // Until NATS has noticed, it sends the messages into the void.
    until_links(&host, "_NSS-waybill-guest", 0).await;
    let publishes = (0..100).map(|_| connection.publish("orders", "x".into()));
    let outcomes = timeout(PATIENCE, join_all(publishes)).await.expect("at once");
    assert!(outcomes.iter().all(|outcome| *outcome == Err(PublishError::NoResponders)));
}

/// An empty answer decodes as a success without a guid; only the message's own guid counts.
#[tokio::test]
async fn an_acknowledgement_that_names_another_message_or_none_is_no_success() {
    let broker = broker().await;
    let mut fake = Fake::start(&broker).await;
    let options = fake::options(&broker, "publisher");
    let connection = fake.connection(options, &Fake::welcome()).await;
    let mut first = connection.publish_async("orders", "1".into()).await.expect("sent");
    let second = connection.publish_async("orders", "2".into()).await.expect("sent");
    let sent = [fake.publishes.next().await, fake.publishes.next().await];
    let guids = sent.each_ref().map(|sent| decoded::<PubMsg>(sent).guid);
    for wrong in [vec![], b"\xff\xff".to_vec(), acknowledged("x"), acknowledged(&guids[1])] {
        fake.reply(&sent[0], wrong).await;
    }
    // Answers are read in order: with this one those before it are read.
    fake.reply(&sent[1], acknowledged(&guids[1])).await;
    timeout(PATIENCE, second).await.expect("in time").expect("acknowledged");
    assert!(poll!(&mut first).is_pending());
    fake.reply(&sent[0], acknowledged(&guids[0])).await;
    timeout(PATIENCE, first).await.expect("in time").expect("acknowledged");
}

/// An answer that comes after the time-out changes nothing, also when it comes twice.
#[tokio::test]
async fn a_late_and_a_doubled_acknowledgement_change_nothing() {
    let broker = broker().await;
    let mut fake = Fake::start(&broker).await;
    let mut hasty = fake::options(&broker, "publisher");
    hasty.pub_ack_timeout = Duration::from_millis(200);
    let connection = fake.connection(hasty, &Fake::welcome()).await;
    let late = connection.publish("orders", "1".into()).await;
    assert!(matches!(late, Err(PublishError::Timeout(_))), "{late:?}");
    let first = fake.publishes.next().await;
    let guid = decoded::<PubMsg>(&first).guid;
    for _ in 0..2 {
        fake.reply(&first, acknowledged(&guid)).await;
    }
    let late = connection.publish("orders", "2".into()).await;
    assert!(matches!(late, Err(PublishError::Timeout(_))), "{late:?}");
}
