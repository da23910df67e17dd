//! Subscribing: what happens around the request and its answer.

use std::time::Duration;

use futures_util::StreamExt as _;
use stan::RequestKind;
use stan::async_nats::client::RequestErrorKind;
use stan::{Error, StartPosition, SubscriptionOptions};
use testbed::eventually;
use tokio::time::timeout;

use crate::harness::{PATIENCE, broker, connect, numbered, publish, sequences, take, take_many};
use crate::responder::Responder;
use crate::wire::{MsgProto, SubscriptionResponse};

fn from_the_first() -> SubscriptionOptions {
    let mut options = SubscriptionOptions::plain("orders");
    options.start_position = StartPosition::First;
    options
}

fn delivery(sequence: u64) -> MsgProto {
    let timestamp = i64::try_from(sequence).expect("a small number");
    MsgProto { sequence, subject: "orders".to_owned(), timestamp, ..MsgProto::default() }
}

/// `TestNoDuplicatesOnSubscriberStart`.
#[tokio::test]
async fn who_subscribes_while_others_publish_gets_each_message_once() {
    const COUNT: usize = 3_000;
    let broker = broker().await;
    let connection = connect(&broker, "subscriber").await;
    let (subscription, ()) = tokio::join!(
        async {
            eventually("some are published", PATIENCE, async || {
                (broker.channel("orders").await.ok()?.last_seq > 0).then_some(())
            })
            .await;
            connection.subscribe(from_the_first()).await.expect("subscribed")
        },
        publish(&broker, numbered(0..3_000)),
    );
    let messages = subscription.messages();
    for expected in 1..=COUNT as u64 {
        let message = take(&messages).await;
        assert_eq!(message.sequence, expected, "none is missing and none comes twice");
        message.ack();
    }
    assert_eq!(subscription.depth().messages, 0);
    connection.close().await.expect("closed");
}

/// `TestSubTimeout`.
#[tokio::test]
async fn a_subscribe_request_without_an_answer_is_taken_back_by_its_inbox() {
    let broker = broker().await;
    let mut server = Responder::start(&broker.url()).await;
    let connection = server.connect().await;
    let (outcome, (_, asked)) =
        tokio::join!(connection.subscribe(from_the_first()), server.next_subscribe());
    let error = outcome.expect_err("no answer");
    assert!(matches!(error, Error::Timeout { request: RequestKind::Subscribe, .. }), "{error}");
    let (_, close) = server.next_close().await;
    assert_eq!(close.inbox, asked.inbox);
    assert_eq!((close.client_id, close.subject), (asked.client_id, "orders".to_owned()));
    inbox_is_gone(&server, &asked.inbox).await;
}

/// Where the caller gives up first.
#[tokio::test]
async fn a_subscribe_request_that_its_caller_gave_up_is_taken_back_too() {
    let broker = broker().await;
    let mut server = Responder::start(&broker.url()).await;
    let connection = server.connect().await;
    let asked = tokio::select! {
        outcome = connection.subscribe(from_the_first()) => panic!("{:?}", outcome.err()),
        (_, asked) = server.next_subscribe() => asked,
    };
    assert_eq!(server.next_close().await.1.inbox, asked.inbox);
    inbox_is_gone(&server, &asked.inbox).await;
}

async fn inbox_is_gone(server: &Responder, inbox: &str) {
    eventually("nobody listens at the delivery inbox", PATIENCE, async || {
        let outcome = server.client.request(inbox.to_owned(), "".into()).await;
        outcome.is_err_and(|e| e.kind() == RequestErrorKind::NoResponders).then_some(())
    })
    .await;
}

/// The worst case: a message even before the answer, which the real server never sends.
#[tokio::test]
async fn a_message_that_overtakes_the_answer_is_kept_and_its_ack_finds_the_inbox() {
    let broker = broker().await;
    let mut server = Responder::start(&broker.url()).await;
    let connection = server.connect().await;
    let serve = async {
        let (request, asked) = server.next_subscribe().await;
        let first = delivery(1);
        server.send(&asked.inbox, &first).await;
        server.welcome_subscriber(&request).await;
    };
    let (subscription, ()) = tokio::join!(connection.subscribe(from_the_first()), serve);
    let subscription = subscription.expect("subscribed");
    take(&subscription.messages()).await.ack();
    assert_eq!(server.next_ack().await.sequence, 1);
}

/// `TestMsgsNotSentToSubBeforeSubReqResponse`.
#[tokio::test]
async fn messages_right_after_the_answer_are_not_missed() {
    let broker = broker().await;
    publish(&broker, numbered(0..3)).await;
    let connection = connect(&broker, "subscriber").await;
    for _ in 0..50 {
        let subscription = connection.subscribe(from_the_first()).await.expect("subscribed");
        let taken = take_many(&subscription.messages(), 3).await;
        assert_eq!(sequences(&taken), [1, 2, 3]);
        assert!(taken.iter().all(|message| !message.redelivered), "the first copy was missed");
        subscription.close().await.expect("closed");
    }
    connection.close().await.expect("closed");
}

/// `TestSubCloseError`: a close that failed may be tried again, one that worked not.
#[tokio::test]
async fn closing_a_subscription_can_be_tried_again_until_it_worked() {
    let broker = broker().await;
    let mut server = Responder::start(&broker.url()).await;
    let connection = server.connect().await;
    let (subscription, ()) = tokio::join!(connection.subscribe(from_the_first()), async {
        let (request, _) = server.next_subscribe().await;
        server.welcome_subscriber(&request).await;
    });
    let subscription = subscription.expect("subscribed");
    let (outcome, _) = tokio::join!(subscription.close(), server.next_close());
    let error = outcome.expect_err("no answer");
    assert!(
        matches!(error, Error::Timeout { request: RequestKind::CloseSubscription, .. }),
        "{error}"
    );
    let (outcome, ()) = tokio::join!(subscription.close(), async {
        let (request, close) = server.next_close().await;
        assert_eq!(close.inbox, Responder::ACK_INBOX);
        server.respond(&request, &SubscriptionResponse::default()).await;
    });
    outcome.expect("closed at the second try");
    assert!(matches!(subscription.close().await, Err(Error::Closed)));
    assert!(matches!(subscription.unsubscribe().await, Err(Error::Closed)));
}

/// `TestDeliveryWithGapsInSequence`.
#[tokio::test]
async fn a_gap_in_the_sequence_holds_nothing_up() {
    let broker = broker().await;
    let mut server = Responder::start(&broker.url()).await;
    let connection = server.connect().await;
    let serve = async {
        let (request, asked) = server.next_subscribe().await;
        server.welcome_subscriber(&request).await;
        for sequence in [1, 2, 71, 5_000_000_000, 72] {
            server.send(&asked.inbox, &delivery(sequence)).await;
        }
    };
    let (subscription, ()) = tokio::join!(connection.subscribe(from_the_first()), serve);
    let subscription = subscription.expect("subscribed");
    let taken = take_many(&subscription.messages(), 5).await;
    assert_eq!(sequences(&taken), [1, 2, 71, 5_000_000_000, 72]);
    taken.into_iter().for_each(stan::Message::ack);
    for expected in [1, 2, 71, 5_000_000_000, 72] {
        assert_eq!(server.next_ack().await.sequence, expected);
    }
}

/// What is no STAN message, or one of another channel, is dropped and counted, and what comes
/// after it is read.
#[tokio::test]
async fn what_is_no_delivery_of_ours_is_counted_as_garbled_and_holds_nothing_up() {
    let broker = broker().await;
    let mut server = Responder::start(&broker.url()).await;
    let connection = server.connect().await;
    let serve = async {
        let (request, asked) = server.next_subscribe().await;
        server.welcome_subscriber(&request).await;
        for garbage in [&b"\xff\xff"[..], b"\x0a\x7fshort", b"plain text", &[0x80; 64]] {
            let inbox = asked.inbox.clone();
            server.client.publish(inbox, garbage.into()).await.expect("sent");
        }
        let elsewhere = MsgProto { subject: "elsewhere".to_owned(), ..delivery(1) };
        server.send(&asked.inbox, &elsewhere).await;
        server.send(&asked.inbox, &delivery(2)).await;
    };
    let (subscription, ()) = tokio::join!(connection.subscribe(from_the_first()), serve);
    let subscription = subscription.expect("subscribed");
    let message = take(&subscription.messages()).await;
    assert_eq!(message.sequence, 2);
    message.ack();
    assert_eq!(server.next_ack().await.sequence, 2);
    let stats = subscription.stats();
    assert_eq!((stats.garbled, stats.delivered), (5, 1));
}

/// The messages of a subscription can be read as a stream, which ends with it.
#[tokio::test]
async fn messages_are_a_stream() {
    let broker = broker().await;
    publish(&broker, numbered(0..10)).await;
    let connection = connect(&broker, "subscriber").await;
    let subscription = connection.subscribe(from_the_first()).await.expect("subscribed");
    let mut stream = subscription.messages().into_stream();
    let ten = (&mut stream).take(10).map(|message| message.sequence).collect::<Vec<_>>();
    let ten = timeout(PATIENCE, ten).await.expect("in time");
    assert_eq!(ten, (1..=10).collect::<Vec<_>>());
    subscription.close().await.expect("closed");
    let end = timeout(Duration::from_secs(5), stream.next()).await.expect("in time");
    assert!(end.is_none(), "the stream ends with its subscription");
    connection.close().await.expect("closed");
}
