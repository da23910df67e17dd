//! What can go wrong, sorted by what the caller can do about it.

use std::fmt;
use std::time::Duration;

/// Which request an error belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// To register the client id, on `_STAN.discover.<cluster id>`.
    Connect,
    /// To create or resume a subscription.
    Subscribe,
    /// To close a subscription, which keeps its durable position.
    CloseSubscription,
    /// To end a subscription and delete its durable position.
    Unsubscribe,
    /// To ask whether the registration still holds.
    Ping,
    /// To end the registration, and with it what it subscribed to.
    Close,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Subscribe => "subscribe",
            Self::CloseSubscription => "close subscription",
            Self::Unsubscribe => "unsubscribe",
            Self::Ping => "ping",
            Self::Close => "close",
        })
    }
}

/// Why a registration with the streaming server ended before it was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// More pings than allowed stayed unanswered, or the NATS link was away for as long.
    #[error("the streaming server does not answer pings")]
    PingsUnanswered,
    /// The server no longer knows the client id, or another client has it: the server's answer
    /// to a ping is the same for both. Nothing may be sent under this client id any more.
    #[error("client has been replaced or is no longer registered")]
    Replaced,
}

/// Whether an error passes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The same call may succeed later.
    Retryable,
    /// The registration is gone: a new connection is needed.
    SessionFatal,
    /// The same call will fail again.
    Permanent,
}

/// Why a call failed. What may be done about it says [`Error::kind`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The NATS server cannot be reached, or its connection failed.
    #[error("nats: {0}")]
    Nats(String),
    /// The server did not answer in time; it may have done what was asked.
    #[error("no answer to the {request} request within {after:?} (is the cluster id right?)")]
    Timeout {
        /// The request that failed.
        request: Request,
        /// [`Options::request_timeout`](crate::Options::request_timeout).
        after: Duration,
    },
    /// NATS is up, but no streaming server listens under this cluster id.
    #[error("no streaming server answers the {0} request (is it down, or the cluster id wrong?)")]
    NoResponders(Request),
    /// The server refused; the text is its own.
    #[error("the streaming server refused the {request} request: {text}")]
    Refused {
        /// The request that failed.
        request: Request,
        /// The error text of the server's answer.
        text: String,
    },
    /// The server's answer cannot be understood.
    #[error("the answer to the {0} request is not one: {1}")]
    Garbled(Request, String),
    /// The registration was lost before or during this call.
    #[error("the session is lost: {0}")]
    SessionLost(#[from] Lost),
    /// The connection was closed by its user.
    #[error("the connection is closed")]
    Closed,
    /// The server is too old to close a subscription without deleting its durable state.
    #[error("the server cannot close a subscription without deleting its durable state")]
    NotSupported,
    /// An option that cannot be; the text names it and says what it must be.
    #[error("{0}")]
    InvalidOption(String),
}

impl Error {
    /// Whether trying again helps. The server sends texts, not codes, so a refusal is judged by
    /// its text (as nats-streaming-server 0.25.6 has them).
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Nats(_) | Self::Timeout { .. } | Self::NoResponders(_) | Self::Garbled(..) => {
                Kind::Retryable
            }
            Self::SessionLost(_) | Self::Closed => Kind::SessionFatal,
            Self::NotSupported | Self::InvalidOption(_) => Kind::Permanent,
            Self::Refused { text, .. } => kind_of_refusal(text),
        }
    }
}

fn kind_of_refusal(text: &str) -> Kind {
    const FATAL: [&str; 2] = ["unknown clientID", "client has been replaced"];
    const RETRYABLE: [&str; 3] =
        ["clientID already registered", "channel is being deleted", "duplicate durable"];
    if FATAL.iter().any(|known| text.contains(known)) {
        Kind::SessionFatal
    } else if RETRYABLE.iter().any(|known| text.contains(known)) {
        Kind::Retryable
    } else {
        Kind::Permanent
    }
}

/// Why a message is not known to be stored. Each publish has exactly one outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoResponders | Self::Disconnected | Self::Timeout(_) => Kind::Retryable,
            Self::ConnectionClosed => Kind::SessionFatal,
            Self::InvalidChannel(_) | Self::TooLarge { .. } => Kind::Permanent,
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

fn kind_of_refused_publish(text: &str) -> Kind {
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
        Kind::SessionFatal
    } else if RETRYABLE.iter().chain(&UNDECIDED).any(|known| text.contains(known)) {
        Kind::Retryable
    } else {
        kind_of_refusal(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_texts_are_sorted_by_what_helps() {
        for (text, kind) in [
            ("stan: clientID already registered", Kind::Retryable),
            ("stan: unknown clientID", Kind::SessionFatal),
            ("client has been replaced or is no longer registered", Kind::SessionFatal),
            ("stan: duplicate durable registration", Kind::Retryable),
            ("stan: invalid subject", Kind::Permanent),
            ("too many subscriptions per channel", Kind::Permanent),
        ] {
            let error = Error::Refused { request: Request::Subscribe, text: text.into() };
            assert_eq!(error.kind(), kind, "{text}");
        }
    }

    #[test]
    fn a_message_that_was_not_taken_is_told_from_one_that_never_will_be() {
        let refused = |text: &str| PublishError::Refused(text.to_owned());
        for (error, kind, may_be_stored) in [
            (PublishError::NoResponders, Kind::Retryable, false),
            (PublishError::Disconnected, Kind::Retryable, false),
            (PublishError::Timeout(Duration::from_secs(1)), Kind::Retryable, true),
            (PublishError::ConnectionClosed, Kind::SessionFatal, true),
            (PublishError::InvalidChannel("a b".to_owned()), Kind::Permanent, false),
            (PublishError::TooLarge { size_bytes: 2, limit_bytes: 1 }, Kind::Permanent, false),
            (refused("node is not the leader"), Kind::Retryable, false),
            (refused("leadership lost while committing log"), Kind::Retryable, true),
            (refused("stan: invalid publish request"), Kind::SessionFatal, false),
            (refused("too many channels"), Kind::Permanent, false),
        ] {
            assert_eq!((error.kind(), error.may_be_stored()), (kind, may_be_stored), "{error}");
        }
    }
}
