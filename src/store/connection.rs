//! Connections borrowed from the pool, to which only sound ones return.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, Postgres};

use super::{Error, Store, session};

/// Longer than the server's own `statement_timeout`, so that it speaks first: this is for a
/// server that does not speak at all, which TCP alone would notice after 15 minutes.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(40);

/// A connection of the pool that is closed when this is dropped, unless it was released.
///
/// After an error or a cancelled query nobody knows what state it is in, and the pool would
/// wait for its response without end before lending it again.
pub(super) struct Lease {
    connection: PoolConnection<Postgres>,
    is_sound: bool,
}

/// Who is told how long it took to get a connection.
#[derive(Clone, Default)]
pub(super) struct OnAcquire(Option<Arc<dyn Fn(Duration) + Send + Sync>>);

impl OnAcquire {
    pub(super) fn new(observe: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observe)))
    }

    fn tell(&self, took: Duration) {
        if let Some(observe) = &self.0 {
            observe(took);
        }
    }
}

impl fmt::Debug for OnAcquire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("OnAcquire").field(&self.0.is_some()).finish()
    }
}

impl Store {
    /// Runs `work`, whose statements are to be answered within 40 s in all, on a connection of
    /// the pool, a new one if none is idle. After an error the connection is closed. It is one
    /// span, as [`Store::traced`], with the wait for the connection.
    pub(super) async fn run<T, E>(
        &self,
        summary: &'static str,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, Error>
    where
        E: From<sqlx::Error>,
        Error: From<E>,
    {
        self.traced(
            summary,
            self.run_unbounded(async |connection| with_timeout(work(connection)).await),
        )
        .await
    }

    /// Like [`Store::run`] for work of any number of statements, which wraps each of them in
    /// [`with_timeout`] and [`Store::traced`] itself.
    pub(super) async fn run_unbounded<T, E>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, Error>
    where
        Error: From<E>,
    {
        let mut lease = self.lease().await?;
        let result = work(&mut lease).await?;
        lease.is_sound = true;
        Ok(result)
    }

    /// Borrows a connection that does not return to the pool.
    pub(super) async fn lease(&self) -> Result<Lease, Error> {
        let began = Instant::now();
        let (connection, refused) = session::refusing(self.pool.acquire()).await;
        self.acquired.tell(began.elapsed());
        let lease = connection.map(|connection| Lease { connection, is_sound: false });
        let lease = match refused {
            // The lease, if there is one, closes the connection.
            Some(error) => Err(error),
            None => lease.map_err(Error::from),
        };
        if lease.is_err() {
            self.look_for_server().await;
        }
        lease
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.is_sound {
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

/// Waits 40 s for a response of Postgres.
pub(super) async fn with_timeout<T, E: From<sqlx::Error>>(
    response: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(RESPONSE_TIMEOUT, response).await {
        Ok(response) => response,
        Err(_) => Err(Error::silent(RESPONSE_TIMEOUT).into()),
    }
}
