//! Where messages come from.

use clap::ValueEnum;

use crate::world::{CHANNEL, CONSUMER, STREAM};

/// What the service reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sources {
    /// The channel of NATS Streaming.
    Stan,
    /// The stream of JetStream.
    Jetstream,
    /// Both, with a bridge that copies the channel into an archive.
    Both,
}

impl Sources {
    pub(crate) fn origins(self) -> &'static [Origin] {
        match self {
            Self::Stan => &[Origin::Channel],
            Self::Jetstream => &[Origin::Stream],
            Self::Both => &[Origin::Channel, Origin::Stream],
        }
    }
}

/// One of the two that messages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Origin {
    /// The channel of NATS Streaming.
    Channel,
    /// The stream of JetStream.
    Stream,
}

/// A message, by its sequence in what it came from.
pub(crate) type Place = (Origin, u64);

impl Origin {
    /// What `--source` of a command takes.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Channel => "stan",
            Self::Stream => "jetstream",
        }
    }

    /// What the column `source` of its orders holds.
    pub(crate) fn source(self) -> Option<String> {
        match self {
            Self::Channel => None,
            Self::Stream => Some(format!("jetstream:{STREAM}")),
        }
    }

    /// What the column `channel` of its rejects holds.
    pub(crate) fn reject_channel(self) -> String {
        self.source().unwrap_or_else(|| CHANNEL.to_owned())
    }

    /// The message that a publication acknowledges, if it is an acknowledgement to this origin.
    pub(crate) fn acked(self, subject: &str, payload: &[u8]) -> Option<u64> {
        match self {
            Self::Channel => acked_in_channel(payload),
            Self::Stream => acked_in_stream(subject).filter(|_| payload == b"+ACK"),
        }
    }
}

/// In protobuf, field 1 is the channel and field 2 the sequence.
fn acked_in_channel(payload: &[u8]) -> Option<u64> {
    let rest = payload.strip_prefix(&[0x0a, u8::try_from(CHANNEL.len()).ok()?])?;
    let rest = rest.strip_prefix(CHANNEL.as_bytes())?.strip_prefix(&[0x10])?;
    let digits = rest.iter().rev().map(|byte| u64::from(byte & 0x7f));
    digits.reduce(|number, digit| number << 7 | digit)
}

/// After the names of stream and consumer come the count of deliveries and the sequence (ADR-15).
fn acked_in_stream(subject: &str) -> Option<u64> {
    let rest = subject.strip_prefix("$JS.ACK.")?.strip_prefix(STREAM)?.strip_prefix('.')?;
    let mut numbers = rest.strip_prefix(CONSUMER)?.strip_prefix('.')?.split('.');
    numbers.nth(1)?.parse().ok()
}
