//! The messages that wait for their acknowledgement, and whose each acknowledgement is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::Message as NatsMessage;
use serde::Deserialize;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use crate::publish_error::PublishError;

/// Where the server stored a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// Its number within the stream.
    pub sequence: u64,
    /// Whether it was there before, by its message id. The server remembers ids for a while only
    /// (two minutes by default).
    pub duplicate: bool,
}

pub(super) type Outcome = Result<Stored, PublishError>;

/// The messages that wait for their acknowledgement.
#[derive(Debug)]
pub(super) struct Unacked {
    /// Acknowledgements come to this prefix and the message's number, which is never used again:
    /// an answer that comes late is nobody else's.
    prefix: String,
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
    /// By number, which is the order of deadlines too: the time allowed is one for all.
    in_flight: BTreeMap<u64, InFlight>,
    closed: bool,
}

#[derive(Debug)]
struct InFlight {
    deadline: Instant,
    outcome: oneshot::Sender<Outcome>,
    _window: OwnedSemaphorePermit,
}

#[derive(Deserialize)]
struct PubAck {
    error: Option<Refusal>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
}

#[derive(Deserialize)]
struct Refusal {
    code: u16,
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

impl Unacked {
    /// `inbox` is nobody else's; `window` is how many may wait at a time.
    pub(super) fn new(inbox: &str, timeout: Duration, window: usize) -> Self {
        Self {
            prefix: format!("{inbox}."),
            timeout,
            window: Arc::new(Semaphore::new(window)),
            waiting: Mutex::default(),
            first_deadline: Notify::new(),
        }
    }

    /// Where all acknowledgements come to.
    pub(super) fn ack_subjects(&self) -> String {
        format!("{}*", self.prefix)
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

    /// Makes room for a message whose outcome is to come: its number, and the subject that its
    /// acknowledgement is to go to.
    pub(super) fn expect(
        &self,
        deadline: Instant,
        permit: OwnedSemaphorePermit,
    ) -> Result<(u64, String, oneshot::Receiver<Outcome>), PublishError> {
        let (outcome, receiver) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(PublishError::ConnectionClosed);
        }
        waiting.last_number += 1;
        let number = waiting.last_number;
        waiting.in_flight.insert(number, InFlight { deadline, outcome, _window: permit });
        if waiting.in_flight.len() == 1 {
            self.first_deadline.notify_one();
        }
        Ok((number, format!("{}{number}", self.prefix), receiver))
    }

    /// Gives a message its outcome, unless it has one.
    pub(super) fn settle(&self, number: u64, outcome: Outcome) {
        let settled = self.waiting().in_flight.remove(&number);
        if let Some(settled) = settled {
            // The caller may have dropped its end: it does not want to know.
            let _ = settled.outcome.send(outcome);
        }
    }

    pub(super) fn expire(&self) {
        let now = Instant::now();
        while let Some((deadline, number)) = self.next_deadline()
            && deadline <= now
        {
            self.settle(number, Err(PublishError::Timeout(self.timeout)));
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

    /// Reads one message from the ack subject. What cannot be read leaves its message to time out:
    /// it may be stored.
    pub(super) fn take(&self, message: &NatsMessage) {
        let number = message.subject.strip_prefix(self.prefix.as_str());
        let Some(number) = number.and_then(|number| number.parse().ok()) else {
            return;
        };
        if message.status.is_some() {
            return self.settle(number, Err(PublishError::NoStream));
        }
        match serde_json::from_slice(&message.payload) {
            Ok(PubAck { error: Some(refusal), .. }) => {
                let Refusal { code: status, err_code: code, description } = refusal;
                self.settle(number, Err(PublishError::refused(code, status, description)));
            }
            Ok(PubAck { error: None, seq: sequence @ 1.., duplicate }) => {
                self.settle(number, Ok(Stored { sequence, duplicate }));
            }
            Ok(_) | Err(_) => {
                tracing::debug!(number, "A publish acknowledgement cannot be read");
            }
        }
    }
}

#[cfg(test)]
mod tests;
