//! Why a message is not known to be stored, and whether to publish it again.

use std::time::Duration;

use crate::error::ErrorKind;

/// Why a message is not known to be stored. Each publish has exactly one outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The last sequence of the stream is not the one that was given: the message is not stored.
    #[error("the stream's last sequence is {0}, which is not the one that was expected")]
    WrongLastSequence(
        /// What it is; 0 where the server does not tell.
        u64,
    ),
    /// The stream takes no more: it has reached a limit, or the disk is full. Not stored.
    #[error("the stream takes no more: {text} ({code})")]
    Full {
        /// The `err_code` of the server's answer.
        code: u32,
        /// The description in the server's answer.
        text: String,
    },
    /// Another message with the same id is being stored, which may still fail; this one is not
    /// stored. Servers say so where streams are replicated.
    #[error("another message with the same id is being stored")]
    SameIdInProcess,
    /// The server refused the message for another reason; not stored.
    #[error("refused by the server: {text} ({code})")]
    Refused {
        /// The `err_code` of the server's answer.
        code: u32,
        /// The status of the server's answer, such as 400 or 503.
        status: u16,
        /// The description in the server's answer.
        text: String,
    },
    /// No answer in time: the message may or may not be stored.
    #[error("no acknowledgement within {0:?}; the message may or may not be stored")]
    Timeout(Duration),
    /// NATS is up, but no stream takes this subject, or its cluster has no leader: not stored.
    #[error("no stream takes messages of this subject")]
    NoStream,
    /// The NATS link is down: the message was not sent.
    #[error("not connected to nats")]
    Disconnected,
    /// A subject or message id that cannot be: the message was not sent. The text says what it
    /// must be.
    #[error("{0}")]
    Invalid(String),
    /// Larger than the NATS server's limit: the message was not sent.
    #[error("the message of {size_bytes} bytes is larger than the server's limit of {limit_bytes}")]
    TooLarge {
        /// Size of the payload.
        size_bytes: usize,
        /// The NATS server's `max_payload`, in bytes.
        limit_bytes: usize,
    },
    /// The connection was closed first: the message may or may not be stored.
    #[error("the connection was closed before the acknowledgement came")]
    ConnectionClosed,
}

/// What a server answers where it has no room, by `err_code`: 10047 no storage, 10023 no resources,
/// 10002 the account's limit, 10028 no memory, 10077 the stream's own limits, or a disk that fails.
const FULL: [u32; 5] = [10047, 10023, 10002, 10028, 10077];

/// "wrong last sequence: 7", and without the number.
const WRONG_LAST_SEQUENCE: [u32; 2] = [10071, 10164];

/// "duplicate message id is in process".
const SAME_ID_IN_PROCESS: u32 = 10158;

impl PublishError {
    pub(crate) fn refused(code: u32, status: u16, text: String) -> Self {
        if WRONG_LAST_SEQUENCE.contains(&code) {
            let number = text.rsplit(' ').next().and_then(|number| number.parse().ok());
            Self::WrongLastSequence(number.unwrap_or(0))
        } else if code == SAME_ID_IN_PROCESS {
            Self::SameIdInProcess
        } else if FULL.contains(&code) {
            Self::Full { code, text }
        } else {
            Self::Refused { code, status, text }
        }
    }

    /// Whether publishing the same message again may help.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoStream
            | Self::Disconnected
            | Self::Timeout(_)
            | Self::SameIdInProcess
            | Self::Full { .. } => ErrorKind::Retryable,
            Self::Refused { status, .. } if *status >= 500 => ErrorKind::Retryable,
            Self::WrongLastSequence(_)
            | Self::Refused { .. }
            | Self::Invalid(_)
            | Self::TooLarge { .. }
            | Self::ConnectionClosed => ErrorKind::Permanent,
        }
    }

    /// Whether the message may be stored nevertheless, so that it may be there twice if it is
    /// published again: the server remembers message ids for a while only.
    #[must_use]
    pub fn may_be_stored(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::ConnectionClosed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_was_not_taken_is_told_from_one_that_never_will_be() {
        let refused = |code, status, text: &str| PublishError::refused(code, status, text.into());
        for (error, kind, may_be_stored) in [
            (PublishError::NoStream, ErrorKind::Retryable, false),
            (PublishError::Disconnected, ErrorKind::Retryable, false),
            (PublishError::Timeout(Duration::from_secs(1)), ErrorKind::Retryable, true),
            (PublishError::ConnectionClosed, ErrorKind::Permanent, true),
            (PublishError::TooLarge { size_bytes: 2, limit_bytes: 1 }, ErrorKind::Permanent, false),
            (refused(10047, 500, "insufficient storage"), ErrorKind::Retryable, false),
            (refused(10008, 503, "unavailable"), ErrorKind::Retryable, false),
            (
                refused(10158, 409, "duplicate message id is in process"),
                ErrorKind::Retryable,
                false,
            ),
            (refused(10054, 400, "message size exceeds"), ErrorKind::Permanent, false),
            (refused(10071, 400, "wrong last sequence: 7"), ErrorKind::Permanent, false),
        ] {
            assert_eq!((error.kind(), error.may_be_stored()), (kind, may_be_stored), "{error}");
        }
    }

    #[test]
    fn a_wrong_last_sequence_tells_the_right_one() {
        let refused = |code, text: &str| PublishError::refused(code, 400, text.into());
        let wrong = refused(10071, "wrong last sequence: 7");
        assert_eq!(wrong, PublishError::WrongLastSequence(7));
        assert_eq!(refused(10164, "wrong last sequence"), PublishError::WrongLastSequence(0));
    }
}
