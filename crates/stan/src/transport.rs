//! The NATS link with the requests of the protocol on it.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Subscriber;
use bytes::Bytes;
use nats_link::{LinkOptions, RequestError};

use crate::error::{Error, RequestKind};
use crate::options::Options;
use crate::protocol::Answer;
use crate::stats::Counters;

/// A dead TCP peer is noticed after three of these.
const NATS_PING_INTERVAL: Duration = Duration::from_secs(5);

/// A NATS client and the state of its link.
#[derive(Debug, Clone)]
pub(crate) struct Transport(nats_link::Transport);

impl Deref for Transport {
    type Target = nats_link::Transport;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<RequestError> for Error {
    /// Of a call that asks nobody: it has no time-out and wants no answer.
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Nats(cause) => Self::Nats(cause),
            other => Self::nats(other),
        }
    }
}

/// A link lasts no longer than a registration whose pings are not answered: nothing could make use
/// of it.
fn link(options: &Options) -> LinkOptions {
    LinkOptions {
        url: options.url.clone(),
        name: options.client_id.clone(),
        connect_timeout: options.request_timeout,
        ping_interval: NATS_PING_INTERVAL,
        dial_for: options.ping_budget(),
        nats: options.nats.clone(),
    }
}

impl Transport {
    /// Connects once; a server that is away is an error.
    pub(crate) async fn dial(options: &Options, counters: &Arc<Counters>) -> Result<Self, Error> {
        Ok(Self(nats_link::Transport::dial(&link(options), &counters.link).await?))
    }

    /// Returns at once and connects in the background, until it has ended.
    pub(crate) async fn dial_in_background(
        options: &Options,
        counters: &Arc<Counters>,
    ) -> Result<Self, Error> {
        let options = link(options);
        let dialled = nats_link::Transport::dial_in_background(&options, &counters.link);
        Ok(Self(dialled.await?))
    }

    /// The next link after this one has ended, dialled in the background.
    pub(crate) async fn redial(
        &self,
        options: &Options,
        counters: &Arc<Counters>,
    ) -> Result<Self, Error> {
        Ok(Self(self.0.redial(&link(options), &counters.link).await?))
    }

    /// Waits for the link to be up.
    pub(crate) async fn until_connected(&self, within: Duration) -> Result<(), Error> {
        Ok(self.0.until_connected(within).await?)
    }

    /// A subscription to a fresh inbox.
    pub(crate) async fn subscribe_inbox(
        &self,
        within: Duration,
    ) -> Result<(String, Subscriber), Error> {
        Ok(self.0.subscribe_inbox(within).await?)
    }

    /// A NATS subscription; bounded in time because the client's command queue may be full.
    pub(crate) async fn subscribe(
        &self,
        subject: String,
        within: Duration,
    ) -> Result<Subscriber, Error> {
        Ok(self.0.subscribe(subject, within).await?)
    }

    /// Asks and waits for the answer; a text of refusal in it is an error.
    ///
    /// Nothing is queued while the link is down: it would be sent when the link comes back, and
    /// act under a client id that may be someone else's by then.
    pub(crate) async fn request<A: Answer>(
        &self,
        request: RequestKind,
        subject: &str,
        body: &impl prost::Message,
        within: Duration,
    ) -> Result<A, Error> {
        let payload = Bytes::from(body.encode_to_vec());
        let answer = self.0.request(subject.to_owned(), payload, within).await;
        let answer = answer.map_err(|error| match error {
            RequestError::Nats(cause) => Error::Nats(cause),
            RequestError::NoResponders => Error::NoResponders(request),
            RequestError::TimedOut => Error::Timeout { request, after: within },
        })?;
        let answer = A::decode(answer).map_err(|error| Error::invalid_answer(request, error))?;
        match answer.error() {
            "" => Ok(answer),
            text => Err(Error::Refused { request, text: text.to_owned() }),
        }
    }
}
