//! Publishing: a window of unacknowledged messages, each with exactly one outcome.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::{Message as NatsMessage, Subject, Subscriber};
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
    /// Acknowledgements come to this prefix and the message's place, so that an answer
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
    last_place: u64,
    /// Places whose message was answered by the server. They are used again: a NATS server
    /// remembers who listens to a subject, and a new one for each message costs it a third more
    /// work. The place of a message that got no answer is left alone: the answer might still
    /// come, and would be taken for that to another message.
    free_places: Vec<Place>,
    /// By number, which is the order of deadlines too: the time allowed is one for all.
    in_flight: BTreeMap<u64, InFlight>,
    /// The numbers of those in flight, by place.
    numbers: HashMap<u64, u64>,
    closed: bool,
}

/// A subject that acknowledgements come to, for one message at a time.
#[derive(Debug, Clone)]
struct Place {
    number: u64,
    subject: Subject,
}

/// Names one publish. The number, which makes the guid, is never used again; the place is.
#[derive(Debug, Clone)]
struct Ticket {
    number: u64,
    place: Place,
}

#[derive(Debug)]
struct InFlight {
    deadline: Instant,
    place: Place,
    outcome: oneshot::Sender<Outcome>,
    _window: OwnedSemaphorePermit,
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
        let permit = window.acquire_owned().await.map_err(|_| PublishError::ConnectionClosed)?;
        // The NATS client would queue it and send it when the link is back, long after the
        // caller was told that it failed.
        if !self.transport.is_connected() {
            return Err(PublishError::Disconnected);
        }
        let deadline = Instant::now() + self.unacked.timeout;
        let (ticket, outcome) = self.unacked.expect(deadline, permit)?;
        let message = PubMsg {
            client_id: self.client_id.clone(),
            guid: format!("{}{}", self.unacked.guid_prefix, ticket.number),
            subject: channel.to_owned(),
            data,
            conn_id: self.conn_id.clone(),
        };
        let subject = format!("{}.{channel}", self.publish_prefix);
        let payload = Bytes::from(message.encode_to_vec());
        let (size_bytes, client) = (payload.len(), self.transport.client());
        let limit_bytes = client.max_payload();
        let sending = client.publish_with_reply(subject, ticket.place.subject, payload);
        match timeout_at(deadline, sending).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) if size_bytes > limit_bytes => {
                let error = PublishError::TooLarge { size_bytes, limit_bytes };
                self.unacked.give_up(ticket.number, error);
            }
            Ok(Err(error)) => {
                self.unacked.give_up(ticket.number, PublishError::Refused(error.to_string()));
            }
            Err(_) => self.unacked.give_up(ticket.number, PublishError::Disconnected),
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

    /// Makes room for a message whose outcome is to come.
    fn expect(
        &self,
        deadline: Instant,
        permit: OwnedSemaphorePermit,
    ) -> Result<(Ticket, oneshot::Receiver<Outcome>), PublishError> {
        let (outcome, receiver) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(PublishError::ConnectionClosed);
        }
        waiting.last_number += 1;
        let (number, place) = (waiting.last_number, waiting.take_place(&self.ack_prefix));
        waiting.numbers.insert(place.number, number);
        let in_flight = InFlight { deadline, place: place.clone(), outcome, _window: permit };
        waiting.in_flight.insert(number, in_flight);
        if waiting.in_flight.len() == 1 {
            self.first_deadline.notify_one();
        }
        Ok((Ticket { number, place }, receiver))
    }

    /// Gives the message of a place the server's answer; `number` is that of the message
    /// answered, where the answer tells it.
    fn answer(&self, place: u64, number: Option<u64>, outcome: Outcome) {
        let mut waiting = self.waiting();
        let Some(&expected) = waiting.numbers.get(&place) else {
            return;
        };
        if number.is_some_and(|number| number != expected) {
            return;
        }
        let Some(InFlight { place, outcome: caller, .. }) = waiting.remove(expected) else {
            return;
        };
        waiting.free_places.push(place);
        drop(waiting);
        // The caller may have dropped its end: it does not want to know.
        let _ = caller.send(outcome);
    }

    /// Ends a message that the server did not answer, unless it has its outcome.
    fn give_up(&self, number: u64, error: PublishError) {
        let given_up = self.waiting().remove(number);
        if let Some(given_up) = given_up {
            let _ = given_up.outcome.send(Err(error));
        }
    }

    fn expire(&self) {
        let now = Instant::now();
        while let Some((deadline, number)) = self.next_deadline()
            && deadline <= now
        {
            self.give_up(number, PublishError::Timeout(self.timeout));
        }
    }

    fn next_deadline(&self) -> Option<(Instant, u64)> {
        let waiting = self.waiting();
        waiting.in_flight.first_key_value().map(|(number, message)| (message.deadline, *number))
    }

    fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        let in_flight = std::mem::take(&mut waiting.in_flight);
        drop(waiting);
        self.window.close();
        for in_flight in in_flight.into_values() {
            let _ = in_flight.outcome.send(Err(PublishError::ConnectionClosed));
        }
    }

    /// Reads one message from the ack subject.
    fn take(&self, message: &NatsMessage) {
        let Some(place) = message.subject.strip_prefix(self.ack_prefix.as_str()) else {
            return;
        };
        let Ok(place) = place.parse::<u64>() else {
            return;
        };
        if message.status.is_some() {
            return self.answer(place, None, Err(PublishError::NoResponders));
        }
        let Ok(ack) = PubAck::decode(message.payload.clone()) else {
            return tracing::debug!(place, "A publish acknowledgement cannot be read");
        };
        let number = ack.guid.strip_prefix(&self.guid_prefix).and_then(|n| n.parse().ok());
        match (number, ack.error) {
            (Some(_), error) if error.is_empty() => self.answer(place, number, Ok(())),
            (Some(_), error) => self.answer(place, number, Err(PublishError::Refused(error))),
            // A request that the server could not read is refused without a guid.
            (None, error) if ack.guid.is_empty() && !error.is_empty() => {
                self.answer(place, None, Err(PublishError::Refused(error)));
            }
            // An empty payload decodes too, as a success without a guid; only ours counts.
            (None, _) => {}
        }
    }
}

impl Waiting {
    fn take_place(&mut self, ack_prefix: &str) -> Place {
        self.free_places.pop().unwrap_or_else(|| {
            self.last_place += 1;
            let number = self.last_place;
            Place { number, subject: Subject::from(format!("{ack_prefix}{number}")) }
        })
    }

    fn remove(&mut self, number: u64) -> Option<InFlight> {
        let removed = self.in_flight.remove(&number)?;
        self.numbers.remove(&removed.place.number);
        Some(removed)
    }
}

/// Gives outcomes until the registration ends: by acknowledgement or by time.
async fn settle(
    unacked: Arc<Unacked>,
    acks: Subscriber,
    mut state: watch::Receiver<ConnectionState>,
) {
    /// Each turn of the loop sets a timer, which costs more than to take an acknowledgement.
    const MOST_AT_ONCE: usize = 64;
    let mut acks = acks.ready_chunks(MOST_AT_ONCE);
    loop {
        let expiry = async {
            match unacked.next_deadline() {
                Some((deadline, _)) => sleep_until(deadline).await,
                None => unacked.first_deadline.notified().await,
            }
        };
        tokio::select! {
            Some(messages) = acks.next() => messages.iter().for_each(|m| unacked.take(m)),
            () = expiry => unacked.expire(),
            _ = state.wait_for(|state| *state != ConnectionState::Open) => break,
        }
    }
    unacked.close();
}

#[cfg(test)]
mod tests;
