//! The messages that wait for their acknowledgement, and whose each acknowledgement is.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::{Message as NatsMessage, Subject};
use prost::Message as _;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use crate::protocol::PubAck;
use crate::publish_error::PublishError;

pub(super) type Outcome = Result<(), PublishError>;

/// The messages that wait for their acknowledgement.
#[derive(Debug)]
pub(super) struct Unacked {
    /// Acknowledgements come to this prefix and the message's slot, so that an answer
    /// without a guid ("no responders" has none) still names its message.
    ack_prefix: String,
    guid_prefix: String,
    /// How long each may wait.
    pub(super) timeout: Duration,
    window: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
    /// Told when a deadline comes where there was none.
    first_deadline: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    last_number: u64,
    last_slot: u64,
    /// Slots whose message was answered by the server. They are used again: a NATS server
    /// remembers who listens to a subject, and a new one for each message costs it a third more
    /// work. The slot of a message that got no answer is left alone: the answer might still
    /// come, and would be taken for that to another message.
    free_slots: Vec<Slot>,
    /// By number, which is the order of deadlines too: the time allowed is one for all.
    in_flight: BTreeMap<u64, InFlight>,
    /// The numbers of those in flight, by slot.
    numbers: HashMap<u64, u64>,
    closed: bool,
}

/// A subject that acknowledgements come to, for one message at a time.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    number: u64,
    pub(super) subject: Subject,
}

/// Names one publish. The number, which makes the guid, is never used again; the slot is.
#[derive(Debug, Clone)]
pub(super) struct Ticket {
    pub(super) number: u64,
    pub(super) slot: Slot,
}

#[derive(Debug)]
struct InFlight {
    deadline: Instant,
    slot: Slot,
    outcome: oneshot::Sender<Outcome>,
    _window: OwnedSemaphorePermit,
}

impl Unacked {
    /// `token` is nobody else's; `window` is how many may wait at a time.
    pub(super) fn new(token: &str, timeout: Duration, window: usize) -> Self {
        Self {
            ack_prefix: format!("_STAN.acks.{token}."),
            guid_prefix: format!("{token}."),
            timeout,
            window: Arc::new(Semaphore::new(window)),
            waiting: Mutex::default(),
            first_deadline: Notify::new(),
        }
    }

    /// Where all acknowledgements come to.
    pub(super) fn ack_subjects(&self) -> String {
        format!("{}*", self.ack_prefix)
    }

    pub(super) fn guid(&self, number: u64) -> String {
        format!("{}{number}", self.guid_prefix)
    }

    /// Waits while the window is full.
    pub(super) async fn enter_window(&self) -> Result<OwnedSemaphorePermit, PublishError> {
        let window = Arc::clone(&self.window);
        window.acquire_owned().await.map_err(|_| PublishError::ConnectionClosed)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in the critical sections panics half way, so a poisoned state is whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for a message whose outcome is to come.
    pub(super) fn expect(
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
        let (number, slot) = (waiting.last_number, waiting.take_slot(&self.ack_prefix));
        waiting.numbers.insert(slot.number, number);
        let in_flight = InFlight { deadline, slot: slot.clone(), outcome, _window: permit };
        waiting.in_flight.insert(number, in_flight);
        if waiting.in_flight.len() == 1 {
            self.first_deadline.notify_one();
        }
        Ok((Ticket { number, slot }, receiver))
    }

    /// Gives the message of a slot the server's answer; `number` is that of the message
    /// answered, where the answer tells it.
    fn answer(&self, slot: u64, number: Option<u64>, outcome: Outcome) {
        let mut waiting = self.waiting();
        let Some(&expected) = waiting.numbers.get(&slot) else {
            return;
        };
        if number.is_some_and(|number| number != expected) {
            return;
        }
        let Some(InFlight { slot, outcome: caller, .. }) = waiting.remove(expected) else {
            return;
        };
        waiting.free_slots.push(slot);
        drop(waiting);
        // The caller may have dropped its end: it does not want to know.
        let _ = caller.send(outcome);
    }

    /// Ends a message that the server did not answer, unless it has its outcome.
    pub(super) fn give_up(&self, number: u64, error: PublishError) {
        let given_up = self.waiting().remove(number);
        if let Some(given_up) = given_up {
            let _ = given_up.outcome.send(Err(error));
        }
    }

    pub(super) fn expire(&self) {
        let now = Instant::now();
        while let Some((deadline, number)) = self.next_deadline()
            && deadline <= now
        {
            self.give_up(number, PublishError::Timeout(self.timeout));
        }
    }

    pub(super) fn next_deadline(&self) -> Option<(Instant, u64)> {
        let waiting = self.waiting();
        waiting.in_flight.first_key_value().map(|(number, message)| (message.deadline, *number))
    }

    /// Returns when a deadline came where there was none.
    pub(super) async fn until_first_deadline(&self) {
        self.first_deadline.notified().await;
    }

    pub(super) fn close(&self) {
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
    pub(super) fn take(&self, message: &NatsMessage) {
        let Some(slot) = message.subject.strip_prefix(self.ack_prefix.as_str()) else {
            return;
        };
        let Ok(slot) = slot.parse::<u64>() else {
            return;
        };
        if message.status.is_some() {
            return self.answer(slot, None, Err(PublishError::NoResponders));
        }
        let Ok(ack) = PubAck::decode(message.payload.clone()) else {
            return tracing::debug!(slot, "A publish acknowledgement cannot be read");
        };
        let number = ack.guid.strip_prefix(&self.guid_prefix).and_then(|n| n.parse().ok());
        match (number, ack.error) {
            (Some(_), error) if error.is_empty() => self.answer(slot, number, Ok(())),
            (Some(_), error) => self.answer(slot, number, Err(PublishError::Refused(error))),
            // A request that the server could not read is refused without a guid.
            (None, error) if ack.guid.is_empty() && !error.is_empty() => {
                self.answer(slot, None, Err(PublishError::Refused(error)));
            }
            // An empty payload decodes too, as a success without a guid; only ours counts.
            (None, _) => {}
        }
    }
}

impl Waiting {
    fn take_slot(&mut self, ack_prefix: &str) -> Slot {
        self.free_slots.pop().unwrap_or_else(|| {
            self.last_slot += 1;
            let number = self.last_slot;
            Slot { number, subject: Subject::from(format!("{ack_prefix}{number}")) }
        })
    }

    fn remove(&mut self, number: u64) -> Option<InFlight> {
        let removed = self.in_flight.remove(&number)?;
        self.numbers.remove(&removed.slot.number);
        Some(removed)
    }
}

#[cfg(test)]
mod tests;
