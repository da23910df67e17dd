//! Why a call over the link failed: causes whose types are not public, and all of them in one
//! line.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_nats::error::Error as NatsError;

/// Why a call over the link failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestError {
    /// The server cannot be reached, or its connection failed; the source says how.
    #[error("the NATS connection failed")]
    Nats(#[source] Arc<dyn Error + Send + Sync>),
    /// Nobody listens where the request went.
    #[error("nobody answers")]
    NoResponders,
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
}

impl RequestError {
    pub(crate) fn nats(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::Nats(Arc::new(cause))
    }
}

/// What tells the kinds of an error of the NATS client apart.
pub(crate) trait NatsErrorKind:
    Clone + fmt::Debug + fmt::Display + PartialEq + Send + Sync + 'static
{
}

impl<K> NatsErrorKind for K where
    K: Clone + fmt::Debug + fmt::Display + PartialEq + Send + Sync + 'static
{
}

/// An error of the NATS client, whose own text repeats that of its source; this one does not.
#[derive(Debug)]
pub(crate) struct NatsCause<K: NatsErrorKind>(pub(crate) NatsError<K>);

impl<K: NatsErrorKind> fmt::Display for NatsCause<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.kind())
    }
}

impl<K: NatsErrorKind> Error for NatsCause<K> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// The link was not up in time.
#[derive(Debug)]
pub(crate) struct NotConnected {
    /// Why the last attempts failed, such as a refused login; the NATS client tells no more than
    /// a text. Empty if nothing was told.
    pub(crate) last_errors: String,
}

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no connection to the server")?;
        if self.last_errors.is_empty() { Ok(()) } else { write!(f, ": {}", self.last_errors) }
    }
}

impl Error for NotConnected {}

/// The NATS client did not take a command in time.
#[derive(Debug, thiserror::Error)]
#[error("the command queue of the link is full")]
pub(crate) struct QueueFull;

/// An error and its causes in one line, for logs and texts.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use async_nats::{ConnectError, ConnectErrorKind};

    use super::*;

    #[test]
    fn each_cause_is_told_once() {
        let refused = ConnectError::with_source(ConnectErrorKind::Io, io::Error::other("refused"));
        let last_errors = "authorization violation".to_owned();
        for (error, text) in [
            (
                RequestError::nats(NatsCause(refused)),
                "the NATS connection failed: IO error: refused",
            ),
            (
                RequestError::nats(NotConnected { last_errors }),
                "the NATS connection failed: no connection to the server: authorization violation",
            ),
            (
                RequestError::nats(NotConnected { last_errors: String::new() }),
                "the NATS connection failed: no connection to the server",
            ),
        ] {
            assert_eq!(Chain(&error).to_string(), text);
        }
    }
}
