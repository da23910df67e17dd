//! What can go wrong, sorted by what the caller can do about it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Which request an error belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestKind {
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

impl fmt::Display for RequestKind {
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
#[non_exhaustive]
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
pub enum ErrorKind {
    /// The same call may succeed later.
    Retryable,
    /// The registration is gone: a new connection is needed.
    SessionFatal,
    /// The same call will fail again.
    Permanent,
}

/// Why a call failed. What may be done about it says [`Error::kind`].
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The NATS server cannot be reached, or its connection failed; the source says how.
    #[error("the NATS connection failed")]
    Nats(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The server did not answer in time; it may have done what was asked.
    #[error("no answer to the {request} request within {after:?} (is the cluster id right?)")]
    Timeout {
        /// The request that was not answered or refused.
        request: RequestKind,
        /// How long the answer was awaited: [`Options::request_timeout`](crate::Options).
        after: Duration,
    },
    /// NATS is up, but no streaming server listens under this cluster id.
    #[error("no streaming server answers the {0} request (is it down, or the cluster id wrong?)")]
    NoResponders(RequestKind),
    /// The server refused; the text is its own.
    #[error("the streaming server refused the {request} request: {text}")]
    Refused {
        /// The request that was not answered or refused.
        request: RequestKind,
        /// The error text of the server's answer.
        text: String,
    },
    /// The server's answer cannot be understood; the source says why.
    #[error("the answer to the {request} request is invalid")]
    InvalidAnswer {
        /// The request that was answered.
        request: RequestKind,
        /// What is wrong with the answer.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The registration was lost before or during this call.
    #[error("the registration is lost")]
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

/// An answer without a field that it must have.
#[derive(Debug, thiserror::Error)]
#[error("it has no {0}")]
pub(crate) struct MissingField(pub(crate) &'static str);

impl Error {
    pub(crate) fn nats(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Nats(Arc::new(cause))
    }

    pub(crate) fn invalid_answer(
        request: RequestKind,
        cause: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::InvalidAnswer { request, source: Arc::new(cause) }
    }

    /// Whether trying again helps. The server sends texts, not codes, so a refusal is judged by
    /// its text (as nats-streaming-server 0.25.6 has them).
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Nats(_)
            | Self::Timeout { .. }
            | Self::NoResponders(_)
            | Self::InvalidAnswer { .. } => ErrorKind::Retryable,
            Self::SessionLost(_) | Self::Closed => ErrorKind::SessionFatal,
            Self::NotSupported | Self::InvalidOption(_) => ErrorKind::Permanent,
            Self::Refused { text, .. } => kind_of_refusal(text),
        }
    }
}

pub(crate) fn kind_of_refusal(text: &str) -> ErrorKind {
    const FATAL: [&str; 2] = ["unknown clientID", "client has been replaced"];
    const RETRYABLE: [&str; 3] =
        ["clientID already registered", "channel is being deleted", "duplicate durable"];
    if FATAL.iter().any(|known| text.contains(known)) {
        ErrorKind::SessionFatal
    } else if RETRYABLE.iter().any(|known| text.contains(known)) {
        ErrorKind::Retryable
    } else {
        ErrorKind::Permanent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_texts_are_sorted_by_what_helps() {
        for (text, kind) in [
            ("stan: clientID already registered", ErrorKind::Retryable),
            ("stan: unknown clientID", ErrorKind::SessionFatal),
            ("client has been replaced or is no longer registered", ErrorKind::SessionFatal),
            ("stan: duplicate durable registration", ErrorKind::Retryable),
            ("stan: invalid subject", ErrorKind::Permanent),
            ("too many subscriptions per channel", ErrorKind::Permanent),
        ] {
            let error = Error::Refused { request: RequestKind::Subscribe, text: text.into() };
            assert_eq!(error.kind(), kind, "{text}");
        }
    }
}
