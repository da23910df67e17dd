//! The NATS link under a streaming session: a client that reconnects for as long as a registration
//! may outlive its link.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::connection::State;
use async_nats::{Client, Server, Subscriber};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use crate::cause::{NatsCause, NotConnected, QueueFull};
use crate::error::{Error, RequestKind};
use crate::options::Options;
use crate::protocol::Answer;
use crate::stats::Counters;

pub(crate) use link::Link;
use link::prepare;

mod link;

/// A NATS client and the state of its link.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    client: Client,
    link: watch::Receiver<Link>,
    failures: Failures,
}

/// Why the servers could not be connected to, such as a refused login: of an attempt in the
/// background nobody else is told.
#[derive(Debug, Clone, Default)]
struct Failures(Arc<Mutex<String>>);

impl Failures {
    fn note(&self, servers: &[Server]) {
        let mut failures: Vec<_> = servers.iter().filter_map(|it| it.last_error.clone()).collect();
        // The servers come in any order.
        failures.sort_unstable();
        failures.dedup();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = failures.join("; ");
    }

    fn error(&self) -> Error {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Error::nats(NotConnected { last_errors: failures.clone() })
    }
}

impl Transport {
    /// Connects once; a server that is away is an error.
    pub(crate) async fn dial(options: &Options, counters: &Arc<Counters>) -> Result<Self, Error> {
        let (nats, link) = prepare(options, counters, Link::default());
        Self::connect(nats, link, options).await
    }

    /// Returns at once and connects in the background, until it has ended.
    pub(crate) async fn dial_in_background(
        options: &Options,
        counters: &Arc<Counters>,
    ) -> Result<Self, Error> {
        let (nats, link) = prepare(options, counters, Link::default());
        Self::connect(nats.retry_on_initial_connect(), link, options).await
    }

    /// The next link after this one has ended, dialled in the background.
    pub(crate) async fn redial(
        &self,
        options: &Options,
        counters: &Arc<Counters>,
    ) -> Result<Self, Error> {
        let before = Link { up: false, ..*self.link.borrow() };
        let (nats, link) = prepare(options, counters, before);
        Self::connect(nats.retry_on_initial_connect(), link, options).await
    }

    /// Whether the link was away for so long that its client has given it up.
    pub(crate) fn has_ended(&self) -> bool {
        // The client's tasks have the only sender.
        self.link.has_changed().is_err()
    }

    async fn connect(
        nats: async_nats::ConnectOptions,
        link: watch::Receiver<Link>,
        options: &Options,
    ) -> Result<Self, Error> {
        let urls: Vec<&str> = options.url.split(',').map(str::trim).collect();
        let failures = Failures::default();
        let noted = failures.clone();
        // Called before each attempt, with what became of those before; it leaves the choice of
        // the server to the client.
        let nats = nats.reconnect_to_server_callback(move |servers, _| {
            noted.note(&servers);
            std::future::ready(None)
        });
        let client = nats.connect(urls).await.map_err(|error| Error::nats(NatsCause(error)))?;
        Ok(Self { client, link, failures })
    }

    /// The state of the link and its changes.
    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// A token that nobody else uses, fit for subjects and ids.
    pub(crate) fn unique_token(&self) -> String {
        let inbox = self.client.new_inbox();
        inbox.rsplit('.').next().unwrap_or(&inbox).to_owned()
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Counts the links made so far, from 1; none while there is no link. Unlike the events this
    /// cannot be missed: they are dropped when many come at once.
    pub(crate) fn link_number(&self) -> Option<u64> {
        let links = self.client.statistics().connects.load(Ordering::Relaxed);
        self.is_connected().then_some(links)
    }

    /// Waits for the link to be up.
    pub(crate) async fn until_connected(&self, within: Duration) -> Result<(), Error> {
        // Events may be lost under load; the client's own state is the truth.
        if self.is_connected() {
            return Ok(());
        }
        let mut link = self.link();
        let up = async { link.wait_for(|link| link.up).await.is_ok() };
        match timeout(within, up).await {
            Ok(true) => Ok(()),
            _ => Err(self.failures.error()),
        }
    }

    /// A subscription to a fresh inbox.
    pub(crate) async fn subscribe_inbox(
        &self,
        within: Duration,
    ) -> Result<(String, Subscriber), Error> {
        let inbox = self.client.new_inbox();
        let subscriber = self.subscribe(inbox.clone(), within).await?;
        Ok((inbox, subscriber))
    }

    /// A NATS subscription; bounded in time because the client's command queue may be full.
    pub(crate) async fn subscribe(
        &self,
        subject: String,
        within: Duration,
    ) -> Result<Subscriber, Error> {
        match timeout(within, self.client.subscribe(subject)).await {
            Ok(Ok(subscriber)) => Ok(subscriber),
            Ok(Err(error)) => Err(Error::nats(NatsCause(error))),
            Err(_) => Err(Error::nats(QueueFull)),
        }
    }

    /// Asks and waits for the answer; a text of refusal in it is an error. The time covers the way
    /// into the client's command queue, which its own time-out does not.
    ///
    /// Nothing is queued while the link is down: it would be sent when the link comes back, long
    /// after it was given up here, and act under a client id that may be someone else's by then.
    pub(crate) async fn request<A: Answer>(
        &self,
        request: RequestKind,
        subject: &str,
        body: &impl prost::Message,
        within: Duration,
    ) -> Result<A, Error> {
        let answer = self.call(request, subject, body, within).await?;
        let answer = A::decode(answer).map_err(|error| Error::invalid_answer(request, error))?;
        match answer.error() {
            "" => Ok(answer),
            text => Err(Error::Refused { request, text: text.to_owned() }),
        }
    }

    async fn call(
        &self,
        request: RequestKind,
        subject: &str,
        body: &impl prost::Message,
        within: Duration,
    ) -> Result<Bytes, Error> {
        let deadline = Instant::now() + within;
        self.until_connected(within).await?;
        let call = async_nats::Request::new()
            .payload(Bytes::from(body.encode_to_vec()))
            .timeout(Some(within));
        match timeout_at(deadline, self.client.send_request(subject.to_owned(), call)).await {
            Ok(Ok(message)) => Ok(message.payload),
            Ok(Err(error)) => Err(match error.kind() {
                RequestErrorKind::NoResponders => Error::NoResponders(request),
                RequestErrorKind::TimedOut => Error::Timeout { request, after: within },
                _ => Error::nats(NatsCause(error)),
            }),
            Err(_) => Err(Error::Timeout { request, after: within }),
        }
    }

    /// Sends without an answer; an error only means that it was not even queued in time.
    pub(crate) async fn send(&self, subject: String, payload: Bytes, within: Duration) -> bool {
        matches!(timeout(within, self.client.publish(subject, payload)).await, Ok(Ok(())))
    }

    /// Waits until what was sent is on the wire, for a bounded time.
    pub(crate) async fn flush(&self, within: Duration) {
        if !matches!(timeout(within, self.client.flush()).await, Ok(Ok(()))) {
            tracing::debug!("The NATS link did not flush in time");
        }
    }
}

#[cfg(test)]
mod tests;
