//! Whose each acknowledgement is, without a server.

use async_nats::StatusCode;
use futures_util::FutureExt as _;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(5);

fn answer(subject: &str, payload: &'static str) -> NatsMessage {
    NatsMessage {
        subject: subject.into(),
        reply: None,
        payload: payload.into(),
        headers: None,
        status: None,
        description: None,
        length: 0,
    }
}

async fn expect(unacked: &Unacked) -> (String, oneshot::Receiver<Outcome>) {
    let permit = unacked.enter_window().await.expect("open");
    let (_, subject, outcome) = unacked.expect(Instant::now() + TIMEOUT, permit).expect("open");
    (subject, outcome)
}

#[tokio::test]
async fn each_answer_is_that_to_its_own_message_and_counts_once() {
    let unacked = Unacked::new("inbox", TIMEOUT, 3);
    let (first, mut first_outcome) = expect(&unacked).await;
    let (second, mut second_outcome) = expect(&unacked).await;
    let (third, mut third_outcome) = expect(&unacked).await;
    assert!(unacked.enter_window().now_or_never().is_none(), "the window is full");
    let refusal =
        r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 9"}}"#;
    unacked.take(&answer(&third, refusal));
    unacked.take(&answer(&second, r#"{"stream":"S","seq":7,"duplicate":true}"#));
    unacked.take(&answer(&second, refusal));
    let mut nobody = answer(&first, "");
    nobody.status = Some(StatusCode::NO_RESPONDERS);
    unacked.take(&nobody);
    assert_eq!(second_outcome.try_recv(), Ok(Ok(Stored { sequence: 7, duplicate: true })));
    assert_eq!(first_outcome.try_recv(), Ok(Err(PublishError::NoStream)));
    assert_eq!(third_outcome.try_recv(), Ok(Err(PublishError::WrongLastSequence(9))));
    assert!(unacked.enter_window().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_no_answer_and_ends_by_time() {
    let unacked = Unacked::new("inbox", TIMEOUT, 3);
    let (subject, mut outcome) = expect(&unacked).await;
    for payload in ["", "{}", "nonsense", r#"{"stream":"S","seq":0}"#] {
        unacked.take(&answer(&subject, payload));
    }
    unacked.take(&answer("inbox.x", r#"{"seq":1}"#));
    unacked.take(&answer("elsewhere.1", r#"{"seq":1}"#));
    unacked.expire();
    assert!(outcome.try_recv().is_err(), "it waits");
    tokio::time::advance(TIMEOUT).await;
    unacked.expire();
    assert_eq!(outcome.try_recv(), Ok(Err(PublishError::Timeout(TIMEOUT))));
}

#[tokio::test]
async fn what_waits_at_the_end_is_told_so_and_nothing_follows() {
    let unacked = Unacked::new("inbox", TIMEOUT, 1);
    let (_, mut outcome) = expect(&unacked).await;
    unacked.close();
    assert_eq!(outcome.try_recv(), Ok(Err(PublishError::ConnectionClosed)));
    assert!(unacked.enter_window().await.is_err());
}
