//! How a NATS link reconnects, and what is told of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::Event;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::log_limit::LogLimit;

/// The NATS client drops messages when a subscription's channel is full, so ours never is:
/// the channel grows by blocks and our pump empties it at once into a queue bounded by bytes.
const SUBSCRIPTION_CAPACITY: usize = 1 << 20;

const FIRST_DELAY: Duration = Duration::from_millis(50);

/// How often the delay between two attempts is doubled.
const DOUBLINGS: u32 = 5;

/// Whether the link is up, and how often it came up; the first time makes it 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Link {
    /// Whether it is up.
    pub up: bool,
    /// How often it came up.
    pub times: u64,
}

/// How to dial and to keep a link.
#[derive(Debug, Clone)]
pub struct LinkOptions {
    /// NATS server addresses, separated by commas.
    pub url: String,
    /// Our name in the server's list of connections.
    pub name: String,
    /// How long an attempt may take.
    pub connect_timeout: Duration,
    /// Time between pings; a dead TCP peer is noticed after three of these.
    pub ping_interval: Duration,
    /// How long attempts go on at least while the servers are away. Then the link has ended, and
    /// is to be [dialled anew](crate::Transport::redial) by whoever still wants it.
    pub dial_for: Duration,
    /// TLS, user and password, token, nkey, credentials.
    pub nats: async_nats::ConnectOptions,
}

/// What happened to a link, and to those that it was dialled anew for.
#[derive(Debug, Default)]
pub struct LinkCounters {
    /// Times the link came back.
    pub reconnects: AtomicU64,
    /// Messages that the NATS client dropped because its own buffer was full.
    pub slow_consumer_drops: AtomicU64,
}

/// The options of a NATS client whose link is told of in the receiver, counted on from `before`.
pub(super) fn prepare(
    options: &LinkOptions,
    counters: &Arc<LinkCounters>,
    before: Link,
) -> (async_nats::ConnectOptions, watch::Receiver<Link>) {
    let (sender, link) = watch::channel(before);
    let sender = Arc::new(sender);
    let counters = Arc::clone(counters);
    let limits = Arc::new(Limits::default());
    let nats = options
        .nats
        .clone()
        .name(&options.name)
        .max_reconnects(attempts_for(options.dial_for))
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .ping_interval(options.ping_interval)
        .connection_timeout(options.connect_timeout)
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
/// as many as its user can make use of.
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

fn note(event: &Event, link: &watch::Sender<Link>, counters: &LinkCounters, limits: &Limits) {
    match event {
        Event::Connected => {
            link.send_modify(|link| *link = Link { up: true, times: link.times + 1 });
            if link.borrow().times > 1 {
                counters.reconnects.fetch_add(1, Ordering::Relaxed);
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
        Event::SlowConsumer(_) => {
            counters.slow_consumer_drops.fetch_add(1, Ordering::Relaxed);
        }
        Event::ServerError(error) => {
            if let Some(held_back) = limits.server_error.due() {
                tracing::warn!(%error, held_back, "The NATS server reports an error");
            }
        }
        other => tracing::debug!(event = %other, "A NATS event"),
    }
}

/// Waits; a link that comes up ends the wait, for then it is worth another try at once.
pub async fn pause(mut link: watch::Receiver<Link>, delay: Duration) {
    let times = link.borrow().times;
    tokio::select! {
        () = sleep(delay) => {}
        Ok(_) = link.wait_for(|link| link.up && link.times > times) => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const DELAY: Duration = Duration::from_secs(5);

    /// Pauses while the link becomes another after a second; answers how long.
    async fn paused(from: Link, to: Link) -> Duration {
        let (sender, link) = watch::channel(from);
        let began = Instant::now();
        let happening = async {
            sleep(Duration::from_secs(1)).await;
            sender.send_replace(to);
        };
        tokio::join!(pause(link, DELAY), happening);
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_early_only_by_a_new_link() {
        let (down, up) = (Link { up: false, times: 1 }, Link { up: true, times: 1 });
        let next = Link { up: true, times: 2 };
        assert_eq!(paused(down, down).await, DELAY);
        assert_eq!(paused(up, up).await, DELAY, "this link was up before");
        assert_eq!(paused(up, down).await, DELAY);
        assert_eq!(paused(down, next).await, Duration::from_secs(1));
    }
}
