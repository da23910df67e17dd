//! What the tasks make of what they are given, without a server.

use std::cell::RefCell;

use deliveries::Messages;
use futures_util::{FutureExt as _, stream};

use super::*;

fn nats_message(payload: Vec<u8>) -> NatsMessage {
    NatsMessage {
        subject: "_INBOX.of.the.subscription".into(),
        reply: None,
        payload: payload.into(),
        headers: None,
        status: None,
        description: None,
        length: 0,
    }
}

fn message(sequence: u64, channel: &str) -> NatsMessage {
    let delivery = MsgProto { sequence, subject: channel.to_owned(), ..MsgProto::default() };
    nats_message(delivery.encode_to_vec())
}

fn ack(sequence: u64) -> Ack {
    Ack { sequence, timestamp: 0, number: 0, redelivery_count: 0 }
}

#[tokio::test]
async fn what_is_no_delivery_of_the_channel_is_counted_and_the_rest_is_queued() {
    let deliveries = Deliveries::new(1000);
    let messages = stream::iter([
        message(1, "orders"),
        nats_message(vec![0xff, 0xff]),
        message(2, "invoices"),
        message(3, "orders"),
    ]);
    receive(messages, "orders".to_owned(), Arc::clone(&deliveries)).await;
    let queued = Messages::new(Arc::clone(&deliveries)).recv_batch(10, usize::MAX).await;
    assert_eq!(queued.iter().map(|one| one.sequence).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(deliveries.counters().snapshot().garbled, 2);
}

#[tokio::test]
async fn acks_are_sent_in_order_to_the_last_after_their_sender_is_gone() {
    let (sender, sequences) = mpsc::unbounded_channel();
    // More than are taken at once.
    for sequence in 1..=1_000 {
        sender.send(ack(sequence)).expect("taken");
    }
    drop(sender);
    let acks = RefCell::new(Vec::new());
    let send = async |ack: Bytes| {
        acks.borrow_mut().push(protocol::Ack::decode(ack).expect("an ack"));
        Ok::<(), fmt::Error>(())
    };
    send_acks(sequences, "orders".to_owned(), send).await;
    let expected =
        (1..=1_000).map(|sequence| protocol::Ack { subject: "orders".to_owned(), sequence });
    assert!(acks.into_inner().into_iter().eq(expected));
}

#[test]
fn a_nats_client_that_has_ended_ends_the_acks_while_their_sender_lives() {
    let (sender, sequences) = mpsc::unbounded_channel();
    sender.send(ack(1)).expect("taken");
    sender.send(ack(2)).expect("taken");
    let attempts = RefCell::new(0);
    let send = async |_| {
        *attempts.borrow_mut() += 1;
        Err(fmt::Error)
    };
    let ended = send_acks(sequences, "orders".to_owned(), send).now_or_never();
    assert!(ended.is_some(), "nothing is left to wait for");
    assert_eq!(attempts.into_inner(), 1);
    assert!(sender.is_closed(), "later acks are kept for the next subscription");
}
