//! Why a message is not known to be stored, and whether to publish it again.

use std::time::Duration;

use crate::error::{ErrorKind, kind_of_refusal};

/// Why a message is not known to be stored. Each publish has exactly one outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The server refused the message; the text is its own.
    #[error("refused by the streaming server: {0}")]
    Refused(String),
    /// No answer in time: the message may or may not be stored.
    #[error("no acknowledgement within {0:?}; the message may or may not be stored")]
    Timeout(Duration),
    /// NATS is up, but no streaming server listens: the message is not stored.
    #[error("no streaming server is there to take the message")]
    NoResponders,
    /// The NATS link is down: the message was not sent.
    #[error("not connected to nats")]
    Disconnected,
    /// A channel that cannot be: the message was not sent. The text says what it must be.
    #[error("{0}")]
    InvalidChannel(String),
    /// Larger than the NATS server's limit: the message was not sent.
    #[error("the message of {size_bytes} bytes is larger than the server's limit of {limit_bytes}")]
    TooLarge {
        /// Size of the encoded message, which is the data and about 100 bytes.
        size_bytes: usize,
        /// The NATS server's `max_payload`, in bytes.
        limit_bytes: usize,
    },
    /// The connection was closed or lost first: the message may or may not be stored.
    #[error("the connection ended before the acknowledgement came")]
    ConnectionClosed,
}

impl PublishError {
    /// Whether publishing the same message again helps, and whether it needs a new connection.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoResponders | Self::Disconnected | Self::Timeout(_) => ErrorKind::Retryable,
            Self::ConnectionClosed => ErrorKind::SessionFatal,
            Self::InvalidChannel(_) | Self::TooLarge { .. } => ErrorKind::Permanent,
            Self::Refused(text) => kind_of_refused_publish(text),
        }
    }

    /// Whether the message may be stored nevertheless, so that it would be there twice if it
    /// were published again: servers do not look whether they have it.
    #[must_use]
    pub fn may_be_stored(&self) -> bool {
        match self {
            Self::Timeout(_) | Self::ConnectionClosed => true,
            Self::Refused(text) => UNDECIDED.iter().any(|known| text.contains(known)),
            _ => false,
        }
    }
}

/// What a leader says of a message that it could not tell the end of any more.
const UNDECIDED: [&str; 2] =
    ["leadership lost while committing log", "snapshot restored while committing log"];

fn kind_of_refused_publish(text: &str) -> ErrorKind {
    // The channel is checked before anything is sent, so that the server can mean but one thing:
    // it does not know the client.
    const FATAL: &str = "stan: invalid publish request";
    // A cluster whose leader changes.
    const RETRYABLE: [&str; 5] = [
        "node is not the leader",
        "leadership transfer in progress",
        "raft is already shutdown",
        "timed out enqueuing operation",
        "channel is being deleted",
    ];
    if text.contains(FATAL) {
        ErrorKind::SessionFatal
    } else if RETRYABLE.iter().chain(&UNDECIDED).any(|known| text.contains(known)) {
        ErrorKind::Retryable
    } else {
        kind_of_refusal(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_was_not_taken_is_told_from_one_that_never_will_be() {
        let refused = |text: &str| PublishError::Refused(text.to_owned());
        for (error, kind, may_be_stored) in [
            (PublishError::NoResponders, ErrorKind::Retryable, false),
            (PublishError::Disconnected, ErrorKind::Retryable, false),
            (PublishError::Timeout(Duration::from_secs(1)), ErrorKind::Retryable, true),
            (PublishError::ConnectionClosed, ErrorKind::SessionFatal, true),
            (PublishError::InvalidChannel("a b".to_owned()), ErrorKind::Permanent, false),
            (PublishError::TooLarge { size_bytes: 2, limit_bytes: 1 }, ErrorKind::Permanent, false),
            (refused("node is not the leader"), ErrorKind::Retryable, false),
            (refused("leadership lost while committing log"), ErrorKind::Retryable, true),
            (refused("stan: invalid publish request"), ErrorKind::SessionFatal, false),
            (refused("too many channels"), ErrorKind::Permanent, false),
        ] {
            assert_eq!((error.kind(), error.may_be_stored()), (kind, may_be_stored), "{error}");
        }
    }
}
