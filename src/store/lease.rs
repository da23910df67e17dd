//! Connections lent from the pool, which only sound ones go back to.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, Postgres};

use super::{Error, Store, session};

/// Longer than the server's own `statement_timeout`, so that it speaks first: this is for a
/// server that does not speak at all, which TCP alone would notice after 15 minutes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);

/// A connection that is closed unless [`Lease::give_back`] says that its work ended well.
///
/// After an error or a cancelled question nobody knows what state it is in, and the pool would
/// wait for its answer without end before lending it again.
pub(super) struct Lease {
    connection: PoolConnection<Postgres>,
    sound: bool,
}

impl Store {
    /// Lends a connection, a new one if none is idle.
    pub(super) async fn lease(&self) -> Result<Lease, Error> {
        let (connection, refused) = session::refusing(self.pool.acquire()).await;
        let lease = connection.map(|connection| Lease { connection, sound: false });
        match refused {
            // The lease, if there is one, closes the connection.
            Some(error) => Err(error),
            None => Ok(lease?),
        }
    }
}

impl Lease {
    /// Returns the connection to the pool.
    pub(super) fn give_back(mut self) {
        self.sound = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.sound {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// Waits for an answer of Postgres, but not without end.
pub(super) async fn answered<T>(answer: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::silent(ANSWER_TIMEOUT)),
    }
}
