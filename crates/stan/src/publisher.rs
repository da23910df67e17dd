//! Publishing: a window of unacknowledged messages, each with exactly one outcome.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::{Message as NatsMessage, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use prost::Message as _;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::connection::ConnectionState;
use crate::error::PublishError;
use crate::options::Options;
use crate::protocol::{PubAck, PubMsg};
use crate::transport::Transport;

type Outcome = Result<(), PublishError>;

/// The acknowledgement of one message, to be awaited. Dropping it does not take the message back.
#[derive(Debug)]
pub struct PublishAck(oneshot::Receiver<Outcome>);

impl Future for PublishAck {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|outcome| outcome.unwrap_or(Err(PublishError::ConnectionClosed)))
    }
}

/// Publishes for one registration.
#[derive(Debug)]
pub(crate) struct Publisher {
    transport: Transport,
    client_id: String,
    conn_id: Bytes,
    publish_prefix: String,
    unacked: Arc<Unacked>,
}

/// The messages that wait for their acknowledgement.
#[derive(Debug)]
struct Unacked {
    /// Acknowledgements come to this prefix and the message's number, so that an answer
    /// without a guid ("no responders" has none) still names its message.
    ack_prefix: String,
    guid_prefix: String,
    timeout: Duration,
    window: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
    /// Told when a deadline comes where there was none.
    first_deadline: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    last_number: u64,
    /// The order of numbers is that of deadlines too: the time allowed is one for all.
    messages: BTreeMap<u64, Unsettled>,
    closed: bool,
}

#[derive(Debug)]
struct Unsettled {
    deadline: Instant,
    outcome: oneshot::Sender<Outcome>,
    _place: OwnedSemaphorePermit,
}

impl Publisher {
    pub(crate) async fn start(
        transport: Transport,
        options: &Options,
        conn_id: Bytes,
        publish_prefix: &str,
        state: watch::Receiver<ConnectionState>,
    ) -> Result<Self, PublishError> {
        let token = transport.unique_token();
        let unacked = Arc::new(Unacked {
            ack_prefix: format!("_STAN.acks.{token}."),
            guid_prefix: format!("{token}."),
            timeout: options.pub_ack_timeout,
            window: Arc::new(Semaphore::new(options.max_pub_acks_in_flight)),
            waiting: Mutex::default(),
            first_deadline: Notify::new(),
        });
        let acks = transport
            .subscribe(format!("{}*", unacked.ack_prefix), options.request_timeout)
            .await
            .map_err(|_| PublishError::Disconnected)?;
        tokio::spawn(settle(Arc::clone(&unacked), acks, state));
        Ok(Self {
            transport,
            client_id: options.client_id.clone(),
            conn_id,
            publish_prefix: publish_prefix.to_owned(),
            unacked,
        })
    }

    pub(crate) async fn publish(
        &self,
        channel: &str,
        data: Bytes,
    ) -> Result<PublishAck, PublishError> {
        let window = Arc::clone(&self.unacked.window);
        let place = window.acquire_owned().await.map_err(|_| PublishError::ConnectionClosed)?;
        // The NATS client would queue it and send it when the link is back, long after the
        // caller was told that it failed.
        if !self.transport.is_connected() {
            return Err(PublishError::Disconnected);
        }
        let deadline = Instant::now() + self.unacked.timeout;
        let (number, outcome) = self.unacked.expect(deadline, place)?;
        let message = PubMsg {
            client_id: self.client_id.clone(),
            guid: format!("{}{number}", self.unacked.guid_prefix),
            subject: channel.to_owned(),
            data,
            conn_id: self.conn_id.clone(),
        };
        let subject = format!("{}.{channel}", self.publish_prefix);
        let reply = format!("{}{number}", self.unacked.ack_prefix);
        let payload = Bytes::from(message.encode_to_vec());
        let (size_bytes, client) = (payload.len(), self.transport.client());
        let limit_bytes = client.max_payload();
        let sending = client.publish_with_reply(subject, reply, payload);
        match timeout_at(deadline, sending).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) if size_bytes > limit_bytes => {
                let error = PublishError::TooLarge { size_bytes, limit_bytes };
                self.unacked.settle(number, Err(error));
            }
            Ok(Err(error)) => {
                self.unacked.settle(number, Err(PublishError::Refused(error.to_string())));
            }
            Err(_) => self.unacked.settle(number, Err(PublishError::Disconnected)),
        }
        Ok(PublishAck(outcome))
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.unacked.close();
    }
}

impl Unacked {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in the critical sections panics half way, so a poisoned state is whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(
        &self,
        deadline: Instant,
        place: OwnedSemaphorePermit,
    ) -> Result<(u64, oneshot::Receiver<Outcome>), PublishError> {
        let (outcome, receiver) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(PublishError::ConnectionClosed);
        }
        waiting.last_number += 1;
        let number = waiting.last_number;
        waiting.messages.insert(number, Unsettled { deadline, outcome, _place: place });
        if waiting.messages.len() == 1 {
            self.first_deadline.notify_one();
        }
        Ok((number, receiver))
    }

    /// Gives a message its outcome, unless it has one.
    fn settle(&self, number: u64, outcome: Outcome) {
        let settled = self.waiting().messages.remove(&number);
        if let Some(message) = settled {
            // The caller may have dropped its end: it does not want to know.
            let _ = message.outcome.send(outcome);
        }
    }

    fn expire(&self) {
        let now = Instant::now();
        while let Some((deadline, number)) = self.next_deadline()
            && deadline <= now
        {
            self.settle(number, Err(PublishError::Timeout(self.timeout)));
        }
    }

    fn next_deadline(&self) -> Option<(Instant, u64)> {
        let waiting = self.waiting();
        waiting.messages.first_key_value().map(|(number, message)| (message.deadline, *number))
    }

    fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        let messages = std::mem::take(&mut waiting.messages);
        drop(waiting);
        self.window.close();
        for message in messages.into_values() {
            let _ = message.outcome.send(Err(PublishError::ConnectionClosed));
        }
    }

    /// Reads one message from the ack subject.
    fn take(&self, message: &NatsMessage) {
        let Some(number) = message.subject.strip_prefix(self.ack_prefix.as_str()) else {
            return;
        };
        let Ok(number) = number.parse::<u64>() else {
            return;
        };
        if message.status.is_some() {
            return self.settle(number, Err(PublishError::NoResponders));
        }
        let Ok(ack) = PubAck::decode(message.payload.clone()) else {
            return tracing::debug!(number, "A publish acknowledgement cannot be read");
        };
        if !ack.error.is_empty() {
            return self.settle(number, Err(PublishError::Refused(ack.error)));
        }
        // An empty payload decodes too, as a success without a guid; only ours counts.
        let ours = ack.guid.strip_prefix(&self.guid_prefix).and_then(|n| n.parse().ok());
        if ours == Some(number) {
            self.settle(number, Ok(()));
        }
    }
}

/// Gives outcomes until the registration ends: by acknowledgement or by time.
async fn settle(
    unacked: Arc<Unacked>,
    mut acks: Subscriber,
    mut state: watch::Receiver<ConnectionState>,
) {
    loop {
        let expiry = async {
            match unacked.next_deadline() {
                Some((deadline, _)) => sleep_until(deadline).await,
                None => unacked.first_deadline.notified().await,
            }
        };
        tokio::select! {
            Some(message) = acks.next() => unacked.take(&message),
            () = expiry => unacked.expire(),
            _ = state.wait_for(|state| *state != ConnectionState::Open) => break,
        }
    }
    unacked.close();
}
