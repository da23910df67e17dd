//! The loop that keeps a session live: makes sure of stream and consumer, pulls, and begins again.

use std::sync::Arc;
use std::time::Duration;

use deliveries::Deliveries;
use nats_link::{Backoff, Chain, LogLimit, Transport, pause};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::ensure::{Ensured, ensure};
use crate::error::{Error, RequestKind};
use crate::options::{ConsumerOptions, Options};
use crate::reply::AckPrefix;
use crate::state::{self, SessionState};
use crate::stats::Counters;

use super::acks::AckTarget;
use super::generation::{Fault, Generation, Plan};

const FIRST_RETRY: Duration = Duration::from_millis(100);
const SLOWEST_RETRY: Duration = Duration::from_secs(2);

/// What the grace for the end of a pull may grow to, in request time-outs.
const MOST_GRACE: u32 = 8;

/// How late a change of the link may be noticed when its event was missed.
const LINK_CHECK: Duration = Duration::from_secs(1);

pub(super) struct Supervisor {
    options: Options,
    consumer: ConsumerOptions,
    transport: Transport,
    deliveries: Arc<Deliveries>,
    counters: Arc<Counters>,
    state: watch::Sender<SessionState>,
    stop: CancellationToken,
    target: AckTarget,
    /// How much later than announced the end of a pull may come.
    grace: Duration,
    /// When the stream and the consumer were made that were pulled from last.
    created: Option<(String, String)>,
    limits: Limits,
}

/// A session may come and go many times a minute.
#[derive(Debug, Default)]
struct Limits {
    live: LogLimit,
    not_live: LogLimit,
}

/// How a live time ended.
enum Ended {
    Stopped,
    Lost(Fault),
}

impl Supervisor {
    pub(super) fn new(
        options: Options,
        consumer: ConsumerOptions,
        transport: Transport,
        deliveries: Arc<Deliveries>,
        counters: Arc<Counters>,
        state: watch::Sender<SessionState>,
        stop: CancellationToken,
    ) -> Self {
        let target = AckTarget::new(AckPrefix::of(&consumer.stream, &consumer.consumer));
        let (grace, created, limits) = (options.request_timeout, None, Limits::default());
        Self {
            options,
            consumer,
            transport,
            deliveries,
            counters,
            state,
            stop,
            target,
            grace,
            created,
            limits,
        }
    }

    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(FIRST_RETRY, SLOWEST_RETRY);
        let mut generations = 0_u64;
        let stop = self.stop.clone();
        while !stop.is_cancelled() {
            // Nothing is left behind by what is cut short here.
            let establishing = Box::pin(self.establish());
            match stop.run_until_cancelled(establishing).await {
                None => break,
                Some(Err(error)) => self.report(&Chain(&error).to_string()),
                Some(Ok(generation)) => {
                    generations += 1;
                    if generations > 1 {
                        self.counters.session_rebuilds.add(1);
                    }
                    self.report_live();
                    let since = Instant::now();
                    match self.live(generation).await {
                        Ended::Stopped => break,
                        Ended::Lost(fault) => self.report(&fault),
                    }
                    if since.elapsed() > SLOWEST_RETRY {
                        backoff.reset();
                    }
                }
            }
            let pausing = pause(self.transport.link(), backoff.next_delay());
            stop.run_until_cancelled(pausing).await;
        }
        self.deliveries.close();
        self.deliveries.detach();
        self.state.send_replace(SessionState::Closed);
    }

    /// Makes sure of link, stream and consumer, and subscribes.
    async fn establish(&mut self) -> Result<Generation, Error> {
        let within = self.options.request_timeout;
        let failed = |error| Error::of(error, RequestKind::Subscribe, within);
        if self.transport.has_ended() {
            let link = self.options.link();
            self.transport =
                self.transport.redial(&link, &self.counters.link).await.map_err(failed)?;
        }
        self.transport.until_connected(within).await.map_err(failed)?;
        // What is asked over a later link than this ends the generation at once.
        let link = self.transport.link_number().unwrap_or(0);
        let ensured = self.ensure().await?;
        let are_same = self.created.as_ref() == Some(&ensured.created);
        let plan = Plan {
            transport: &self.transport,
            link,
            within,
            grace: self.grace,
            options: &self.consumer,
            consumer: &ensured.consumer,
            target: self.target.clone(),
        };
        let begun = Generation::begin(plan, &self.deliveries, are_same).await?;
        self.created = Some(ensured.created);
        Ok(begun)
    }

    /// Makes sure of stream and consumer. Without an answer the link is dialled anew: it may be one
    /// that swallows all, which its own pings would take longer to find out.
    async fn ensure(&self) -> Result<Ensured, Error> {
        let within = self.options.request_timeout;
        let api = Api { transport: self.transport.clone(), within };
        let ensured = Box::pin(ensure(&api, &self.consumer)).await;
        if let Err(Error::Timeout { .. }) = ensured {
            self.transport.reconnect(within).await;
        }
        ensured
    }

    /// Whether stream and consumer are still those that are pulled from.
    async fn recheck(&self) -> Result<(), Fault> {
        match self.ensure().await {
            Ok(ensured) if self.created.as_ref() == Some(&ensured.created) => Ok(()),
            Ok(_) => Err("the stream or the consumer was made anew".to_owned()),
            Err(error) => Err(Chain(&error).to_string()),
        }
    }

    /// Pulls until that cannot go on or the session is stopped.
    async fn live(&mut self, mut generation: Generation) -> Ended {
        let mut events = self.transport.link();
        let mut ticks = interval(LINK_CHECK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let fault = loop {
            match generation.pull(&self.deliveries, self.consumer.queue_max_bytes).await {
                Ok(is_sent) => self.counters.pulls.add(u64::from(is_sent)),
                Err(fault) => break fault,
            }
            let overdue = generation.overdue();
            let is_overdue = async {
                match overdue {
                    Some(overdue) => sleep_until(overdue).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => {
                    self.deliveries.close();
                    self.counters.naks.add(generation.end(&self.deliveries).await);
                    return Ended::Stopped;
                }
                received = generation.receive(&self.deliveries) => match received {
                    Ok(()) => continue,
                    Err(fault) => break fault,
                },
                () = self.deliveries.until_taken() => {}
                () = is_overdue => match self.stop.run_until_cancelled(self.recheck()).await {
                    // Were it not for the stop.
                    None => continue,
                    Some(Ok(())) if generation.lapse() => {}
                    Some(Ok(())) => break "the server did not end a pull in time".to_owned(),
                    Some(Err(fault)) => break fault,
                },
                _ = events.changed() => {}
                _ = ticks.tick() => {}
            }
            if !generation.holds() {
                break "the NATS link was lost".to_owned();
            }
        };
        generation.drain(&self.deliveries);
        self.deliveries.detach();
        // A server with much to do may deliver late. What it sends to an inbox that is gone it has
        // to send again: with the same grace each time, nothing would ever arrive.
        self.grace = if generation.is_answered() {
            self.options.request_timeout
        } else {
            (self.grace * 2).min(self.options.request_timeout * MOST_GRACE)
        };
        Ended::Lost(fault)
    }

    fn report_live(&self) {
        self.state.send_replace(SessionState::Live);
        if let Some(held_back) = self.limits.live.due() {
            let ConsumerOptions { stream, consumer, .. } = &self.consumer;
            tracing::info!(stream, consumer, held_back, "The session is live");
        }
    }

    /// Logs a failure once, however often the same one follows, and a few times a minute if
    /// others follow.
    fn report(&self, error: &str) {
        if state::replace(&self.state, SessionState::Retrying(error.to_owned()))
            && let Some(held_back) = self.limits.not_live.due()
        {
            tracing::warn!(%error, held_back, "The session is not live; retrying");
        }
    }
}
