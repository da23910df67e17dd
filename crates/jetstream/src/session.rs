//! Membership of a durable pull consumer that outlives links, servers, streams and consumers.

use std::sync::Arc;

use deliveries::{Deliveries, Messages, QueueDepth};
use nats_link::Transport;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::{Error, RequestKind};
use crate::options::{ConsumerOptions, Options};
use crate::state::SessionState;
use crate::stats::{Counters, Stats};

use supervisor::Supervisor;

mod acks;
mod generation;
mod pulls;
mod supervisor;

/// A supervised session: one endless stream of messages of a durable pull consumer that all
/// members share.
///
/// Whatever happens to the server, the link, the stream or the consumer, the session begins anew
/// with jittered backoff and for as long as it takes. A pull that the server neither answers nor
/// ends is given up after a second and [`Options::request_timeout`]; after up to eight times that
/// if those before it were not answered either, though stream and consumer are there.
///
/// ```no_run
/// # async fn example() -> Result<(), jetstream::Error> {
/// let options = jetstream::Options::new("nats://127.0.0.1:4222", "worker-1");
/// let consumer = jetstream::ConsumerOptions::new("ORDERS", "orders", "workers");
/// let session = jetstream::Session::supervise(options, consumer).await?;
/// let messages = session.messages();
/// tokio::spawn(async move {
///     // Up to 100 messages at a time; empty at the end of the stream.
///     loop {
///         let batch = messages.recv_batch(100, 1024 * 1024).await;
///         if batch.is_empty() {
///             break;
///         }
///         batch.into_iter().for_each(jetstream::Message::ack);
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
    /// Starts a session; it connects in the background. A stream or consumer that is missing or
    /// unsuitable is told by its state, and looked for again.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], or [`Error::Nats`] for an address that can never be dialled.
    pub async fn supervise(options: Options, consumer: ConsumerOptions) -> Result<Self, Error> {
        options.validate()?;
        consumer.validate()?;
        let counters = Arc::new(Counters::default());
        let transport = Transport::dial_in_background(&options.link(), &counters.link).await;
        let transport = transport
            .map_err(|error| Error::of(error, RequestKind::Subscribe, options.request_timeout))?;
        let deliveries = Deliveries::new(consumer.queue_max_bytes);
        let (state_sender, state) = watch::channel(SessionState::Connecting);
        let stop = CancellationToken::new();
        let supervisor = Supervisor::new(
            options,
            consumer,
            transport,
            Arc::clone(&deliveries),
            Arc::clone(&counters),
            state_sender,
            stop.clone(),
        );
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

    /// Ends the stream, waits until the server has ended the last pull, which takes a second at
    /// the most, sends the acks that wait, and hands back what is not acked by then: the other
    /// members get it at once. Each step is bounded by [`Options::request_timeout`].
    pub async fn close(self) {
        self.stop.cancel();
        if let Err(error) = self.supervisor.await {
            tracing::error!(%error, "The session's supervisor panicked");
        }
    }
}
