//! Queue groups: sharing, leaving, stalling, and acks that come late.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use stan::{Subscription, SubscriptionOptions};
use testbed::{Broker, eventually};

use crate::harness::{
    PATIENCE, ack_all, broker, connect, eventually_lag, group, lag, numbered, publish, sequences,
    take, take_from_all, take_many,
};

async fn member(broker: &Broker, name: &str, options: SubscriptionOptions) -> Subscription {
    connect(broker, name).await.subscribe(options).await.expect("subscribed")
}

fn narrow(max_in_flight: u32) -> SubscriptionOptions {
    let mut narrow = group();
    narrow.max_in_flight = max_in_flight;
    narrow
}

/// Takes and acks until `count` different messages have come to any of the members.
async fn drain(members: &[&Subscription], count: usize) -> HashSet<u64> {
    let mut seen = HashSet::new();
    let mut taking = tokio::task::JoinSet::new();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    for member in members {
        let (messages, sender) = (member.messages(), sender.clone());
        taking.spawn(async move {
            while let Some(message) = messages.recv().await {
                let sequence = message.sequence;
                message.ack();
                let _ = sender.send(sequence);
            }
        });
    }
    while seen.len() < count {
        let next = tokio::time::timeout(PATIENCE, receiver.recv()).await;
        let sequence = next.expect("in time").expect("members that take");
        assert!(seen.insert(sequence), "{sequence} came twice");
    }
    seen
}

/// `TestQueueSubscriberTransferPendingMsgsOnClose`.
#[tokio::test]
async fn what_a_leaving_member_held_reaches_the_others_at_once_and_flagged() {
    let broker = broker().await;
    let members = [
        member(&broker, "first", group()).await,
        member(&broker, "second", group()).await,
        member(&broker, "third", group()).await,
    ];
    publish(&broker, numbered(0..30)).await;
    let mut held = Vec::new();
    for member in &members {
        eventually("each has its share", PATIENCE, async || {
            (member.depth().messages == 10).then_some(())
        })
        .await;
        held.push(take_many(&member.messages(), 10).await);
    }
    let began = Instant::now();
    let [leaving, second, third] = members;
    leaving.close().await.expect("closed");
    let left: HashSet<u64> = sequences(&held.remove(0)).into_iter().collect();
    let again = take_from_all(&[&second, &third], 10).await;
    assert!(began.elapsed() < Duration::from_secs(15), "the ack wait is 30 s");
    assert!(again.iter().all(|message| message.redelivered));
    assert_eq!(sequences(&again).into_iter().collect::<HashSet<_>>(), left);
    ack_all(again);
    held.into_iter().for_each(ack_all);
    eventually_lag(&broker, "all is acked, two members are left", (0, 0, 2)).await;
}

/// `TestQueueAckRemovesFromOwningMember`.
#[tokio::test]
async fn a_late_ack_clears_a_message_that_was_redelivered_to_another_member() {
    let broker = broker().await;
    let mut impatient = group();
    impatient.ack_wait = Duration::from_secs(1);
    let slow = member(&broker, "slow", impatient).await;
    publish(&broker, numbered(0..1)).await;
    let first_copy = take(&slow.messages()).await;
    let other = member(&broker, "other", group()).await;
    let second_copy = take(&other.messages()).await;
    assert_eq!(second_copy.sequence, first_copy.sequence);
    assert!(second_copy.redelivered);
    // For a moment it counts for both members.
    eventually_lag(&broker, "it is the other one's now", (0, 1, 2)).await;
    first_copy.ack();
    eventually_lag(&broker, "the late ack counts", (0, 0, 2)).await;
    drop(second_copy);
}

/// `TestQueueWithOneStalledMemberDoesNotStallGroup`.
#[tokio::test]
async fn a_stalled_member_does_not_stall_its_group() {
    let broker = broker().await;
    let stalled = member(&broker, "stalled", narrow(1)).await;
    publish(&broker, numbered(0..1)).await;
    let held = take(&stalled.messages()).await;
    let working = member(&broker, "working", narrow(5)).await;
    publish(&broker, numbered(1..50)).await;
    assert_eq!(drain(&[&working], 49).await, (2..=50).collect());
    eventually_lag(&broker, "one is held", (0, 1, 2)).await;
    held.ack();
    eventually_lag(&broker, "all is acked", (0, 0, 2)).await;
}

/// `TestQueueGroupUnStalledOnAcks`.
#[tokio::test]
async fn a_stalled_group_goes_on_with_the_first_ack() {
    let broker = broker().await;
    let members =
        [member(&broker, "first", narrow(4)).await, member(&broker, "second", narrow(4)).await];
    publish(&broker, numbered(0..100)).await;
    eventually("both are stalled", PATIENCE, async || {
        let depth = |member: &Subscription| member.depth().messages;
        members.iter().all(|member| depth(member) == 4).then_some(())
    })
    .await;
    assert_eq!(lag(&broker).await, (92, 8, 2));
    assert_eq!(drain(&[&members[0], &members[1]], 100).await.len(), 100);
    eventually_lag(&broker, "all is acked", (0, 0, 2)).await;
}

/// `TestQueueGroupNotStalledOnMemberLeaving`.
#[tokio::test]
async fn a_group_whose_stalled_member_leaves_goes_on() {
    let broker = broker().await;
    let leaving = member(&broker, "leaving", narrow(10)).await;
    publish(&broker, numbered(0..10)).await;
    let held = take_many(&leaving.messages(), 10).await;
    let staying = member(&broker, "staying", narrow(1)).await;
    publish(&broker, numbered(10..30)).await;
    eventually("both are stalled", PATIENCE, async || {
        (lag(&broker).await == (19, 11, 2)).then_some(())
    })
    .await;
    leaving.close().await.expect("closed");
    drop(held);
    assert_eq!(drain(&[&staying], 30).await.len(), 30);
    eventually_lag(&broker, "all is acked", (0, 0, 1)).await;
}
