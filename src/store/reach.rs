//! Whether there is a Postgres to be asked, whatever it would answer.

use std::io::{Error as IoError, ErrorKind};

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::time::timeout;

use super::{Error, Store};

/// Nobody answers at the place that the settings name.
#[derive(Debug, thiserror::Error)]
#[error("postgres cannot be reached: {0}")]
pub struct Unreachable(IoError);

impl Store {
    /// Opens a connection beside the pool, which for want of one only says that it waited too
    /// long. A Postgres that refuses us is reached.
    ///
    /// # Errors
    /// The connection is refused or reset, or nothing comes back in time. A name that leads
    /// nowhere is none of these: that is more often a wrong setting than an outage.
    pub async fn reach(&self) -> Result<(), Unreachable> {
        let options = self.pool.connect_options();
        let limit = self.pool.options().get_acquire_timeout();
        let silent = |_| Err(Error::silent(limit));
        match timeout(limit, PgConnection::connect_with(&options)).await.unwrap_or_else(silent) {
            Err(sqlx::Error::Io(error)) if is_no_answer(error.kind()) => Err(Unreachable(error)),
            Err(_) => Ok(()),
            Ok(connection) => {
                // It was reached, however the goodbye goes.
                let _ = timeout(limit, connection.close()).await;
                Ok(())
            }
        }
    }
}

fn is_no_answer(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::TimedOut
    )
}
