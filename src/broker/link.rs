//! A connection that publishes, made anew when it is lost.

mod connection;
mod destination;
mod error;

use std::sync::Arc;
use std::time::Duration;

use backon::Retryable as _;
use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::retry;
use connection::Connection;
pub(crate) use destination::Destination;
pub(crate) use error::{ConnectError, PublishError};

/// All who wait for a connection share the outcome of an attempt for so long.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);

/// The pause between two attempts to connect at the start.
const CONNECT_PAUSE: Duration = Duration::from_millis(500);

/// A connection that publishes to one channel or subject, made anew when it is lost.
pub(crate) struct Link {
    destination: Destination,
    state: Mutex<State>,
}

enum State {
    Up(Arc<Connection>),
    /// Not connected since then, for this reason.
    Down(Instant, PublishError),
}

impl Link {
    /// Connects, and tries again for `retry_for` while the server is away. Tells `failed` of each
    /// attempt that failed.
    ///
    /// # Errors
    /// That of the last attempt.
    pub(crate) async fn connect(
        destination: Destination,
        retry_for: Duration,
        mut failed: impl FnMut(&ConnectError),
    ) -> Result<Self, ConnectError> {
        let started = Instant::now();
        let may_pass =
            |error: &ConnectError| !error.is_permanent() && started.elapsed() < retry_for;
        let attempts =
            (|| Box::pin(Connection::new(&destination))).retry(retry::every(CONNECT_PAUSE));
        let connection = attempts.when(may_pass).notify(|error, _| failed(error)).await?;
        let state = Mutex::new(State::Up(Arc::new(connection)));
        Ok(Self { destination, state })
    }

    /// Sends a message; the outcome is that of the server.
    pub(crate) async fn publish(
        &self,
        payload: Bytes,
    ) -> Result<impl Future<Output = Result<(), PublishError>> + use<'_>, PublishError> {
        let connection = self.connection().await?;
        match connection.publish(payload).await {
            Ok(ack) => Ok(async move {
                let outcome = ack.await;
                if let Err(error) = &outcome {
                    self.failed(&connection, error).await;
                }
                outcome
            }),
            Err(error) => {
                self.failed(&connection, &error).await;
                Err(error)
            }
        }
    }

    async fn connection(&self) -> Result<Arc<Connection>, PublishError> {
        let mut state = self.state.lock().await;
        match &*state {
            State::Up(connection) => return Ok(Arc::clone(connection)),
            State::Down(since, error) if since.elapsed() < BETWEEN_ATTEMPTS => {
                return Err(error.clone());
            }
            State::Down(..) => {}
        }
        match Box::pin(Connection::new(&self.destination)).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *state = State::Up(Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                let error = error.not_sent();
                *state = State::Down(Instant::now(), error.clone());
                Err(error)
            }
        }
    }

    /// Takes note that a message failed, in case that ends the connection it was sent by.
    async fn failed(&self, connection: &Arc<Connection>, error: &PublishError) {
        if !error.needs_new_connection() {
            return;
        }
        let mut state = self.state.lock().await;
        if matches!(&*state, State::Up(current) if Arc::ptr_eq(current, connection)) {
            *state = State::Down(Instant::now(), self.destination.disconnected());
        }
    }

    /// Takes leave of the server, which otherwise finds out by itself.
    pub(crate) async fn close(self) {
        if let State::Up(connection) = self.state.into_inner() {
            connection.close().await;
        }
    }
}
