//! A NATS client that reconnects for as long as its user may want it, and what is sent over it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::connection::State;
use async_nats::{Client, Server, Subscriber};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use crate::cause::{NatsCause, NotConnected, QueueFull, RequestError};

use link::prepare;
pub use link::{Link, LinkCounters, LinkOptions, pause};

mod link;

/// A NATS client and the state of its link.
#[derive(Debug, Clone)]
pub struct Transport {
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

    fn error(&self) -> RequestError {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        RequestError::nats(NotConnected { last_errors: failures.clone() })
    }
}

impl Transport {
    /// Connects once; a server that is away is an error.
    ///
    /// # Errors
    /// [`RequestError::Nats`].
    pub async fn dial(
        options: &LinkOptions,
        counters: &Arc<LinkCounters>,
    ) -> Result<Self, RequestError> {
        let (nats, link) = prepare(options, counters, Link::default());
        Self::connect(nats, link, options).await
    }

    /// Returns at once and connects in the background, until it has ended.
    pub async fn dial_in_background(
        options: &LinkOptions,
        counters: &Arc<LinkCounters>,
    ) -> Result<Self, RequestError> {
        let (nats, link) = prepare(options, counters, Link::default());
        Self::connect(nats.retry_on_initial_connect(), link, options).await
    }

    /// The next link after this one has ended, dialled in the background.
    pub async fn redial(
        &self,
        options: &LinkOptions,
        counters: &Arc<LinkCounters>,
    ) -> Result<Self, RequestError> {
        let before = Link { up: false, ..*self.link.borrow() };
        let (nats, link) = prepare(options, counters, before);
        Self::connect(nats.retry_on_initial_connect(), link, options).await
    }

    /// Whether the link was away for so long that its client has given it up.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        // The client's tasks have the only sender.
        self.link.has_changed().is_err()
    }

    async fn connect(
        nats: async_nats::ConnectOptions,
        link: watch::Receiver<Link>,
        options: &LinkOptions,
    ) -> Result<Self, RequestError> {
        let urls: Vec<&str> = options.url.split(',').map(str::trim).collect();
        let failures = Failures::default();
        let noted = failures.clone();
        // Called before each attempt, with what became of those before; it leaves the choice of
        // the server to the client.
        let nats = nats.reconnect_to_server_callback(move |servers, _| {
            noted.note(&servers);
            std::future::ready(None)
        });
        let client =
            nats.connect(urls).await.map_err(|error| RequestError::nats(NatsCause(error)))?;
        Ok(Self { client, link, failures })
    }

    /// The state of the link and its changes.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// A token that nobody else uses, fit for subjects and ids.
    #[must_use]
    pub fn unique_token(&self) -> String {
        let inbox = self.client.new_inbox();
        inbox.rsplit('.').next().unwrap_or(&inbox).to_owned()
    }

    /// The NATS client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the link is up.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Counts the links made so far, from 1; none while there is no link. Unlike the events this
    /// cannot be missed: they are dropped when many come at once.
    #[must_use]
    pub fn link_number(&self) -> Option<u64> {
        let links = self.client.statistics().connects.load(Ordering::Relaxed);
        self.is_connected().then_some(links)
    }

    /// Waits for the link to be up.
    pub async fn until_connected(&self, within: Duration) -> Result<(), RequestError> {
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
    pub async fn subscribe_inbox(
        &self,
        within: Duration,
    ) -> Result<(String, Subscriber), RequestError> {
        let inbox = self.client.new_inbox();
        let subscriber = self.subscribe(inbox.clone(), within).await?;
        Ok((inbox, subscriber))
    }

    /// A NATS subscription; bounded in time because the client's command queue may be full.
    pub async fn subscribe(
        &self,
        subject: String,
        within: Duration,
    ) -> Result<Subscriber, RequestError> {
        match timeout(within, self.client.subscribe(subject)).await {
            Ok(Ok(subscriber)) => Ok(subscriber),
            Ok(Err(error)) => Err(RequestError::nats(NatsCause(error))),
            Err(_) => Err(RequestError::nats(QueueFull)),
        }
    }

    /// Asks and waits for the answer. The time covers the way into the client's command queue,
    /// which its own time-out does not.
    ///
    /// Nothing is queued while the link is down: it would be sent when the link comes back, long
    /// after it was given up here.
    ///
    /// # Errors
    /// See [`RequestError`]; after a time-out the request may have been handled.
    pub async fn request(
        &self,
        subject: String,
        payload: Bytes,
        within: Duration,
    ) -> Result<Bytes, RequestError> {
        let deadline = Instant::now() + within;
        self.until_connected(within).await?;
        let call = async_nats::Request::new().payload(payload).timeout(Some(within));
        match timeout_at(deadline, self.client.send_request(subject, call)).await {
            Ok(Ok(message)) => Ok(message.payload),
            Ok(Err(error)) => Err(match error.kind() {
                RequestErrorKind::NoResponders => RequestError::NoResponders,
                RequestErrorKind::TimedOut => RequestError::TimedOut,
                _ => RequestError::nats(NatsCause(error)),
            }),
            Err(_) => Err(RequestError::TimedOut),
        }
    }

    /// Drops the link and dials it again: for one that looks alive and answers nothing.
    pub async fn reconnect(&self, within: Duration) {
        if !matches!(timeout(within, self.client.force_reconnect()).await, Ok(Ok(()))) {
            tracing::debug!("The NATS link could not be dropped in time");
        }
    }

    /// Sends without an answer; an error only means that it was not even queued in time.
    pub async fn send(&self, subject: String, payload: Bytes, within: Duration) -> bool {
        matches!(timeout(within, self.client.publish(subject, payload)).await, Ok(Ok(())))
    }

    /// Waits until what was sent is on the wire, for a bounded time.
    pub async fn flush(&self, within: Duration) {
        if !matches!(timeout(within, self.client.flush()).await, Ok(Ok(()))) {
            tracing::debug!("The NATS link did not flush in time");
        }
    }
}

#[cfg(test)]
mod tests;
