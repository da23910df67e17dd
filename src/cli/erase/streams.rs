//! The messages of erased orders, deleted from their streams.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use backon::Retryable as _;
use futures_util::FutureExt as _;
use jetstream::{Connection, Error, ErrorKind, Options};
use serde::Serialize;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::broker;
use crate::cli::progress::counted;
use crate::config::JetStream;
use crate::retry;
use crate::signals::Signals;
use crate::store::StreamMessage;

/// Time between two attempts while the server is away.
const PAUSE: Duration = Duration::from_millis(500);

/// The streams on the servers of `jetstream.url`.
pub(super) struct Streams<'a> {
    /// None where the settings name no server.
    options: Option<Options>,
    connection: OnceCell<Connection>,
    /// How long the server may be away.
    patience: Duration,
    signals: &'a Signals,
}

/// What became of the messages, as `--output json` tells it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Deletion {
    messages_deleted: u64,
    messages_left: Vec<Left>,
}

/// A message that may still be in its stream.
#[derive(Debug, Serialize)]
struct Left {
    stream: String,
    sequence: u64,
    error: String,
}

impl<'a> Streams<'a> {
    /// Nothing is connected to before there is something to delete.
    ///
    /// # Errors
    /// A credentials file that cannot be read or holds none.
    pub(super) fn new(
        settings: &JetStream,
        patience: Duration,
        signals: &'a Signals,
    ) -> anyhow::Result<Self> {
        let options = broker::stream_options(settings, "waybill-erase")?;
        Ok(Self { options, connection: OnceCell::new(), patience, signals })
    }

    /// Deletes messages, and tries again while the server is away. An interruption ends the
    /// trying: where the messages are is told here and nowhere else, as their rows are gone.
    pub(super) async fn delete(&self, messages: &[StreamMessage], deletion: &mut Deletion) {
        let until = Instant::now() + self.patience;
        let may_pass =
            |error: &Error| error.kind() == ErrorKind::Retryable && Instant::now() < until;
        for message in messages {
            let attempt = || self.attempt(message);
            let deleted = tokio::select! {
                deleted = attempt.retry(retry::every(PAUSE)).when(may_pass) => {
                    deleted.map_err(|error| format!("{:#}", anyhow::Error::new(error)))
                }
                _ = self.signals.first() => Err("interrupted".to_owned()),
            };
            match deleted {
                Ok(()) => deletion.messages_deleted += 1,
                Err(error) => deletion.messages_left.push(Left {
                    stream: message.stream.clone(),
                    sequence: message.sequence,
                    error,
                }),
            }
        }
    }

    /// Failure, or that of the interruption, if a message may be left.
    pub(super) fn exit_code(&self, deletion: &Deletion) -> ExitCode {
        match self.signals.first().now_or_never() {
            _ if deletion.messages_left.is_empty() => ExitCode::SUCCESS,
            Some(signal) => ExitCode::from(signal.exit_code()),
            None => ExitCode::FAILURE,
        }
    }

    /// Deletes a message, which need not be there any more.
    async fn attempt(&self, message: &StreamMessage) -> Result<(), Error> {
        let connect = || async {
            let unset = || Error::InvalidOption("`jetstream.url` is not set".to_owned());
            Box::pin(Connection::connect(self.options.clone().ok_or_else(unset)?)).await
        };
        let connection = self.connection.get_or_try_init(connect).await?;
        connection.stream(&message.stream)?.delete(message.sequence).await.map(drop)
    }
}

impl Deletion {
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        if self.messages_deleted > 0 {
            let deleted = counted(self.messages_deleted, "message", "messages");
            writeln!(out, "{deleted} deleted from streams")?;
        }
        for Left { stream, sequence, error } in &self.messages_left {
            writeln!(out, "NOT deleted: message {sequence} of stream {stream}: {error}")?;
        }
        Ok(())
    }
}
