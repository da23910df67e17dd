//! Answers find their message, and no other, without a server.

use async_nats::StatusCode;
use bytes::Bytes;

use super::*;

fn unacked() -> Unacked {
    Unacked::new("t", Duration::from_secs(30), 8)
}

fn publish(unacked: &Unacked) -> (Ticket, oneshot::Receiver<Outcome>) {
    let permit = Arc::clone(&unacked.window).try_acquire_owned().expect("a free slot");
    unacked.expect(Instant::now() + unacked.timeout, permit).expect("open")
}

fn answer(unacked: &Unacked, slot: u64, guid: &str, error: &str, status: Option<StatusCode>) {
    let ack = PubAck { guid: guid.to_owned(), error: error.to_owned() };
    unacked.take(&NatsMessage {
        subject: format!("_STAN.acks.t.{slot}").into(),
        reply: None,
        payload: Bytes::from(ack.encode_to_vec()),
        headers: None,
        status,
        description: None,
        length: 0,
    });
}

#[tokio::test]
async fn an_answered_slot_is_used_again_and_a_second_answer_counts_for_nobody() {
    let unacked = unacked();
    let (first, mut outcome) = publish(&unacked);
    answer(&unacked, first.slot.number, "t.1", "", None);
    assert_eq!(outcome.try_recv(), Ok(Ok(())));
    let (second, mut outcome) = publish(&unacked);
    assert_eq!((first.number, second.number, second.slot.number), (1, 2, first.slot.number));
    answer(&unacked, first.slot.number, "t.1", "", None);
    answer(&unacked, first.slot.number, "t.1", "late refusal", None);
    assert!(outcome.try_recv().is_err(), "the answer was to the first");
    answer(&unacked, second.slot.number, "t.2", "too many channels", None);
    assert_eq!(outcome.try_recv(), Ok(Err(PublishError::Refused("too many channels".into()))));
    assert_eq!(unacked.window.available_permits(), 8);
    let waiting = unacked.waiting();
    assert!(waiting.in_flight.is_empty() && waiting.numbers.is_empty());
}

#[tokio::test]
async fn the_slot_of_an_unanswered_message_is_left_alone() {
    let unacked = unacked();
    let (first, _) = publish(&unacked);
    unacked.give_up(first.number, PublishError::Timeout(unacked.timeout));
    let (second, mut outcome) = publish(&unacked);
    assert_ne!(first.slot.number, second.slot.number);
    answer(&unacked, first.slot.number, "", "", Some(StatusCode::NO_RESPONDERS));
    assert!(outcome.try_recv().is_err(), "nobody was there for the first");
    answer(&unacked, second.slot.number, "", "", Some(StatusCode::NO_RESPONDERS));
    assert_eq!(outcome.try_recv(), Ok(Err(PublishError::NoResponders)));
}

#[tokio::test]
async fn only_a_guid_of_ours_makes_a_success() {
    let unacked = unacked();
    let (ticket, mut outcome) = publish(&unacked);
    for guid in ["", "t.2", "t.", "other.1", "1"] {
        answer(&unacked, ticket.slot.number, guid, "", None);
        assert!(outcome.try_recv().is_err(), "{guid:?}");
    }
    answer(&unacked, ticket.slot.number, "", "stan: invalid publish request", None);
    let refused = PublishError::Refused("stan: invalid publish request".into());
    assert_eq!(outcome.try_recv(), Ok(Err(refused)));
}
