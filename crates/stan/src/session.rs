//! A durable queue-group subscription that outlives the registrations under it.

use std::sync::Arc;

use deliveries::{Deliveries, Messages, QueueDepth};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::Error;
use crate::options::{Options, SubscriptionOptions};
use crate::state::SessionState;
use crate::stats::{Counters, Stats};
use crate::transport::Transport;

use supervisor::{Limits, Supervisor};

mod supervisor;

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

/// A read-only view of a session; clones see the same. It keeps nothing alive but what it reads.
#[derive(Debug, Clone)]
pub struct Monitor {
    state: watch::Receiver<SessionState>,
    deliveries: Arc<Deliveries>,
    counters: Arc<Counters>,
}

impl Monitor {
    /// The state and its changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<SessionState> {
        self.state.clone()
    }

    /// The counters since the session began.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counters.snapshot(&self.deliveries)
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
        if subscription.durable_name.is_none() {
            let why = "a session needs a durable name: each resume would start over without one";
            return Err(Error::InvalidOption(why.to_owned()));
        }
        let counters = Arc::new(Counters::default());
        let transport = Transport::dial_in_background(&options, &counters).await?;
        let deliveries = Deliveries::new(subscription.queue_max_bytes);
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
            limits: Limits::default(),
        };
        Ok(Self {
            messages: Messages::new(Arc::clone(&deliveries)),
            monitor: Monitor { state, deliveries, counters },
            supervisor: tokio::spawn(supervisor.run()),
            _stops_when_dropped: stop.clone().drop_guard(),
            stop,
        })
    }

    /// The receiving end; clones of it share the messages.
    #[must_use]
    pub fn messages(&self) -> Messages {
        self.messages.clone()
    }

    /// A read-only view of the session, for metrics and health checks.
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
            tracing::error!(%error, "The session's supervisor panicked");
        }
    }
}
