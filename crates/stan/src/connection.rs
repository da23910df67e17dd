//! One registration with a streaming server, from connect to close or loss.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{OnceCell, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::{Error, Lost, PublishError};
use crate::liveness;
use crate::name;
use crate::options::Options;
use crate::publisher::{PublishAck, Publisher};
use crate::state::{self, ConnectionState, lose};
use crate::stats::Counters;
use crate::transport::Transport;

use handshake::{Registration, Subjects};
use inner::Inner;

mod handshake;
mod inner;

/// A registration with a streaming server. Clones share it.
///
/// It ends with [`Connection::close`], or by loss, which [`Connection::state`] tells. Dropping
/// the last clone of an open one closes it in the background.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let options = stan::Options::new("nats://127.0.0.1:4222", "my-cluster", "my-client");
/// let connection = stan::Connection::connect(options).await?;
/// connection.publish("orders", "hello".into()).await?;
/// connection.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Connection {
    inner: Arc<Inner>,
}

impl Connection {
    /// Connects to NATS and registers with the streaming server: one attempt.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], [`Error::Nats`], a time-out, or the server's refusal.
    pub async fn connect(options: Options) -> Result<Self, Error> {
        options.validate()?;
        let transport = Transport::dial(&options, &Arc::new(Counters::default())).await?;
        Self::open(transport, options).await
    }

    /// Registers over a NATS link that is there.
    pub(crate) async fn open(transport: Transport, options: Options) -> Result<Self, Error> {
        let Registration { conn_id, subjects, heartbeats, pings } =
            handshake::register(&transport, &options).await?;
        let state = Arc::new(watch::Sender::new(ConnectionState::Open));
        let ended = CancellationToken::new();
        let losing = || {
            let (state, ends) = (Arc::clone(&state), ended.clone());
            move |lost| lose(&state, &ends, lost)
        };
        let client = transport.client().clone();
        liveness::answer_heartbeats(client, heartbeats, ended.clone(), losing());
        if let Some((interval, max_out)) = pings {
            let pings = liveness::Pings {
                transport: transport.clone(),
                subject: subjects.ping.clone(),
                conn_id: conn_id.clone(),
                interval,
                max_out,
            };
            liveness::ping(pings, ended.clone(), losing());
        }
        let publisher = OnceCell::new();
        let doubtful = Mutex::default();
        let ack_tasks = TaskTracker::new();
        let inner = Inner {
            transport,
            options,
            conn_id,
            subjects,
            state,
            ended,
            publisher,
            doubtful,
            ack_tasks,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Publishes and waits until the server has stored the message.
    ///
    /// # Errors
    /// See [`PublishError`]; after a time-out the message may be stored all the same.
    pub async fn publish(&self, channel: &str, data: Bytes) -> Result<(), PublishError> {
        self.publish_async(channel, data).await?.await
    }

    /// Publishes and returns the acknowledgement to be awaited. Waits while
    /// [`Options::max_pub_acks_in_flight`] publishes are unacknowledged.
    ///
    /// ```no_run
    /// # async fn example(connection: stan::Connection) -> Result<(), stan::PublishError> {
    /// let mut acks = Vec::new();
    /// for text in ["one", "two", "three"] {
    ///     acks.push(connection.publish_async("orders", text.into()).await?);
    /// }
    /// for ack in acks {
    ///     ack.await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those known before anything is sent; the others come from the [`PublishAck`].
    pub async fn publish_async(
        &self,
        channel: &str,
        data: Bytes,
    ) -> Result<PublishAck, PublishError> {
        name::check_channel(channel).map_err(PublishError::InvalidChannel)?;
        if self.current_state() != ConnectionState::Open {
            return Err(PublishError::ConnectionClosed);
        }
        let publisher = self.inner.publisher.get_or_try_init(|| self.new_publisher()).await?;
        publisher.publish(channel, data).await
    }

    async fn new_publisher(&self) -> Result<Publisher, PublishError> {
        let inner = &self.inner;
        Publisher::start(
            inner.transport.clone(),
            &inner.options,
            inner.conn_id.clone(),
            &inner.subjects.publish,
            inner.state.subscribe(),
        )
        .await
    }

    /// The state and its changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ConnectionState> {
        self.inner.state.subscribe()
    }

    fn current_state(&self) -> ConnectionState {
        *self.inner.state.borrow()
    }

    /// The loss of this registration, if it is lost.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.current_state() {
            ConnectionState::Open => Ok(()),
            ConnectionState::Lost(lost) => Err(lost.into()),
            ConnectionState::Closed => Err(Error::Closed),
        }
    }

    /// Whether this server can be asked if a registration still holds.
    pub(crate) fn takes_pings(&self) -> bool {
        !self.inner.subjects.ping.is_empty()
    }

    /// Asks the server now whether this registration still holds; a no makes it lost.
    pub(crate) async fn verify(&self) -> Result<(), Error> {
        // Also when it ended over a link that is gone for good, through which nothing can be asked.
        self.check()?;
        if !self.takes_pings() {
            // What such a server thinks of us shows at the next request.
            return Ok(());
        }
        let outcome = self.inner.farewell().verify().await;
        if let Err(Error::SessionLost(lost)) = &outcome {
            self.lose(*lost);
        }
        outcome
    }

    /// Marks the registration as lost, unless it has ended already.
    pub(crate) fn lose(&self, lost: Lost) {
        lose(&self.inner.state, &self.inner.ended, lost);
    }

    pub(crate) fn doubtful(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        // Only pushed to and removed from, so a poisoned list is whole.
        self.inner.doubtful.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.inner.transport
    }

    pub(crate) fn options(&self) -> &Options {
        &self.inner.options
    }

    pub(crate) fn subjects(&self) -> &Subjects {
        &self.inner.subjects
    }

    pub(crate) fn ack_tasks(&self) -> &TaskTracker {
        &self.inner.ack_tasks
    }

    /// Ends the subscriptions, whose acks so far are sent, and the registration; durable groups
    /// keep their position. Publishes still waiting end with [`PublishError::ConnectionClosed`].
    /// May be called again.
    ///
    /// A lost registration is torn down without a word to the server: the request carries only
    /// the client id, so it would end whoever has that name now. For the same reason the server
    /// is asked first whether this registration still holds.
    ///
    /// # Errors
    /// The server's refusal, a time-out, or a loss that nobody had noticed yet; the connection is
    /// closed on our side all the same.
    pub async fn close(&self) -> Result<(), Error> {
        let inner = &self.inner;
        // Also when the caller gives up waiting.
        let _ends_with_us = inner.ended.clone().drop_guard();
        let was_open = state::end(&inner.state, ConnectionState::Closed);
        let outcome = if was_open {
            inner.ack_tasks.close();
            // The server handles the acks sent earlier on this link before it handles the close.
            if timeout(inner.options.request_timeout, inner.ack_tasks.wait()).await.is_err() {
                tracing::warn!("Some acks could not be sent in time; those messages come again");
            }
            inner.farewell().close().await
        } else {
            Ok(())
        };
        inner.ended.cancel();
        inner.transport.flush(inner.options.request_timeout).await;
        outcome
    }
}
