//! One registration with a streaming server, from connect to close or loss.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Lost, PublishError, Request};
use crate::liveness;
use crate::options::{Options, SubscriptionOptions};
use crate::protocol::{
    self, CloseRequest, CloseResponse, ConnectRequest, ConnectResponse, Ping, PingResponse,
};
use crate::publisher::{PublishAck, Publisher};
use crate::stats::Counters;
use crate::subscription::Subscription;
use crate::transport::Transport;

/// Whether a registration still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// As far as we know the server counts us among its clients.
    Open,
    /// It ended without our asking; nothing is sent under its client id any more.
    Lost(Lost),
    /// We closed it.
    Closed,
}

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

#[derive(Debug)]
struct Inner {
    transport: Transport,
    options: Options,
    conn_id: Bytes,
    subjects: Subjects,
    state: Arc<watch::Sender<ConnectionState>>,
    /// Ends the tasks that answer heartbeats and send pings.
    ended: CancellationToken,
    publisher: OnceCell<Publisher>,
}

/// Where this server takes requests, as it told us at connect.
#[derive(Debug, Clone)]
pub(crate) struct Subjects {
    pub(crate) publish: String,
    pub(crate) subscribe: String,
    pub(crate) close_subscription: String,
    pub(crate) unsubscribe: String,
    pub(crate) close: String,
    pub(crate) ping: String,
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
        let within = options.request_timeout;
        // The server may probe this inbox while it handles the request, so it comes first.
        let (heartbeat_inbox, heartbeats) = transport.subscribe_inbox(within).await?;
        let conn_id = Bytes::from(transport.unique_token());
        let request = ConnectRequest {
            client_id: options.client_id.clone(),
            heartbeat_inbox,
            protocol: protocol::VERSION,
            conn_id: conn_id.clone(),
            ping_interval: i32::try_from(options.ping_interval.as_secs()).unwrap_or(i32::MAX),
            ping_max_out: i32::try_from(options.ping_max_out).unwrap_or(i32::MAX),
        };
        let subject = format!("_STAN.discover.{}", options.cluster_id);
        // On any failure `heartbeats` is dropped, which unsubscribes it: else the probe that the
        // server makes at our next attempt would be answered by ourselves.
        let answer = transport.request(Request::Connect, &subject, &request, within).await?;
        let answer = ConnectResponse::decode(answer)
            .map_err(|error| Error::Garbled(Request::Connect, error.to_string()))?;
        if !answer.error.is_empty() {
            return Err(Error::Refused { request: Request::Connect, text: answer.error });
        }
        if answer.pub_prefix.is_empty() {
            return Err(Error::Garbled(Request::Connect, "no publish prefix".to_owned()));
        }
        let subjects = Subjects {
            publish: answer.pub_prefix,
            subscribe: answer.sub_requests,
            close_subscription: answer.sub_close_requests,
            unsubscribe: answer.unsub_requests,
            close: answer.close_requests,
            ping: answer.ping_requests,
        };
        let state = Arc::new(watch::Sender::new(ConnectionState::Open));
        let ended = CancellationToken::new();
        liveness::answer_heartbeats(transport.client().clone(), heartbeats, ended.clone());
        if answer.protocol >= protocol::VERSION && answer.ping_interval > 0 {
            let pings = liveness::Pings {
                transport: transport.clone(),
                subject: subjects.ping.clone(),
                conn_id: conn_id.clone(),
                interval: std::time::Duration::from_secs(
                    answer.ping_interval.unsigned_abs().into(),
                ),
                max_out: answer.ping_max_out.unsigned_abs(),
            };
            let state = Arc::clone(&state);
            liveness::ping(pings, ended.clone(), move |lost| lose(&state, lost));
        }
        let publisher = OnceCell::new();
        let inner = Inner { transport, options, conn_id, subjects, state, ended, publisher };
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

    /// Subscribes under this registration; the subscription ends with it at the latest. A
    /// [`crate::Session`] outlives registrations.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], a time-out, or the server's refusal.
    pub async fn subscribe(&self, options: SubscriptionOptions) -> Result<Subscription, Error> {
        Subscription::open(self.clone(), options).await
    }

    /// The state and its changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ConnectionState> {
        self.inner.state.subscribe()
    }

    fn current_state(&self) -> ConnectionState {
        *self.inner.state.borrow()
    }

    /// Waits until the registration has ended, one way or the other.
    pub(crate) async fn until_ended(mut state: watch::Receiver<ConnectionState>) {
        // An error means that the sender is gone, and with it the connection.
        let _ = state.wait_for(|state| *state != ConnectionState::Open).await;
    }

    /// The loss of this registration, if it is lost.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.current_state() {
            ConnectionState::Open => Ok(()),
            ConnectionState::Lost(lost) => Err(lost.into()),
            ConnectionState::Closed => Err(Error::Closed),
        }
    }

    /// Asks the server now whether this registration still holds; a no makes it lost.
    pub(crate) async fn verify(&self) -> Result<(), Error> {
        let inner = &self.inner;
        let ping = Ping { conn_id: inner.conn_id.clone() };
        let answer = inner
            .transport
            .request(Request::Ping, &inner.subjects.ping, &ping, inner.options.request_timeout)
            .await?;
        let answer = PingResponse::decode(answer)
            .map_err(|error| Error::Garbled(Request::Ping, error.to_string()))?;
        if answer.error.is_empty() {
            return Ok(());
        }
        self.lose(Lost::Replaced);
        Err(Lost::Replaced.into())
    }

    /// Marks the registration as lost, unless it has ended already.
    pub(crate) fn lose(&self, lost: Lost) {
        lose(&self.inner.state, lost);
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

    /// Ends the registration; durable groups keep their position. Publishes still waiting end
    /// with [`PublishError::ConnectionClosed`]. Close subscriptions first. May be called again.
    ///
    /// A lost registration is torn down without a word to the server: the request carries only
    /// the client id, so it would end whoever has that name now.
    ///
    /// # Errors
    /// The server's refusal or a time-out; the connection is closed on our side all the same.
    pub async fn close(&self) -> Result<(), Error> {
        let inner = &self.inner;
        let was_open = inner.state.send_if_modified(|state| {
            let open = *state == ConnectionState::Open;
            if open {
                *state = ConnectionState::Closed;
            }
            open
        });
        let outcome = if was_open {
            request_close(&inner.transport, &inner.subjects.close, &inner.options).await
        } else {
            Ok(())
        };
        inner.ended.cancel();
        inner.transport.flush(inner.options.request_timeout).await;
        outcome
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.ended.cancel();
        let was_open = *self.state.borrow() == ConnectionState::Open;
        self.state.send_replace(ConnectionState::Closed);
        if let (true, Ok(runtime)) = (was_open, tokio::runtime::Handle::try_current()) {
            let (transport, options) = (self.transport.clone(), self.options.clone());
            let subject = self.subjects.close.clone();
            runtime.spawn(async move {
                if let Err(error) = request_close(&transport, &subject, &options).await {
                    tracing::debug!(%error, "A dropped connection could not be closed");
                }
            });
        }
    }
}

fn lose(state: &watch::Sender<ConnectionState>, lost: Lost) {
    state.send_if_modified(|state| {
        let open = *state == ConnectionState::Open;
        if open {
            *state = ConnectionState::Lost(lost);
        }
        open
    });
}

async fn request_close(
    transport: &Transport,
    subject: &str,
    options: &Options,
) -> Result<(), Error> {
    let request = CloseRequest { client_id: options.client_id.clone() };
    let within = options.request_timeout;
    let answer = transport.request(Request::Close, subject, &request, within).await?;
    let answer = CloseResponse::decode(answer)
        .map_err(|error| Error::Garbled(Request::Close, error.to_string()))?;
    if answer.error.is_empty() {
        Ok(())
    } else {
        Err(Error::Refused { request: Request::Close, text: answer.error })
    }
}
