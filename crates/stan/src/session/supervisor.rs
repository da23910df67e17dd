//! The loop that keeps a session live: registers, subscribes, watches, and begins again.

use std::sync::Arc;
use std::time::Duration;

use deliveries::Deliveries;
use nats_link::{Backoff, Chain, LogLimit, pause};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Lost};
use crate::options::{Options, SubscriptionOptions};
use crate::registration::Registration;
use crate::state::{self, ConnectionState, SessionState};
use crate::stats::Counters;
use crate::transport::Transport;
use crate::wire_subscription::WireSubscription;

use link::{Step, next_step};

mod link;

const FIRST_RETRY: Duration = Duration::from_millis(200);
const SLOWEST_RETRY: Duration = Duration::from_secs(5);

/// How late a change of the link may be noticed when its event was missed.
const LINK_CHECK: Duration = Duration::from_secs(1);

pub(super) struct Supervisor {
    pub(super) options: Options,
    pub(super) subscription: SubscriptionOptions,
    pub(super) transport: Transport,
    pub(super) deliveries: Arc<Deliveries>,
    pub(super) counters: Arc<Counters>,
    pub(super) state: watch::Sender<SessionState>,
    pub(super) stop: CancellationToken,
    pub(super) limits: Limits,
}

/// A session may come and go many times a minute.
#[derive(Debug, Default)]
pub(super) struct Limits {
    live: LogLimit,
    lost: LogLimit,
    not_live: LogLimit,
}

/// How a live time ended.
enum Ended {
    Stopped,
    Lost(Lost),
}

impl Supervisor {
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(FIRST_RETRY, SLOWEST_RETRY);
        let mut registrations = 0_u64;
        while !self.stop.is_cancelled() {
            match self.establish().await {
                Ok(registration) => {
                    registrations += 1;
                    if registrations > 1 {
                        self.counters.session_rebuilds.add(1);
                    }
                    let since = Instant::now();
                    match self.live(&registration).await {
                        Ended::Stopped => break,
                        Ended::Lost(lost) => self.report_loss(lost),
                    }
                    if since.elapsed() > SLOWEST_RETRY {
                        backoff.reset();
                    }
                }
                Err(_) if self.stop.is_cancelled() => break,
                Err(error) => self.report_failure(&error),
            }
            self.pause(backoff.next_delay()).await;
        }
        self.deliveries.close();
        self.transport.flush(self.options.request_timeout).await;
        self.state.send_replace(SessionState::Closed);
    }

    /// Registers. It is not cut short by a stop: an answer that nobody waited for would leave a
    /// registration behind.
    async fn establish(&mut self) -> Result<Arc<Registration>, Error> {
        if self.transport.has_ended() {
            self.transport = self.transport.redial(&self.options, &self.counters).await?;
        }
        let within = self.options.request_timeout;
        let connected = self.transport.until_connected(within);
        self.stop.run_until_cancelled(connected).await.unwrap_or(Err(Error::Closed))?;
        Registration::open(self.transport.clone(), self.options.clone()).await
    }

    /// Subscribes, and watches over the registration until it is lost or the session is stopped.
    ///
    /// Events of the link may be missed, so they only wake this up; what counts is the link that
    /// is there and the one that the subscription was made over.
    async fn live(&self, registration: &Arc<Registration>) -> Ended {
        let mut events = self.transport.link();
        let mut ticks = interval(LINK_CHECK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wire = None;
        let mut subscribed_over = None;
        loop {
            let link = self.transport.link_number();
            let can_verify = registration.takes_pings();
            match next_step(link, subscribed_over, wire.is_some(), can_verify) {
                Step::Wait => {
                    if can_verify {
                        // Acks would go out as soon as the link is back; a server that was started
                        // anew may mean other messages by their sequences.
                        self.deliveries.detach();
                    }
                    self.set_state(SessionState::Retrying("the nats link is down".to_owned()));
                }
                Step::Live => self.set_state(SessionState::Live),
                Step::Keep => {
                    subscribed_over = link;
                    continue;
                }
                Step::Subscribe => {
                    let again = subscribed_over.is_some();
                    let subscribing = self.retry_subscribe(registration, &mut wire, again);
                    match self.stop.run_until_cancelled(subscribing).await {
                        Some(Ok(())) => {
                            subscribed_over = link;
                            continue;
                        }
                        Some(Err(lost)) => registration.lose(lost),
                        None => {}
                    }
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => {
                    self.shut_down(registration, wire).await;
                    return Ended::Stopped;
                }
                () = state::until_ended(registration.state()) => {
                    self.deliveries.detach();
                    let ConnectionState::Lost(lost) = *registration.state().borrow() else {
                        return Ended::Stopped;
                    };
                    return Ended::Lost(lost);
                }
                Ok(()) = events.changed() => {}
                _ = ticks.tick() => {}
            }
        }
    }

    /// Subscribes, with retries for as long as it takes and the registration holds.
    async fn retry_subscribe(
        &self,
        registration: &Arc<Registration>,
        wire: &mut Option<WireSubscription>,
        again: bool,
    ) -> Result<(), Lost> {
        let mut backoff = Backoff::new(FIRST_RETRY, SLOWEST_RETRY);
        let mut verified = !again;
        loop {
            match self.subscribe(registration, wire, verified).await {
                Ok(()) => return Ok(()),
                Err(Error::SessionLost(lost)) => return Err(lost),
                Err(error) if error.kind() == ErrorKind::SessionFatal => {
                    return Err(Lost::Replaced);
                }
                Err(error) => self.report_failure(&error),
            }
            verified = false;
            self.pause(backoff.next_delay()).await;
        }
    }

    /// After the link came back, what was sent to us meanwhile would come again only after the
    /// ack wait; closing the subscription and opening it again brings it at once. Unless
    /// `verified`, the server is asked first whether we are still its client.
    async fn subscribe(
        &self,
        registration: &Arc<Registration>,
        wire: &mut Option<WireSubscription>,
        verified: bool,
    ) -> Result<(), Error> {
        if !verified {
            registration.verify().await?;
        }
        if let Some(before) = wire {
            // It is kept until the server has answered: else a member of the group would stay
            // that gets its share of the messages and is read by nobody.
            match before.close(registration, &self.deliveries).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Permanent => {
                    tracing::debug!(error = %Chain(&error), "The subscription from before could not be closed");
                }
                Err(error) => return Err(error),
            }
            *wire = None;
        }
        let opened =
            WireSubscription::open(registration, &self.subscription, &self.deliveries).await?;
        *wire = Some(opened);
        self.set_state(SessionState::Live);
        if let Some(held_back) = self.limits.live.due() {
            tracing::info!(
                channel = self.subscription.channel,
                client_id = self.options.client_id,
                held_back,
                "The session is live"
            );
        }
        Ok(())
    }

    async fn shut_down(&self, registration: &Arc<Registration>, wire: Option<WireSubscription>) {
        self.deliveries.close();
        if let Some(mut wire) = wire
            && let Err(error) = wire.close(registration, &self.deliveries).await
        {
            tracing::warn!(error = %Chain(&error), "The subscription could not be closed; the server ends it after a time-out of its own");
        }
        if let Err(error) = registration.close().await {
            tracing::warn!(error = %Chain(&error), "The registration could not be closed; the server ends it after a time-out of its own");
        }
    }

    async fn pause(&self, delay: Duration) {
        self.stop.run_until_cancelled(pause(self.transport.link(), delay)).await;
    }

    fn set_state(&self, present: SessionState) {
        state::replace(&self.state, present);
    }

    fn report_loss(&self, lost: Lost) {
        if let Some(held_back) = self.limits.lost.due() {
            tracing::warn!(reason = %lost, held_back, "The session is lost; registering anew");
        }
        self.state.send_replace(SessionState::Lost(lost));
    }

    /// Logs a failure once, however often the same one follows, and a few times a minute if
    /// others follow.
    fn report_failure(&self, error: &Error) {
        let error = Chain(error).to_string();
        if state::replace(&self.state, SessionState::Retrying(error.clone()))
            && let Some(held_back) = self.limits.not_live.due()
        {
            tracing::warn!(%error, held_back, "The session is not live yet; retrying");
        }
    }
}
