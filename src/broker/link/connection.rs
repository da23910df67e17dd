//! A connection with either of the systems, which takes messages until it is lost.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::Either;
use jetstream::Terms;

use super::destination::Destination;
use super::error::{ConnectError, PublishError};
use crate::digest::Sha256Digest;

pub(super) enum Connection {
    /// With NATS Streaming, to a channel.
    Stan(stan::Connection, String),
    /// With JetStream, to a subject.
    JetStream(Box<jetstream::Publisher>, Arc<str>),
}

impl Connection {
    /// Connects: one attempt. Under a new name each time: a server of NATS Streaming may take the
    /// last one for alive yet.
    pub(super) async fn new(destination: &Destination) -> Result<Self, ConnectError> {
        match destination {
            Destination::Stan(options, channel) => {
                let mut options = options.clone();
                options.client_id = format!("waybill-publish-{:016x}", fastrand::u64(..));
                let connection = stan::Connection::connect(options).await?;
                Ok(Self::Stan(connection, channel.clone()))
            }
            Destination::JetStream(options, subject) => {
                let connection = jetstream::Connection::connect(options.clone()).await?;
                let publisher = Box::new(connection.publisher(subject).await?);
                Ok(Self::JetStream(publisher, Arc::clone(subject)))
            }
        }
    }

    /// Sends a message; the future is ready when the server has answered. Dropping the connection
    /// before that leaves its outcome open.
    ///
    /// The id of a message of JetStream is its SHA-256: one that is sent again after an answer was
    /// lost is stored once, as long as the server remembers it.
    pub(super) async fn publish(
        &self,
        payload: Bytes,
    ) -> Result<impl Future<Output = Result<(), PublishError>> + use<>, PublishError> {
        match self {
            Self::Stan(connection, channel) => {
                let ack = connection.publish_async(channel, payload).await?;
                Ok(Either::Left(async move { Ok(ack.await?) }))
            }
            Self::JetStream(publisher, subject) => {
                let id = Sha256Digest::of(&payload).to_string();
                let terms = Terms { message_id: Some(&id), ..Terms::default() };
                let ack = publisher.publish(payload, terms).await?;
                let subject = Arc::clone(subject);
                Ok(Either::Right(async move {
                    match ack.await {
                        Ok(_) => Ok(()),
                        Err(jetstream::PublishError::NoStream) => {
                            Err(PublishError::NoStream(subject))
                        }
                        Err(error) => Err(error.into()),
                    }
                }))
            }
        }
    }

    /// Takes leave of the server. JetStream wants no leave: each message has its answer.
    pub(super) async fn close(&self) {
        if let Self::Stan(connection, _) = self
            && let Err(error) = connection.close().await
        {
            let error = anyhow::Error::from(error);
            tracing::debug!(error = format!("{error:#}"), "Closing the connection failed");
        }
    }
}
