//! How a NATS link reconnects, and what is told of it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Event;
use tokio::sync::watch;

use crate::log_limit::LogLimit;
use crate::options::Options;
use crate::stats::Counters;

/// The NATS client drops messages when a subscription's channel is full, so ours never is:
/// the channel grows by blocks and our pump empties it at once into a queue bounded by bytes.
const SUBSCRIPTION_CAPACITY: usize = 1 << 20;

/// A dead TCP peer is noticed after three of these.
const NATS_PING_INTERVAL: Duration = Duration::from_secs(5);

const FIRST_DELAY: Duration = Duration::from_millis(50);

/// How often the delay between two attempts is doubled.
const DOUBLINGS: u32 = 5;

/// Whether the link is up, and how often it came up; the first time makes it 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) up: bool,
    pub(crate) times: u64,
}

/// The options of a NATS client whose link is told of in the receiver, counted on from `before`.
pub(super) fn prepare(
    options: &Options,
    counters: &Arc<Counters>,
    before: Link,
) -> (async_nats::ConnectOptions, watch::Receiver<Link>) {
    let (sender, link) = watch::channel(before);
    let sender = Arc::new(sender);
    let counters = Arc::clone(counters);
    let limits = Arc::new(Limits::default());
    let nats = options
        .nats
        .clone()
        .name(&options.client_id)
        .max_reconnects(attempts_for(options.ping_budget()))
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .ping_interval(NATS_PING_INTERVAL)
        .connection_timeout(options.request_timeout)
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            note(&event, &sender, &counters, &limits);
            std::future::ready(())
        });
    (nats, link)
}

/// 50 ms and doubling up to 1.6 s, the upper half of it at random.
pub(super) fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(DOUBLINGS);
    (FIRST_DELAY * 2_u32.pow(doublings)).mul_f64(fastrand::f64().mul_add(0.5, 0.5))
}

/// Attempts that take at least so long. A client of async-nats that was dropped while its server
/// is away goes on dialling until its attempts are used up, and nothing else ends it; so they are
/// as many as a registration can make use of.
pub(super) fn attempts_for(time: Duration) -> usize {
    let shortest = FIRST_DELAY * 2_u32.pow(DOUBLINGS) / 2;
    let steady = usize::try_from(time.as_millis() / shortest.as_millis()).unwrap_or(usize::MAX);
    steady.saturating_add(DOUBLINGS as usize + 1)
}

/// A link may come and go many times a second.
#[derive(Debug, Default)]
struct Limits {
    back: LogLimit,
    down: LogLimit,
    server_error: LogLimit,
}

fn note(event: &Event, link: &watch::Sender<Link>, counters: &Counters, limits: &Limits) {
    match event {
        Event::Connected => {
            link.send_modify(|link| *link = Link { up: true, times: link.times + 1 });
            if link.borrow().times > 1 {
                counters.reconnects.add(1);
                if let Some(held_back) = limits.back.due() {
                    tracing::info!(held_back, "The NATS link is back");
                }
            }
        }
        Event::Disconnected => {
            link.send_modify(|link| link.up = false);
            if let Some(held_back) = limits.down.due() {
                tracing::warn!(held_back, "The NATS link is down; reconnecting");
            }
        }
        Event::SlowConsumer(_) => counters.slow_consumer_drops.add(1),
        Event::ServerError(error) => {
            if let Some(held_back) = limits.server_error.due() {
                tracing::warn!(%error, held_back, "The NATS server reports an error");
            }
        }
        other => tracing::debug!(event = %other, "A NATS event"),
    }
}
