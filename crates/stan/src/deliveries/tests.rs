//! What the queue promises, without a server.

use super::*;

struct Harness {
    deliveries: Arc<Deliveries>,
    counters: Arc<Counters>,
    acks: mpsc::UnboundedReceiver<u64>,
}

impl Harness {
    fn new(max_bytes: usize) -> Self {
        let counters = Arc::new(Counters::default());
        let deliveries = Deliveries::new(max_bytes, Arc::clone(&counters));
        let (sender, acks) = mpsc::unbounded_channel();
        deliveries.attach(sender, false);
        Self { deliveries, counters, acks }
    }

    fn attach(&mut self, same_registration: bool) {
        let (sender, acks) = mpsc::unbounded_channel();
        self.deliveries.attach(sender, same_registration);
        self.acks = acks;
    }

    fn offer(&self, sequence: u64, timestamp: i64, data: &'static [u8]) {
        let data = Bytes::from_static(data);
        self.deliveries.offer(MsgProto { sequence, data, timestamp, ..MsgProto::default() });
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
    assert_eq!(harness.counters.snapshot().duplicates_suppressed, 2);
    harness.ack(&message);
    assert_eq!(harness.acks.try_recv(), Ok(1));
    assert_eq!(harness.deliveries.depth(), QueueDepth::default());
}

#[tokio::test]
async fn a_dropped_message_is_not_acked_and_may_come_again() {
    let mut harness = Harness::new(1000);
    harness.offer(1, 10, b"a");
    harness.release(&harness.take_one().await);
    assert!(harness.acks.try_recv().is_err());
    harness.offer(1, 10, b"a");
    assert_eq!(harness.take_one().await.sequence, 1);
}

#[tokio::test]
async fn what_goes_over_the_budget_is_shed_but_a_single_large_message_passes() {
    let harness = Harness::new(4);
    harness.offer(1, 10, b"longer than the budget");
    harness.offer(2, 11, b"x");
    assert_eq!(harness.deliveries.depth().messages, 1);
    assert_eq!(harness.counters.snapshot().shed, 1);
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
    assert_eq!(harness.counters.snapshot().shed, 990);
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
    assert_eq!(harness.acks.try_recv(), Ok(1));
}

#[tokio::test]
async fn an_ack_from_an_earlier_registration_waits_for_the_redelivery() {
    let mut harness = Harness::new(1000);
    harness.offer(1, 10, b"a");
    let message = harness.take_one().await;
    harness.attach(false);
    harness.ack(&message);
    assert!(harness.acks.try_recv().is_err(), "the number may mean another message by now");
    harness.offer(1, 10, b"a");
    assert_eq!(harness.acks.try_recv(), Ok(1), "the same message, so it is answered at once");
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
    assert_eq!(harness.acks.try_recv(), Ok(1));
}

#[tokio::test]
async fn a_number_reused_by_a_new_store_is_another_message() {
    let mut harness = Harness::new(1000);
    harness.offer(1, 10, b"old");
    let old = harness.take_one().await;
    harness.attach(false);
    harness.offer(1, 99, b"new");
    harness.ack(&old);
    assert!(harness.acks.try_recv().is_err(), "the old ack would lose the new message");
    let new = harness.take_one().await;
    assert_eq!(&new.data[..], b"new");
    harness.ack(&new);
    assert_eq!(harness.acks.try_recv(), Ok(1));
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
        MsgProto { sequence: 2, timestamp: 11, redelivered: true, ..MsgProto::default() };
    harness.deliveries.offer(redelivered.clone());
    harness.deliveries.offer(redelivered);
    harness.ack(&harness.take_one().await);
    harness.deliveries.detach();
    harness.ack(&harness.take_one().await);
    let stats = harness.counters.snapshot();
    assert_eq!((stats.delivered, stats.redelivered, stats.duplicates_suppressed), (2, 1, 1));
    assert_eq!(stats.acks, 1, "the second has nowhere to go yet");
    harness.attach(true);
    assert_eq!(harness.counters.snapshot().acks, 2);
    assert_eq!(harness.acks.try_recv(), Ok(2));
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
    assert_eq!(harness.acks.try_recv(), Ok(1));
    assert_eq!(harness.deliveries.depth().in_hand, 1);
}
