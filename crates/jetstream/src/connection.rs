//! A connection to the servers, for all but consuming.

use std::sync::Arc;
use std::time::Duration;

use nats_link::{LinkCounters, LinkOptions, Transport};
use serde_json::Value;

use crate::account::{AccountAnswer, AccountInfo};
use crate::api::Api;
use crate::error::{Error, RequestKind};
use crate::info::StreamInfo;
use crate::name;
use crate::options::{ConsumerOptions, Options, StreamOptions};
use crate::publisher::Publisher;
use crate::stream::Stream;

/// A connection to the servers. Clones share it; it reconnects for as long as it is used, however
/// long the servers are away, and ends when the last of what was made of it is dropped.
#[derive(Debug, Clone)]
pub struct Connection {
    transport: Transport,
    options: Options,
}

impl Connection {
    /// Connects: one attempt.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] or [`Error::Nats`].
    pub async fn connect(options: Options) -> Result<Self, Error> {
        options.validate()?;
        let counters = Arc::new(LinkCounters::default());
        // Nobody dials anew what was made of it. What is dropped while the servers are away ends
        // when they are back.
        let link = LinkOptions { dial_for: Duration::MAX, ..options.link() };
        let transport = Transport::dial(&link, &counters).await;
        let transport = transport
            .map_err(|error| Error::of(error, RequestKind::Subscribe, options.request_timeout))?;
        Ok(Self { transport, options })
    }

    /// Whether the link is up.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.transport.is_connected()
    }

    /// What is stored for our account.
    ///
    /// # Errors
    /// [`Error::NoResponders`] where JetStream is not enabled.
    pub async fn account_info(&self) -> Result<AccountInfo, Error> {
        let info: AccountAnswer =
            self.api().call(RequestKind::AccountInfo, "INFO", &Value::Null).await?;
        Ok(info.into())
    }

    /// A stream, which need not be there yet.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for a name that no stream can have.
    pub fn stream(&self, name: &str) -> Result<Stream, Error> {
        name::check_name("stream", name)?;
        Ok(Stream::new(self.api(), name))
    }

    /// A publisher to a subject.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for a subject that cannot be published to, [`Error::Nats`].
    pub async fn publisher(&self, subject: &str) -> Result<Publisher, Error> {
        Publisher::start(self.transport.clone(), &self.options, subject).await
    }

    /// Makes sure of stream and consumer as a [`Session`](crate::Session) does, without consuming.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] names the setting under which messages could be lost.
    pub async fn ensure(&self, consumer: &ConsumerOptions) -> Result<(), Error> {
        consumer.validate()?;
        crate::ensure::ensure(&self.api(), consumer).await.map(drop)
    }

    /// Makes sure of a stream: it is made if it is absent. One that is there is taken as it is, or
    /// refused where messages could be lost.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] names the setting under which messages could be lost.
    pub async fn ensure_stream(&self, stream: &StreamOptions) -> Result<StreamInfo, Error> {
        stream.validate()?;
        crate::ensure::ensure_stream(&self.api(), stream, true).await.map(StreamInfo::from)
    }

    fn api(&self) -> Api {
        Api { transport: self.transport.clone(), within: self.options.request_timeout }
    }
}
