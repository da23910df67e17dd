//! What is on its way into the stream.

use std::collections::VecDeque;

use anyhow::anyhow;
use jetstream::{ErrorKind, PublishAck, PublishError};

use super::archive::{Archive, Content};
use crate::reconcile::retry::Failure;

/// Messages that may be on their way at a time. From 10,000 on the server refuses.
pub(super) const MOST_MESSAGES: usize = 4096;

/// Bytes that may be on their way at a time, or one message.
const MOST_BYTES: usize = 64 << 20;

/// What is on its way into the stream, in the order of its sequences. After a failure nothing
/// further is sent until [`Window::send_again`] has settled all of it.
pub(super) struct Window {
    pub(super) archive: Archive,
    in_flight: VecDeque<InFlight>,
    bytes: usize,
    /// The last sequence that the stream is known to have, but for what was confirmed since.
    last: u64,
    /// The first sequence that is not settled.
    next: u64,
    /// Fillers that are stored and not deleted yet.
    fillers: Vec<u64>,
    /// Messages that are stored now.
    pub(super) copied: u64,
    /// Sequences without a message that have their gap now.
    pub(super) gaps: u64,
}

struct InFlight {
    sequence: u64,
    content: Content,
    is_sent: bool,
    /// None if it was not sent, or has failed.
    ack: Option<PublishAck>,
}

impl Window {
    /// Goes on after the stream's last sequence.
    pub(super) fn new(archive: Archive, last: u64) -> Self {
        let (in_flight, fillers) = (VecDeque::new(), Vec::new());
        let next = last + 1;
        Self { archive, in_flight, bytes: 0, last, next, fillers, copied: 0, gaps: 0 }
    }

    /// The first sequence that is not settled.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Makes the stream, whose first message is to have this sequence.
    pub(super) async fn create(&mut self, first: u64) -> Result<(), Failure> {
        self.last = self.archive.create(first).await?.last_sequence;
        self.next = self.last + 1;
        Ok(())
    }

    /// How many are on their way.
    pub(super) fn len(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Sends what belongs under a sequence, which follows the one before; compares it where the
    /// stream has that already. Waits while the window is full.
    pub(super) async fn send(&mut self, sequence: u64, content: Content) -> Result<(), Failure> {
        if sequence <= self.last && matches!(content, Content::Gap) {
            // Whatever the stream has there: the channel had it too, until it lost it.
            self.next = self.next.max(sequence + 1);
            return Ok(());
        }
        self.bytes += content.size();
        self.in_flight.push_back(InFlight { sequence, content, is_sent: false, ack: None });
        if sequence <= self.last {
            return self.send_again().await;
        }
        while self.in_flight.len() > 1
            && (self.in_flight.len() > MOST_MESSAGES || self.bytes > MOST_BYTES)
        {
            self.confirm().await?;
        }
        match self.in_flight.back_mut() {
            Some(newest) => newest.publish(&self.archive).await,
            None => Ok(()),
        }
    }

    /// Waits until the oldest is stored.
    pub(super) async fn confirm(&mut self) -> Result<(), Failure> {
        let Some(oldest) = self.in_flight.front_mut() else { return Ok(()) };
        let sequence = oldest.sequence;
        let Some(ack) = &mut oldest.ack else {
            return Err(Failure::Transient(anyhow!("sequence {sequence} was not sent")));
        };
        let outcome = ack.await;
        oldest.ack = None;
        match outcome {
            Ok(stored) if stored.sequence == sequence => self.settle_oldest(),
            Ok(stored) => {
                return Err(Failure::Permanent(anyhow!(
                    "the server has stored sequence {sequence} as {}",
                    stored.sequence
                )));
            }
            Err(error) => return Err(failure(sequence, error)),
        }
        Ok(())
    }

    /// Waits until everything is stored.
    pub(super) async fn confirm_all(&mut self) -> Result<(), Failure> {
        while !self.in_flight.is_empty() {
            self.confirm().await?;
        }
        Ok(())
    }

    /// Waits until everything is stored, and sends again once what is not.
    pub(super) async fn settle(&mut self) -> Result<(), Failure> {
        match self.confirm_all().await {
            Err(Failure::Transient(_)) => self.send_again().await,
            settled => settled,
        }
    }

    /// Looks what of it is stored, sends the rest again, and waits until everything is stored.
    pub(super) async fn send_again(&mut self) -> Result<(), Failure> {
        for sent in &mut self.in_flight {
            if let Some(ack) = &mut sent.ack {
                // Whatever it says, the stream is asked what it has.
                let _ = ack.await;
                sent.ack = None;
            }
        }
        self.last = self.archive.last().await?;
        if self.last + 1 < self.next {
            return Err(Failure::Permanent(anyhow!(
                "the stream ends with sequence {}, though {} was stored: it has lost messages or \
                 was made anew; another run copies what is not there",
                self.last,
                self.next - 1
            )));
        }
        while let Some(oldest) = self.in_flight.front()
            && oldest.sequence <= self.last
        {
            self.archive.check(oldest.sequence, &oldest.content).await?;
            self.settle_oldest();
        }
        for unsent in &mut self.in_flight {
            unsent.publish(&self.archive).await?;
        }
        self.confirm_all().await
    }

    fn settle_oldest(&mut self) {
        let Some(settled) = self.in_flight.pop_front() else { return };
        let InFlight { sequence, content, is_sent, .. } = settled;
        self.bytes -= content.size();
        self.next = self.next.max(sequence + 1);
        match content {
            _ if !is_sent => {}
            Content::Message(_) => self.copied += 1,
            Content::Gap => {
                self.gaps += 1;
                self.fillers.push(sequence);
            }
        }
    }

    /// Deletes the fillers that are stored.
    pub(super) async fn delete_fillers(&mut self) -> Result<(), Failure> {
        self.archive.delete(&self.fillers).await?;
        self.fillers.clear();
        Ok(())
    }
}

impl InFlight {
    async fn publish(&mut self, archive: &Archive) -> Result<(), Failure> {
        let sent = archive.publish(self.sequence, &self.content).await;
        self.ack = Some(sent.map_err(|error| failure(self.sequence, error))?);
        self.is_sent = true;
        Ok(())
    }
}

impl Content {
    fn size(&self) -> usize {
        match self {
            Self::Message(data) => data.len(),
            Self::Gap => 0,
        }
    }
}

/// What may pass is tried again: also another last sequence than the expected one, since the
/// message may be the last one itself, its acknowledgement lost.
fn failure(sequence: u64, error: PublishError) -> Failure {
    let passes = match &error {
        PublishError::WrongLastSequence(_) => true,
        other => other.kind() == ErrorKind::Retryable,
    };
    let error = anyhow::Error::from(error).context(format!("sequence {sequence} is not stored"));
    if passes { Failure::Transient(error) } else { Failure::Permanent(error) }
}
