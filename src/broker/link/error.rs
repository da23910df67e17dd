//! Why there is no connection, or a message is not known to be stored.

use std::sync::Arc;

/// Why an attempt to connect failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ConnectError {
    /// With NATS Streaming.
    #[error(transparent)]
    Stan(#[from] stan::Error),
    /// With JetStream.
    #[error(transparent)]
    JetStream(#[from] jetstream::Error),
}

impl ConnectError {
    /// Whether another attempt will fail as well.
    pub(super) fn is_permanent(&self) -> bool {
        match self {
            Self::Stan(error) => error.kind() == stan::ErrorKind::Permanent,
            Self::JetStream(error) => error.kind() == jetstream::ErrorKind::Permanent,
        }
    }

    /// What becomes of a message that was to be sent: without a connection nothing was.
    pub(super) fn not_sent(self) -> PublishError {
        match self {
            Self::Stan(stan::Error::NoResponders(_)) => stan::PublishError::NoResponders.into(),
            Self::Stan(stan::Error::Refused { text, .. }) => {
                stan::PublishError::Refused(text).into()
            }
            Self::Stan(_) => stan::PublishError::Disconnected.into(),
            Self::JetStream(_) => jetstream::PublishError::Disconnected.into(),
        }
    }
}

/// Why a message is not known to be stored.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum PublishError {
    /// By NATS Streaming.
    #[error(transparent)]
    Stan(#[from] stan::PublishError),
    /// By JetStream, for another reason than the next.
    #[error(transparent)]
    JetStream(#[from] jetstream::PublishError),
    /// No stream stores what is published to this subject, or its servers have no leader.
    #[error("no stream takes messages of subject {0}, that of `jetstream.subject`")]
    NoStream(Arc<str>),
}

impl PublishError {
    /// Whether the same message will never be taken.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::Stan(error) => error.kind() == stan::ErrorKind::Permanent,
            Self::JetStream(error) => error.kind() == jetstream::ErrorKind::Permanent,
            Self::NoStream(_) => false,
        }
    }

    /// Whether the server takes other messages, and this one soon.
    pub(crate) fn is_about_this_message(&self) -> bool {
        matches!(self, Self::JetStream(jetstream::PublishError::SameIdInProcess))
    }

    /// Whether it may be stored nevertheless, so that it may be there twice if it is sent again.
    pub(crate) fn may_be_stored(&self) -> bool {
        match self {
            Self::Stan(error) => error.may_be_stored(),
            Self::JetStream(error) => error.may_be_stored(),
            Self::NoStream(_) => false,
        }
    }

    /// Whether nothing can be sent by the same connection any more. The one with JetStream comes
    /// back by itself, but not after an outage of half a minute.
    pub(super) fn needs_new_connection(&self) -> bool {
        match self {
            Self::Stan(error) => error.kind() == stan::ErrorKind::SessionFatal,
            Self::JetStream(error) => *error == jetstream::PublishError::Disconnected,
            Self::NoStream(_) => false,
        }
    }
}
