//! What can go wrong, sorted by what the caller can do about it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nats_link::RequestError;

/// Which request an error belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestKind {
    /// What is stored for the account.
    AccountInfo,
    /// How a stream is configured and what it holds.
    StreamInfo,
    /// To make a stream.
    CreateStream,
    /// How a consumer is configured and how far it is.
    ConsumerInfo,
    /// To make a consumer.
    CreateConsumer,
    /// To read one stored message.
    GetMessage,
    /// To delete one stored message.
    DeleteMessage,
    /// To subscribe to the subject of pulled messages or of publish acknowledgements.
    Subscribe,
}

impl fmt::Display for RequestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccountInfo => "account info",
            Self::StreamInfo => "stream info",
            Self::CreateStream => "create stream",
            Self::ConsumerInfo => "consumer info",
            Self::CreateConsumer => "create consumer",
            Self::GetMessage => "get message",
            Self::DeleteMessage => "delete message",
            Self::Subscribe => "subscribe",
        })
    }
}

/// Whether an error passes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The same call may succeed later.
    Retryable,
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
    #[error("no answer to the {request} request within {after:?} (has the cluster no leader?)")]
    Timeout {
        /// The request that was not answered.
        request: RequestKind,
        /// How long the answer was awaited: [`Options::request_timeout`](crate::Options).
        after: Duration,
    },
    /// NATS is up, but JetStream is not, or not for this account.
    #[error("nobody answers the {0} request (is JetStream enabled, also for this account?)")]
    NoResponders(RequestKind),
    /// Nobody leads the stream or the consumer: what a server without a leader tells may be old.
    #[error("nobody leads what the {0} request is about (are most of its servers away?)")]
    NoLeader(RequestKind),
    /// The server refused; code and text are its own.
    #[error("the server refused the {request} request: {text} ({code})")]
    Refused {
        /// The request that was refused.
        request: RequestKind,
        /// The `err_code` of the server's answer, such as 10059 for "stream not found".
        code: u32,
        /// The status of the server's answer, such as 404 or 503.
        status: u16,
        /// The description in the server's answer.
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
    /// A stream or consumer that is there, with a setting under which messages could be lost.
    #[error("{what} has {setting} = {is}, which must be {must_be}")]
    Unsuitable {
        /// Which stream or consumer, such as `stream ORDERS`.
        what: String,
        /// The name of the setting, as the server has it.
        setting: &'static str,
        /// Its value.
        is: String,
        /// What it must be.
        must_be: String,
    },
    /// An option that cannot be; the text names it and says what it must be.
    #[error("{0}")]
    InvalidOption(String),
}

/// `err_code` of an answer that there is no such stream.
pub(crate) const NO_STREAM: u32 = 10059;
/// `err_code` of an answer that there is no such consumer.
pub(crate) const NO_CONSUMER: u32 = 10014;
/// `err_code` of an answer that there is no such message.
pub(crate) const NO_MESSAGE: u32 = 10037;
/// `err_code` of an answer that a stream of this name is configured otherwise.
pub(crate) const STREAM_EXISTS: u32 = 10058;
/// `err_code`s of answers that nobody leads the servers, or that all which store the stream or the
/// consumer are away.
const NO_LEADER: [u32; 3] = [10008, 10118, 10119];
/// `err_code`s of an answer that there is a consumer of this name.
pub(crate) const CONSUMER_EXISTS: [u32; 2] = [10013, 10148];

impl Error {
    pub(crate) fn invalid_answer(
        request: RequestKind,
        cause: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::InvalidAnswer { request, source: Arc::new(cause) }
    }

    pub(crate) fn of(error: RequestError, request: RequestKind, after: Duration) -> Self {
        match error {
            RequestError::Nats(cause) => Self::Nats(cause),
            RequestError::NoResponders => Self::NoResponders(request),
            RequestError::TimedOut => Self::Timeout { request, after },
        }
    }

    /// The `err_code` of a refusal.
    pub(crate) fn code(&self) -> Option<u32> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether there is no such stream or consumer.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.code(), Some(NO_STREAM | NO_CONSUMER))
    }

    /// Whether a server is there, and says that there is no leader who could answer.
    #[must_use]
    pub fn has_no_leader(&self) -> bool {
        let is_refusal = self.code().is_some_and(|code| NO_LEADER.contains(&code));
        is_refusal || matches!(self, Self::NoLeader(_))
    }

    /// Whether trying again helps.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Nats(_)
            | Self::Timeout { .. }
            | Self::NoResponders(_)
            | Self::NoLeader(_)
            | Self::InvalidAnswer { .. } => ErrorKind::Retryable,
            // As with HTTP: the server's fault passes, the client's does not.
            Self::Refused { status, .. } if *status >= 500 => ErrorKind::Retryable,
            Self::Refused { .. } | Self::Unsuitable { .. } | Self::InvalidOption(_) => {
                ErrorKind::Permanent
            }
        }
    }
}
