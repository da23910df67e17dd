//! What is read again, strictly in the order of its sequences, and what is not there.

pub(crate) mod channel;
mod stream;

use bytes::Bytes;
use jetstream::StoredMessage;
use stan::Message;

use super::retry::Failure;
use super::{Origin, Reconcile};
use crate::ingest::Candidate;
use channel::{ChannelReader, ChannelStep, ReaderOptions};
use stream::StreamReader;

/// The next part of what is read, in the order of its sequences.
pub(super) enum Step {
    /// Messages whose sequences follow each other.
    Messages(Vec<Read>),
    /// The server has these no more.
    Gone { from: u64, to: u64 },
    /// All up to this one are messages of other subjects.
    Others { to: u64 },
}

/// A message that was read again.
pub(super) enum Read {
    /// Delivered by NATS Streaming, which waits for its acknowledgement.
    Delivered(Message),
    /// Looked up in a stream.
    Stored(StoredMessage),
}

impl Read {
    /// It is settled: the broker may send what follows.
    pub(super) fn settle(self) {
        if let Self::Delivered(message) = self {
            message.ack();
        }
    }
}

impl Candidate for Read {
    fn payload(&self) -> &Bytes {
        match self {
            Self::Delivered(message) => &message.data,
            Self::Stored(message) => &message.data,
        }
    }

    fn sequence(&self) -> u64 {
        match self {
            Self::Delivered(message) => message.sequence,
            Self::Stored(message) => message.sequence,
        }
    }
}

/// Reads either. After an error of a step it may be asked again, and nothing is passed over.
pub(super) enum Reader {
    Channel(Box<ChannelReader>),
    Stream(Box<StreamReader>),
}

impl Reader {
    pub(super) fn new(reconcile: &Reconcile) -> Self {
        match &reconcile.origin {
            Origin::Channel(channel) => {
                let reader = ChannelReader::new(ReaderOptions {
                    registration: channel.options.clone(),
                    broker: &channel.broker,
                    batch_max_rows: reconcile.limits.batch_max_rows,
                    batch_max_bytes: reconcile.limits.batch_max_bytes,
                    queue_max_bytes: reconcile.queue_max_bytes,
                    patience: reconcile.patience,
                });
                Self::Channel(Box::new(reader))
            }
            Origin::Stream(stream) => Self::Stream(Box::new(StreamReader::new(reconcile, stream))),
        }
    }

    /// Sets the first and the last sequence to read.
    pub(super) fn read(&mut self, first: u64, last: u64) {
        match self {
            Self::Channel(reader) => reader.read(first, Some(last)),
            // It was made to begin there.
            Self::Stream(reader) => reader.read_to(last),
        }
    }

    /// The sequence of the newest message; 0 if there never was one.
    pub(super) async fn last_sequence(&mut self) -> Result<u64, Failure> {
        match self {
            Self::Channel(reader) => reader.last_sequence().await,
            Self::Stream(reader) => reader.last_sequence().await,
        }
    }

    /// What comes next.
    pub(super) async fn step(&mut self) -> Result<Step, Failure> {
        match self {
            Self::Channel(reader) => Ok(match reader.step().await? {
                ChannelStep::Messages(messages) => {
                    Step::Messages(messages.into_iter().map(Read::Delivered).collect())
                }
                ChannelStep::Gone { from, to } => Step::Gone { from, to },
            }),
            Self::Stream(reader) => reader.step().await,
        }
    }

    /// Takes leave of the server.
    pub(super) async fn close(self) {
        if let Self::Channel(reader) = self {
            reader.close().await;
        }
    }
}
