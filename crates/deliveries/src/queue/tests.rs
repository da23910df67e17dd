//! What the queue promises, without a server.

use futures_util::FutureExt as _;

use super::*;
use crate::stats::Stats;

struct Harness {
    deliveries: Arc<Deliveries>,
    acks: mpsc::UnboundedReceiver<Ack>,
}

impl Harness {
    fn new(max_bytes: usize) -> Self {
        let deliveries = Deliveries::new(max_bytes);
        let (sender, acks) = mpsc::unbounded_channel();
        deliveries.attach(sender, false);
        Self { deliveries, acks }
    }

    fn attach(&mut self, same_registration: bool) {
        let (sender, acks) = mpsc::unbounded_channel();
        self.deliveries.attach(sender, same_registration);
        self.acks = acks;
    }

    fn offer(&self, sequence: u64, timestamp: i64, data: &'static [u8]) {
        let data = Bytes::from_static(data);
        self.deliveries.offer(Delivery { sequence, timestamp, data, ..Delivery::default() });
    }

    /// The number of the message whose acknowledgement goes out next, if one does.
    fn acked(&mut self) -> Option<u64> {
        self.acks.try_recv().ok().map(|ack| ack.sequence)
    }

    fn stats(&self) -> Stats {
        self.deliveries.counters().snapshot()
    }

    async fn take_one(&self) -> Delivery {
        self.deliveries.take(1, usize::MAX).await.pop().expect("one message")
    }

    fn ack(&self, taken: &Delivery) {
        self.deliveries.ack(taken.sequence, taken.timestamp);
    }

    fn release(&self, taken: &Delivery) {
        self.deliveries.release(taken.sequence, taken.timestamp);
    }
}

#[tokio::test]
async fn a_message_in_hand_is_not_yielded_twice() {
    let mut harness = Harness::new(1000);
    harness.offer(1, 10, b"a");
    harness.offer(1, 10, b"a");
    let message = harness.take_one().await;
    harness.offer(1, 10, b"a");
    assert_eq!(harness.deliveries.depth().messages, 0);
    assert_eq!(harness.stats().duplicates_suppressed, 2);
    harness.ack(&message);
    assert_eq!(harness.acked(), Some(1));
    assert_eq!(harness.deliveries.depth(), QueueDepth::default());
}

#[tokio::test]
async fn a_dropped_message_is_not_acked_and_may_come_again() {
    let mut harness = Harness::new(1000);
    harness.offer(1, 10, b"a");
    harness.release(&harness.take_one().await);
    assert!(harness.acked().is_none());
    harness.offer(1, 10, b"a");
    assert_eq!(harness.take_one().await.sequence, 1);
}

#[tokio::test]
async fn what_goes_over_the_budget_is_shed_but_a_single_large_message_passes() {
    let harness = Harness::new(4);
    harness.offer(1, 10, b"longer than the budget");
    harness.offer(2, 11, b"x");
    assert_eq!(harness.deliveries.depth().messages, 1);
    assert_eq!(harness.stats().shed, 1);
    harness.release(&harness.take_one().await);
    harness.offer(2, 11, b"x");
    assert_eq!(harness.take_one().await.sequence, 2);
}

#[tokio::test]
async fn a_flood_of_empty_messages_is_bounded_too() {
    let harness = Harness::new(10 * OVERHEAD);
    for sequence in 1..=1_000 {
        harness.offer(sequence, 10, b"");
    }
    assert_eq!(harness.deliveries.depth().messages, 10);
    assert_eq!(harness.stats().shed, 990);
}

#[tokio::test]
async fn a_batch_keeps_to_its_limits() {
    let harness = Harness::new(1000);
    for sequence in 1..=5 {
        harness.offer(sequence, 10, b"1234");
    }
    assert_eq!(harness.deliveries.take(2, usize::MAX).await.len(), 2);
    assert_eq!(harness.deliveries.take(10, 9).await.len(), 2);
    assert_eq!(harness.deliveries.take(10, 1).await.len(), 1);
}

#[tokio::test]
async fn an_ack_between_two_subscriptions_of_a_registration_goes_out_with_the_second() {
    let mut harness = Harness::new(1000);
    harness.offer(1, 10, b"a");
    let message = harness.take_one().await;
    harness.deliveries.detach();
    harness.ack(&message);
    harness.attach(true);
    assert_eq!(harness.acked(), Some(1));
}

#[tokio::test]
async fn an_ack_from_an_earlier_registration_waits_for_the_redelivery() {
    let mut harness = Harness::new(1000);
    harness.offer(1, 10, b"a");
    let message = harness.take_one().await;
    harness.attach(false);
    harness.ack(&message);
    assert!(harness.acked().is_none(), "the number may mean another message by now");
    harness.offer(1, 10, b"a");
    assert_eq!(harness.acked(), Some(1), "the same message, so it is answered at once");
    assert_eq!(harness.deliveries.depth().messages, 0);
}

#[tokio::test]
async fn a_message_in_hand_that_comes_again_after_a_rebuild_is_acked_under_the_new_registration() {
    let mut harness = Harness::new(1000);
    harness.offer(1, 10, b"a");
    let message = harness.take_one().await;
    harness.attach(false);
    harness.offer(1, 10, b"a");
    harness.ack(&message);
    assert_eq!(harness.acked(), Some(1));
}

#[tokio::test]
async fn a_number_reused_by_a_new_store_is_another_message() {
    let mut harness = Harness::new(1000);
    harness.offer(1, 10, b"old");
    let old = harness.take_one().await;
    harness.attach(false);
    harness.offer(1, 99, b"new");
    harness.ack(&old);
    assert!(harness.acked().is_none(), "the old ack would lose the new message");
    let new = harness.take_one().await;
    assert_eq!(&new.data[..], b"new");
    harness.ack(&new);
    assert_eq!(harness.acked(), Some(1));
}

#[tokio::test]
async fn every_waiting_taker_is_woken() {
    let harness = Harness::new(1000);
    let takers: Vec<_> = (0..3)
        .map(|_| {
            let deliveries = Arc::clone(&harness.deliveries);
            tokio::spawn(async move { deliveries.take(1, usize::MAX).await.len() })
        })
        .collect();
    tokio::task::yield_now().await;
    for sequence in 1..=2 {
        harness.offer(sequence, 10, b"a");
    }
    harness.offer(3, 10, b"a");
    for taker in takers {
        assert_eq!(taker.await.expect("no panic"), 1);
    }
    let waiting = tokio::spawn({
        let deliveries = Arc::clone(&harness.deliveries);
        async move { deliveries.take(1, usize::MAX).await.len() }
    });
    tokio::task::yield_now().await;
    harness.deliveries.close();
    assert_eq!(waiting.await.expect("no panic"), 0);
}

#[tokio::test]
async fn an_ack_that_a_whole_registration_did_not_ask_for_is_forgotten() {
    let mut harness = Harness::new(1000);
    harness.offer(1, 10, b"a");
    let message = harness.take_one().await;
    harness.attach(false);
    harness.ack(&message);
    assert_eq!(harness.deliveries.state().settled.len(), 1);
    harness.attach(false);
    assert_eq!(harness.deliveries.state().settled.len(), 0, "another member has it");
    harness.offer(1, 10, b"a");
    assert_eq!(harness.take_one().await.sequence, 1, "if not, it comes again, no more");
}

#[tokio::test]
async fn deliveries_redeliveries_and_acks_are_each_counted_once() {
    let mut harness = Harness::new(1000);
    harness.offer(1, 10, b"a");
    let redelivered =
        Delivery { sequence: 2, timestamp: 11, redelivered: true, ..Delivery::default() };
    harness.deliveries.offer(redelivered.clone());
    harness.deliveries.offer(redelivered);
    harness.ack(&harness.take_one().await);
    harness.deliveries.detach();
    harness.ack(&harness.take_one().await);
    let stats = harness.stats();
    assert_eq!((stats.delivered, stats.redelivered, stats.duplicates_suppressed), (2, 1, 1));
    assert_eq!(stats.acks, 1, "the second has nowhere to go yet");
    harness.attach(true);
    assert_eq!(harness.stats().acks, 2);
    assert_eq!(harness.acked(), Some(2));
}

#[tokio::test]
async fn a_store_that_is_swapped_back_doubles_nothing_in_hand() {
    let mut harness = Harness::new(1000);
    harness.offer(1, 10, b"old");
    let old = harness.take_one().await;
    harness.attach(false);
    harness.offer(1, 99, b"new");
    harness.attach(false);
    harness.offer(1, 10, b"old");
    assert_eq!(harness.deliveries.depth().messages, 1, "only the new one waits");
    harness.ack(&old);
    assert_eq!(harness.acked(), Some(1));
    assert_eq!(harness.deliveries.depth().in_hand, 1);
}

#[tokio::test]
async fn an_ack_names_the_last_delivery_of_its_message() {
    let mut harness = Harness::new(1000);
    let delivery = |number, redelivery_count| Delivery {
        sequence: 5,
        timestamp: 10,
        number,
        redelivery_count,
        ..Delivery::default()
    };
    let ack =
        |number, redelivery_count| Ack { sequence: 5, timestamp: 10, number, redelivery_count };
    harness.deliveries.offer(delivery(7, 0));
    let message = harness.take_one().await;
    harness.deliveries.offer(delivery(9, 1));
    harness.ack(&message);
    assert_eq!(harness.acks.try_recv(), Ok(ack(9, 1)), "it came again while in hand");
    harness.deliveries.offer(delivery(11, 2));
    let message = harness.take_one().await;
    harness.attach(false);
    harness.ack(&message);
    harness.deliveries.offer(delivery(1, 0));
    assert_eq!(harness.acks.try_recv(), Ok(ack(1, 0)), "it was asked for anew");
    harness.deliveries.offer(delivery(2, 1));
    let message = harness.take_one().await;
    harness.deliveries.detach();
    harness.ack(&message);
    harness.attach(true);
    assert_eq!(harness.acks.try_recv(), Ok(ack(2, 1)), "it was kept meanwhile");
}

#[tokio::test]
async fn what_is_released_at_the_end_is_answered_if_the_server_knows_it_and_not_acked_any_more() {
    let mut harness = Harness::new(1000);
    harness.offer(1, 10, b"before");
    let before = harness.take_one().await;
    harness.attach(false);
    harness.offer(2, 11, b"taken");
    harness.offer(3, 12, b"queued");
    let taken = harness.take_one().await;
    harness.deliveries.close();
    let mut released = harness.deliveries.release_all();
    released.sort_unstable_by_key(|ack| ack.sequence);
    assert_eq!(released.iter().map(|ack| ack.sequence).collect::<Vec<_>>(), [2, 3]);
    harness.ack(&before);
    harness.ack(&taken);
    assert!(harness.acked().is_none(), "others have them");
    assert_eq!(harness.deliveries.depth(), QueueDepth::default());
}

#[tokio::test]
async fn room_shrinks_by_what_is_offered_and_whoever_waits_is_told_when_it_grows() {
    let harness = Harness::new(3 * OVERHEAD);
    harness.offer(1, 10, b"1234");
    assert_eq!(harness.deliveries.room(), 2 * OVERHEAD - 4);
    assert!(harness.deliveries.until_taken().now_or_never().is_none());
    harness.take_one().await;
    assert!(harness.deliveries.until_taken().now_or_never().is_some());
    assert_eq!(harness.deliveries.room(), 3 * OVERHEAD);
    let large = Harness::new(1);
    large.offer(1, 10, b"larger than the budget");
    assert_eq!(large.deliveries.room(), 0);
}
