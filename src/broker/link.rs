//! The connection to the broker, made anew when it is lost.

use std::sync::Arc;
use std::time::Duration;

use backon::Retryable as _;
use bytes::Bytes;
use stan::{Connection, Error, ErrorKind, Options, PublishError};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::retry;

/// All who wait for a connection share the outcome of an attempt for so long.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(500);

/// How long to wait for each answer of the broker, the first one included: in its first seconds a
/// pod may not be let through yet, and a call that was lost is repeated after 1 s, 3 s and 7 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause between two attempts to connect at the start.
const CONNECT_PAUSE: Duration = Duration::from_millis(500);

/// A connection that publishes to one channel, made anew when it is lost.
pub(crate) struct Link {
    options: Options,
    channel: String,
    state: Mutex<State>,
}

enum State {
    Up(Arc<Connection>),
    /// Not connected since then, for this reason.
    Down(Instant, PublishError),
}

impl Link {
    /// Connects and registers, and tries again for `retry_for` while the broker is away. Tells
    /// `failed` of each attempt that failed. The time-outs of answers in `options` do not count:
    /// each answer may take ten seconds.
    ///
    /// # Errors
    /// That of the last attempt.
    pub(crate) async fn connect(
        mut options: Options,
        channel: &str,
        retry_for: Duration,
        mut failed: impl FnMut(&Error),
    ) -> Result<Self, Error> {
        options.request_timeout = ANSWER_TIMEOUT;
        options.pub_ack_timeout = ANSWER_TIMEOUT;
        let started = Instant::now();
        let may_pass =
            |error: &Error| error.kind() != ErrorKind::Permanent && started.elapsed() < retry_for;
        let attempts = (|| connect(&options)).retry(retry::every(CONNECT_PAUSE));
        let connection = attempts.when(may_pass).notify(|error, _| failed(error)).await?;
        let state = Mutex::new(State::Up(Arc::new(connection)));
        Ok(Self { options, channel: channel.to_owned(), state })
    }

    /// Sends a message; the outcome is that of the broker.
    pub(crate) async fn publish(
        &self,
        payload: Bytes,
    ) -> Result<impl Future<Output = Result<(), PublishError>> + use<'_>, PublishError> {
        let connection = self.connection().await?;
        match connection.publish_async(&self.channel, payload).await {
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
        match connect(&self.options).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                *state = State::Up(Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                let error = not_sent(error);
                *state = State::Down(Instant::now(), error.clone());
                Err(error)
            }
        }
    }

    /// Takes note that a message failed, in case that ends the connection it was sent by.
    async fn failed(&self, connection: &Arc<Connection>, error: &PublishError) {
        if error.kind() != ErrorKind::SessionFatal {
            return;
        }
        let mut state = self.state.lock().await;
        if matches!(&*state, State::Up(current) if Arc::ptr_eq(current, connection)) {
            *state = State::Down(Instant::now(), PublishError::Disconnected);
        }
    }

    /// Takes leave of the server, which otherwise finds out by itself.
    pub(crate) async fn close(self) {
        if let State::Up(connection) = self.state.into_inner()
            && let Err(error) = connection.close().await
        {
            let error = anyhow::Error::from(error);
            tracing::debug!(error = format!("{error:#}"), "Closing the connection failed");
        }
    }
}

/// Under a new name each time: the server may take the last one for alive yet.
async fn connect(options: &Options) -> Result<Connection, Error> {
    let mut options = options.clone();
    options.client_id = format!("waybill-publish-{:016x}", fastrand::u64(..));
    Connection::connect(options).await
}

/// Without a connection nothing was sent.
fn not_sent(error: Error) -> PublishError {
    match error {
        Error::NoResponders(_) => PublishError::NoResponders,
        Error::Refused { text, .. } => PublishError::Refused(text),
        _ => PublishError::Disconnected,
    }
}
