//! A registration as the user has it: publishes, subscribes, and closes.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::error::Error;
use crate::name;
use crate::options::{Options, SubscriptionOptions};
use crate::publish_error::PublishError;
use crate::publisher::PublishAck;
use crate::registration::Registration;
use crate::state::ConnectionState;
use crate::stats::Counters;
use crate::subscription::Subscription;
use crate::transport::Transport;

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
    registration: Arc<Registration>,
}

impl Connection {
    /// Connects to NATS and registers with the streaming server: one attempt.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], [`Error::Nats`], a time-out, or the server's refusal.
    pub async fn connect(options: Options) -> Result<Self, Error> {
        options.validate()?;
        let transport = Transport::dial(&options, &Arc::new(Counters::default())).await?;
        Ok(Self { registration: Registration::open(transport, options).await? })
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
        if self.registration.check().is_err() {
            return Err(PublishError::ConnectionClosed);
        }
        self.registration.publisher().await?.publish(channel, data).await
    }

    /// Subscribes under this registration; the subscription ends with it at the latest. A
    /// [`Session`](crate::Session) outlives registrations.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], a time-out, or the server's refusal.
    pub async fn subscribe(&self, options: SubscriptionOptions) -> Result<Subscription, Error> {
        Subscription::open(Arc::clone(&self.registration), options).await
    }

    /// The state and its changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ConnectionState> {
        self.registration.state()
    }

    /// Ends the subscriptions, whose acks so far are sent, and the registration; durable groups
    /// keep their position. Publishes still waiting end with [`PublishError::ConnectionClosed`].
    /// May be called again.
    ///
    /// A lost registration is ended without a request to the server, which would carry only
    /// the client id, so it would end whoever has that name now. For the same reason the server
    /// is asked first whether this registration still holds.
    ///
    /// # Errors
    /// The server's refusal, a time-out, or a loss that nobody had noticed yet; the connection is
    /// closed on our side all the same.
    pub async fn close(&self) -> Result<(), Error> {
        self.registration.close().await
    }
}
