//! A durable queue-group subscription that outlives the registrations under it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::attachment::Attachment;
use crate::backoff::Backoff;
use crate::connection::{Connection, ConnectionState};
use crate::deliveries::{Deliveries, QueueDepth};
use crate::error::{Error, Kind, Lost};
use crate::options::{Options, SubscriptionOptions};
use crate::stats::{Counters, Stats};
use crate::subscription::Messages;
use crate::transport::Transport;

const FIRST_RETRY: Duration = Duration::from_millis(200);
const SLOWEST_RETRY: Duration = Duration::from_secs(5);

/// Where a session stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionState {
    /// Looking for the server for the first time.
    Connecting,
    /// Registered and subscribed.
    Live,
    /// The registration was lost; a new one is being made.
    Lost(Lost),
    /// The last attempt to register or subscribe failed so; the next will follow.
    Retrying(String),
    /// Closed by its user.
    Closed,
}

/// A supervised session: one endless stream of messages.
///
/// Whatever happens to the server or the link, the session registers and subscribes again, with
/// jittered backoff and for as long as it takes. It never unsubscribes, so the group keeps its
/// position, and it sends nothing under a client id that is no longer its own.
///
/// ```no_run
/// # async fn example() -> Result<(), stan::Error> {
/// let options = stan::Options::new("nats://127.0.0.1:4222", "test-cluster", "worker-1");
/// let group = stan::SubscriptionOptions::durable_queue("orders", "workers", "workers");
/// let session = stan::Session::supervise(options, group).await?;
/// let messages = session.messages();
/// tokio::spawn(async move {
///     // Up to 100 messages at a time; empty at the end of the stream.
///     loop {
///         let batch = messages.recv_batch(100, 1024 * 1024).await;
///         if batch.is_empty() {
///             break;
///         }
///         batch.into_iter().for_each(stan::Message::ack);
///     }
/// });
/// let monitor = session.monitor();
/// println!("{:?} {:?}", *monitor.state().borrow(), monitor.stats());
/// session.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Session {
    messages: Messages,
    monitor: Monitor,
    supervisor: JoinHandle<()>,
    stop: CancellationToken,
    _stops_when_dropped: DropGuard,
}

/// An eye on a session; clones see the same. It keeps nothing alive but what it reads.
#[derive(Debug, Clone)]
pub struct Monitor {
    state: watch::Receiver<SessionState>,
    counters: Arc<Counters>,
    deliveries: Arc<Deliveries>,
}

impl Monitor {
    /// The state and its changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<SessionState> {
        self.state.clone()
    }

    /// The counters so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// What is in the queue and in hand.
    #[must_use]
    pub fn depth(&self) -> QueueDepth {
        self.deliveries.depth()
    }
}

impl Session {
    /// Starts a session; it connects in the background.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], or [`Error::Nats`] for an address that can never be dialled.
    pub async fn supervise(
        options: Options,
        subscription: SubscriptionOptions,
    ) -> Result<Self, Error> {
        options.validate()?;
        subscription.validate()?;
        let counters = Arc::new(Counters::default());
        let transport = Transport::dial_patiently(&options, &counters).await?;
        let deliveries = Deliveries::new(subscription.queue_max_bytes, Arc::clone(&counters));
        let (state_sender, state) = watch::channel(SessionState::Connecting);
        let stop = CancellationToken::new();
        let supervisor = Supervisor {
            options,
            subscription,
            transport,
            deliveries: Arc::clone(&deliveries),
            counters: Arc::clone(&counters),
            state: state_sender,
            stop: stop.clone(),
        };
        Ok(Self {
            messages: Messages::new(Arc::clone(&deliveries)),
            monitor: Monitor { state, counters, deliveries },
            supervisor: tokio::spawn(supervisor.run()),
            _stops_when_dropped: stop.clone().drop_guard(),
            stop,
        })
    }

    /// The receiving end.
    #[must_use]
    pub fn messages(&self) -> Messages {
        self.messages.clone()
    }

    /// An eye on the session, for metrics and health.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// Ends the stream, sends the acks that wait, closes the subscription, the registration and
    /// the link, in that order and each within [`Options::request_timeout`]. What is not acked by
    /// then is handed to the other members at once.
    pub async fn close(self) {
        self.stop.cancel();
        if let Err(error) = self.supervisor.await {
            tracing::error!(%error, "The session's supervisor ended badly");
        }
    }
}

struct Supervisor {
    options: Options,
    subscription: SubscriptionOptions,
    transport: Transport,
    deliveries: Arc<Deliveries>,
    counters: Arc<Counters>,
    state: watch::Sender<SessionState>,
    stop: CancellationToken,
}

/// How a live time ended.
enum Ended {
    Stopped,
    Lost(Lost),
}

impl Supervisor {
    async fn run(self) {
        let mut backoff = Backoff::new(FIRST_RETRY, SLOWEST_RETRY);
        let mut registrations = 0_u64;
        while !self.stop.is_cancelled() {
            let Some(established) = self.stop.run_until_cancelled(self.establish()).await else {
                break;
            };
            match established {
                Ok((connection, attachment)) => {
                    registrations += 1;
                    if registrations > 1 {
                        self.counters.session_rebuilds.add(1);
                    }
                    let since = Instant::now();
                    match self.live(&connection, attachment).await {
                        Ended::Stopped => break,
                        Ended::Lost(lost) => self.note_loss(lost),
                    }
                    if since.elapsed() > SLOWEST_RETRY {
                        backoff.reset();
                    }
                }
                Err(error) => self.note_failure(&error),
            }
            self.pause(backoff.next_delay()).await;
        }
        self.deliveries.close();
        self.transport.flush(self.options.request_timeout).await;
        self.state.send_replace(SessionState::Closed);
    }

    async fn establish(&self) -> Result<(Connection, Attachment), Error> {
        self.transport.until_connected(self.options.request_timeout).await?;
        let connection = Connection::open(self.transport.clone(), self.options.clone()).await?;
        let attachment = self.attach(&connection, false).await?;
        tracing::info!(
            channel = self.subscription.channel,
            client_id = self.options.client_id,
            "The session is live"
        );
        Ok((connection, attachment))
    }

    async fn attach(&self, connection: &Connection, again: bool) -> Result<Attachment, Error> {
        let (deliveries, counters) = (&self.deliveries, &self.counters);
        let attached =
            Attachment::open(connection, &self.subscription, deliveries, counters, again).await?;
        self.state.send_replace(SessionState::Live);
        Ok(attached)
    }

    /// Watches over a registration until it is lost or the session is stopped.
    async fn live(&self, connection: &Connection, attachment: Attachment) -> Ended {
        let mut link = self.transport.link();
        link.mark_unchanged();
        let mut attachment = Some(attachment);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => {
                    self.leave(connection, attachment).await;
                    return Ended::Stopped;
                }
                () = Connection::until_ended(connection.state()) => {
                    self.deliveries.detach();
                    let ConnectionState::Lost(lost) = *connection.state().borrow() else {
                        return Ended::Stopped;
                    };
                    return Ended::Lost(lost);
                }
                Ok(()) = link.changed() => {
                    if !link.borrow_and_update().up {
                        self.note_failure(&Error::Nats("the link is down".to_owned()));
                        continue;
                    }
                    let resuming = self.resume(connection, attachment.take());
                    let Some(resumed) = self.stop.run_until_cancelled(resuming).await else {
                        self.leave(connection, None).await;
                        return Ended::Stopped;
                    };
                    attachment = resumed;
                }
            }
        }
    }

    /// After the link came back: what was sent to us meanwhile would come again only after the
    /// ack wait; closing the subscription and opening it again brings it at once. The server is
    /// asked first whether we are still its client. None when we are not.
    async fn resume(
        &self,
        connection: &Connection,
        mut attachment: Option<Attachment>,
    ) -> Option<Attachment> {
        let mut backoff = Backoff::new(FIRST_RETRY, SLOWEST_RETRY);
        loop {
            match self.resume_once(connection, &mut attachment).await {
                Ok(attachment) => return Some(attachment),
                Err(error) if error.kind() == Kind::SessionFatal => {
                    connection.lose(Lost::Replaced);
                    return None;
                }
                Err(error) => self.note_failure(&error),
            }
            sleep(backoff.next_delay()).await;
            connection.check().ok()?;
        }
    }

    async fn resume_once(
        &self,
        connection: &Connection,
        attachment: &mut Option<Attachment>,
    ) -> Result<Attachment, Error> {
        connection.verify().await?;
        if let Some(mut attachment) = attachment.take()
            && let Err(error) = attachment.close(connection, &self.deliveries).await
        {
            tracing::debug!(%error, "The subscription from before could not be closed");
        }
        self.attach(connection, true).await
    }

    async fn leave(&self, connection: &Connection, attachment: Option<Attachment>) {
        self.deliveries.close();
        if let Some(mut attachment) = attachment
            && let Err(error) = attachment.close(connection, &self.deliveries).await
        {
            tracing::warn!(%error, "The subscription could not be closed; the server will notice by itself");
        }
        if let Err(error) = connection.close().await {
            tracing::warn!(%error, "The registration could not be closed; the server will notice by itself");
        }
    }

    /// Waits; a link that comes up ends the wait, for then it is worth another try at once.
    async fn pause(&self, delay: Duration) {
        let mut link = self.transport.link();
        link.mark_unchanged();
        tokio::select! {
            () = sleep(delay) => {}
            () = self.stop.cancelled() => {}
            Ok(()) = link.changed() => {}
        }
    }

    fn note_loss(&self, lost: Lost) {
        tracing::warn!(reason = %lost, "The session is lost; building a new one");
        self.state.send_replace(SessionState::Lost(lost));
    }

    /// Says a failure once, however often the same one follows.
    fn note_failure(&self, error: &Error) {
        let retrying = SessionState::Retrying(error.to_string());
        let news = self.state.send_if_modified(|state| {
            let news = *state != retrying;
            state.clone_from(&retrying);
            news
        });
        if news {
            tracing::warn!(%error, "The session cannot be made live yet; trying on");
        }
    }
}
