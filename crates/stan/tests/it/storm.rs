//! A storm of restarts, cuts and black holes, shortened by small timeouts: nothing that was
//! acknowledged to the publisher is lost, and everything ends where it began.
//!
//! `STAN_STORM_SEED` repeats a storm, `STAN_STORM_FAULTS` makes it longer.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stan::{Connection, Messages, Options, Session, SessionState};
use testbed::{Broker, Direction, Proxy, eventually};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::harness::{broker, eventually_lag, group, options};

const FAULTS: u64 = 12;
const RECOVERY: Duration = Duration::from_mins(1);

/// What the users of the sessions saw.
#[derive(Default)]
struct Seen {
    /// How often each number was acknowledged by us.
    acked: HashMap<u32, u32>,
    /// Sequence numbers taken and not yet acknowledged.
    in_hand: HashSet<u64>,
    /// Those yielded again while their first copy was in hand.
    doubled: Vec<u64>,
}

#[tokio::test]
async fn a_storm_loses_nothing_and_leaves_nothing_behind() {
    let seed = number("STAN_STORM_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("STAN_STORM_SEED={seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut broker = broker().await;
    let tasks_before = Handle::current().metrics().num_alive_tasks();
    let subscriptions_before = nats_subscriptions(&broker).await;

    let mut proxies = Vec::new();
    let mut sessions = Vec::new();
    let observed: [Arc<Mutex<Seen>>; 2] = Default::default();
    let mut users = Vec::new();
    for (name, seen) in ["one", "two"].into_iter().zip(&observed) {
        let proxy = Proxy::start(([127, 0, 0, 1], broker.port()).into()).await.expect("a proxy");
        let mut group = group();
        group.ack_wait = Duration::from_secs(5);
        group.max_in_flight = 64;
        let session = Session::supervise(hasty(proxy.port(), name), group).await;
        let session = session.expect("a session");
        for hold in [Duration::from_millis(5), Duration::from_millis(1_500)] {
            users.push(tokio::spawn(consume(session.messages(), Arc::clone(seen), hold)));
        }
        proxies.push(proxy);
        sessions.push(session);
    }
    let stop = CancellationToken::new();
    let publisher = tokio::spawn(publish_until(hasty(broker.port(), "publisher"), stop.clone()));

    let faults = number("STAN_STORM_FAULTS").unwrap_or(FAULTS);
    for _ in 0..faults {
        let fault = inject_fault(&mut chance, &mut broker, &mut proxies).await;
        eprintln!("{fault}");
    }
    for proxy in &mut proxies {
        proxy.heal().await.expect("healed");
    }
    stop.cancel();
    let stored = publisher.await.expect("a publisher that ends well");
    for session in &sessions {
        let mut state = session.monitor().state();
        let live = state.wait_for(|state| *state == SessionState::Live);
        timeout(RECOVERY, live).await.expect("in time").expect("supervised");
    }
    eventually("every acknowledged publish is acked", RECOVERY, async || {
        let acked: HashSet<u32> = observed.iter().flat_map(|seen| keys(seen)).collect();
        stored.is_subset(&acked).then_some(())
    })
    .await;
    eventually_lag(&broker, "nothing waits, and nobody but us is there", (0, 0, 2)).await;
    let clients = broker.clients().await.expect("clients");
    let mut clients: Vec<_> = clients.iter().map(|c| (c.id.as_str(), c.subs_count)).collect();
    clients.sort_unstable();
    assert_eq!(clients, [("one", 1), ("two", 1)], "exactly our registrations and subscriptions");

    for (name, session) in ["one", "two"].into_iter().zip(sessions) {
        eprintln!("{name}: {:?}", session.monitor().stats());
        assert_eq!(session.monitor().stats().slow_consumer_drops, 0);
        session.close().await;
    }
    for user in users {
        user.await.expect("a user that ends well");
    }
    let doubled: Vec<u64> = observed.iter().flat_map(|seen| lock(seen).doubled.clone()).collect();
    assert!(doubled.is_empty(), "yielded again while in hand: {doubled:?}");
    let acks: u32 = observed.iter().map(|seen| lock(seen).acked.values().sum::<u32>()).sum();
    eprintln!("{} published, {acks} acked", stored.len());
    assert!(stored.len() > 100, "the storm left too little to prove anything");

    eventually_lag(&broker, "the group waits for its next member", (0, 0, 0)).await;
    assert!(broker.clients().await.expect("clients").is_empty());
    drop(proxies);
    eventually("all tasks have ended", RECOVERY, async || {
        (Handle::current().metrics().num_alive_tasks() <= tasks_before).then_some(())
    })
    .await;
    // The streaming server itself listens for the acks of the group that waits.
    let subscriptions = nats_subscriptions(&broker).await;
    let after = format!("{subscriptions} NATS subscriptions after {subscriptions_before}");
    assert!(subscriptions <= subscriptions_before + 1, "{after}");
}

/// Makes one fault, most often a short one, and then repairs it.
async fn inject_fault(
    chance: &mut fastrand::Rng,
    broker: &mut Broker,
    proxies: &mut [Proxy],
) -> String {
    let for_a_while = Duration::from_millis(match chance.u8(..4) {
        0 => chance.u64(20..200),
        1 | 2 => chance.u64(200..2_000),
        _ => chance.u64(2_000..6_000),
    });
    let proxy = chance.usize(..proxies.len());
    let proxy = &mut proxies[proxy];
    let fault = chance.u8(..7);
    match fault {
        0 => broker.stop().await.expect("stopped"),
        1 => broker.kill().expect("killed"),
        2 | 3 => proxy.cut().await,
        4 => proxy.black_hole(Direction::ToServer),
        5 => proxy.black_hole(Direction::ToClient),
        _ => {
            proxy.black_hole(Direction::ToServer);
            proxy.black_hole(Direction::ToClient);
        }
    }
    // How long the fault lasts, not a wait for a state.
    sleep(for_a_while).await;
    if fault <= 1 {
        broker.start_again().await.expect("started again");
    } else {
        proxy.heal().await.expect("healed");
    }
    sleep(Duration::from_millis(chance.u64(20..1_000))).await;
    format!("fault {fault} for {for_a_while:?}")
}

/// Takes several at a time, holds them for a while, acknowledges.
async fn consume(messages: Messages, seen: Arc<Mutex<Seen>>, hold: Duration) {
    loop {
        let batch = messages.recv_batch(16, usize::MAX).await;
        if batch.is_empty() {
            return;
        }
        for message in &batch {
            let mut seen = lock(&seen);
            if !seen.in_hand.insert(message.sequence) {
                seen.doubled.push(message.sequence);
            }
        }
        sleep(hold).await;
        for message in batch {
            let text = std::str::from_utf8(&message.data).expect("our text");
            let number = text.parse().expect("our number");
            let mut seen = lock(&seen);
            *seen.acked.entry(number).or_default() += 1;
            seen.in_hand.remove(&message.sequence);
            drop(seen);
            message.ack();
        }
    }
}

/// Publishes numbers until told to stop; answers those that the server acknowledged.
async fn publish_until(options: Options, stop: CancellationToken) -> HashSet<u32> {
    let mut acknowledged = HashSet::new();
    let mut next = 0;
    while !stop.is_cancelled() {
        let Ok(connection) = Connection::connect(options.clone()).await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let state = connection.state();
        let is_open = || *state.borrow() == stan::ConnectionState::Open;
        while is_open() && !stop.is_cancelled() {
            let mut acks = Vec::new();
            for number in next..next + 20 {
                if let Ok(ack) = connection.publish_async("orders", number.to_string().into()).await
                {
                    acks.push((number, ack));
                }
            }
            next += 20;
            for (number, ack) in acks {
                if ack.await.is_ok() {
                    acknowledged.insert(number);
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
        // It may be lost or its server away; then there is nothing to close.
        let _ = connection.close().await;
    }
    acknowledged
}

fn hasty(port: u16, client_id: &str) -> Options {
    let mut options = options(&format!("nats://127.0.0.1:{port}"), client_id);
    options.request_timeout = Duration::from_secs(1);
    options.pub_ack_timeout = Duration::from_secs(3);
    options
}

async fn nats_subscriptions(broker: &Broker) -> u64 {
    let port = broker.monitor_url().rsplit(':').next().and_then(|port| port.parse().ok());
    let (_, body) = testbed::http::get(port.expect("a port"), "/subsz").await.expect("subsz");
    let count = body.split("\"num_subscriptions\":").nth(1).expect("the count");
    let digits: String = count.trim().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keys(seen: &Mutex<Seen>) -> Vec<u32> {
    lock(seen).acked.keys().copied().collect()
}
