//! What the servers of a stream of JetStream tell of it.

use std::time::Duration;

use jetstream::{AccountInfo, Connection, ConsumerInfo, Error, Stream, StreamInfo};
use tokio::time::timeout;

use super::server_monitor::ServerMonitor;
use crate::config::JetStream;
use crate::metrics::StoreUse;

/// Asks the servers of the settings how the stream and its consumer are.
#[derive(Debug)]
pub struct StreamServers {
    options: jetstream::Options,
    stream: String,
    consumer: String,
    monitor: Option<ServerMonitor>,
    connection: Option<Connection>,
}

/// What came of one look.
#[derive(Debug)]
pub struct Told {
    /// None if there is no such stream.
    pub stream: Option<StreamInfo>,
    /// None if there is no such consumer.
    pub group: Option<ConsumerInfo>,
    /// None where nothing limits what is stored, or the limit is not known.
    pub store: Option<StoreUse>,
}

/// Why nothing was told.
#[derive(Debug)]
pub struct Untold {
    /// What came of the attempt.
    pub why: String,
    /// Whether a server is there and says so.
    pub has_no_leader: bool,
}

impl StreamServers {
    /// None when the settings name no servers. `client_id` is the name of the replica.
    ///
    /// # Errors
    /// A credentials file that cannot be read or holds none.
    pub fn new(settings: &JetStream, client_id: &str) -> anyhow::Result<Option<Self>> {
        let options = super::stream_options(settings, &format!("{client_id}-watch"))?;
        Ok(options.map(|options| Self {
            options,
            stream: settings.stream.clone(),
            consumer: settings.consumer.clone(),
            monitor: ServerMonitor::new(settings),
            connection: None,
        }))
    }

    /// How the stream is, told within this time.
    ///
    /// # Errors
    /// Why nothing was told.
    pub async fn ask(&mut self, within: Duration) -> Result<Told, Untold> {
        let told = timeout(within, self.tell()).await;
        let told = told.unwrap_or_else(|_| {
            Err(Untold { why: "no answer in time".to_owned(), has_no_leader: false })
        });
        // One that was lost is dialled anew by the next look.
        self.connection.take_if(|connection| !connection.is_connected());
        told
    }

    async fn tell(&mut self) -> Result<Told, Untold> {
        let connection = self.connection().await?;
        let stream = connection.stream(&self.stream)?;
        let (told, account, server) =
            tokio::join!(self.of_stream(&stream), connection.account_info(), self.server_store());
        let (stream, group) = told?;
        let limits = [
            server,
            account.ok().as_ref().and_then(of_account),
            stream.as_ref().and_then(of_limit),
        ];
        Ok(Told { stream, group, store: fullest(limits) })
    }

    async fn connection(&mut self) -> Result<Connection, Untold> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let connection = Connection::connect(self.options.clone()).await?;
        Ok(self.connection.insert(connection).clone())
    }

    /// First the stream: what its consumer was sent in between is not taken for lost.
    async fn of_stream(
        &self,
        stream: &Stream,
    ) -> Result<(Option<StreamInfo>, Option<ConsumerInfo>), Error> {
        let Some(info) = if_there(stream.info().await)? else { return Ok((None, None)) };
        let group = if_there(stream.consumer_info(&self.consumer).await)?;
        Ok((Some(info), group))
    }

    /// Without it the other limits count: it is no part of what must be known.
    async fn server_store(&self) -> Option<StoreUse> {
        self.monitor.as_ref()?.store().await.ok()?
    }
}

impl From<Error> for Untold {
    fn from(error: Error) -> Self {
        let has_no_leader = error.has_no_leader();
        Self { why: format!("{:#}", anyhow::Error::from(error)), has_no_leader }
    }
}

fn if_there<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Err(error) if error.is_not_found() => Ok(None),
        answer => answer.map(Some),
    }
}

fn of_account(account: &AccountInfo) -> Option<StoreUse> {
    account.max_storage.map(|limit| StoreUse { bytes: account.storage, limit })
}

fn of_limit(stream: &StreamInfo) -> Option<StoreUse> {
    stream.max_bytes.map(|limit| StoreUse { bytes: stream.bytes, limit })
}

/// That of which most is used: it is the one that will refuse.
fn fullest(limits: [Option<StoreUse>; 3]) -> Option<StoreUse> {
    limits.into_iter().flatten().reduce(|a, b| if b.is_fuller_than(&a) { b } else { a })
}
