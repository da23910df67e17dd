//! The link under failures, with a real server.

use testbed::{Broker, BrokerOptions, eventually};

use super::link::{attempts_for, reconnect_delay};
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn hasty(broker: &Broker) -> LinkOptions {
    LinkOptions {
        url: broker.url(),
        name: "linked".to_owned(),
        connect_timeout: Duration::from_secs(2),
        ping_interval: Duration::from_secs(5),
        dial_for: Duration::from_secs(3),
        nats: async_nats::ConnectOptions::new(),
    }
}

#[tokio::test]
async fn a_link_ends_when_its_server_stays_away_and_the_next_one_counts_on() {
    let mut broker = Broker::start(BrokerOptions::default()).await.expect("a broker");
    let (options, counters) = (hasty(&broker), Arc::new(LinkCounters::default()));
    let first = Transport::dial(&options, &counters).await.expect("dialled");
    broker.kill().expect("killed");
    eventually("it gives up", PATIENCE, async || first.has_ended().then_some(())).await;
    let second = first.redial(&options, &counters).await.expect("dialled in the background");
    broker.start_again().await.expect("started again");
    second.until_connected(PATIENCE).await.expect("it is back");
    let mut link = second.link();
    link.wait_for(|link| link.up).await.expect("its client lives");
    assert_eq!((link.borrow().times, counters.reconnects.load(Ordering::Relaxed)), (2, 1));
    assert!(!second.has_ended());
}

#[test]
fn attempts_last_for_the_time_that_they_are_for() {
    for seconds in [3, 35, 3_600] {
        let time = Duration::from_secs(seconds);
        let taken: Duration = (1..=attempts_for(time)).map(reconnect_delay).sum();
        assert!(taken >= time && taken <= time * 3 + Duration::from_secs(4), "{taken:?}");
    }
    assert!(attempts_for(Duration::MAX) > 1_000_000);
}

/// With our capacity this takes a million messages that nobody reads, so here it is smaller.
#[tokio::test]
async fn what_the_nats_client_drops_for_want_of_room_is_counted() {
    let broker = Broker::start(BrokerOptions::default()).await.expect("a broker");
    let counters = Arc::new(LinkCounters::default());
    let (nats, _link) = prepare(&hasty(&broker), &counters, Link::default());
    let client = nats.subscription_capacity(4).connect(broker.url()).await.expect("a client");
    let unread = client.subscribe("flood").await.expect("subscribed");
    for _ in 0..10 {
        client.publish("flood", "drop".into()).await.expect("sent");
    }
    eventually("six are dropped", PATIENCE, async || {
        (counters.slow_consumer_drops.load(Ordering::Relaxed) == 6).then_some(())
    })
    .await;
    drop(unread);
}
