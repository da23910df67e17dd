//! The servers of the stream, and what is asked of them past the faulty links.

use std::time::Duration;

use anyhow::{Context as _, Result};
use jetstream::{Connection, ConsumerOptions, Options, async_nats};
use serde_json::Value;
use testbed::{NatsOptions, NatsServer};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use crate::disk::Disk;
use crate::power::Mutant;
use crate::world::{CONSUMER, STREAM, SUBJECT, Settings};

/// The names of the servers of a cluster, in their order.
const NAMES: [&str; 3] = ["a", "b", "c"];

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// One nats-server, or a cluster of three.
pub(crate) struct Streams {
    /// Where the store of a single server is; none without root. Unmounted before the server's
    /// directory is removed.
    pub(crate) disk: Option<Disk>,
    pub(crate) servers: Mutex<Vec<NatsServer>>,
    /// Of all servers, past the links of the replicas.
    pub(crate) urls: String,
    pub(crate) ports: Vec<u16>,
    connection: Connection,
}

impl Streams {
    /// So many servers, with the stream, as the settings have it.
    pub(crate) async fn start(settings: &Settings) -> Result<Self> {
        let mut disk = None;
        // By default it syncs every two minutes.
        let rarely = settings.mutant == Some(Mutant::SyncIntervalDefault);
        let sync_interval = rarely.then(|| "2m".to_owned());
        let nats = NatsOptions { sync_interval, ..NatsOptions::default() };
        let servers = if settings.stream_servers == 1 {
            let mut server = NatsServer::start(nats).await?;
            if settings.with_stream_disk {
                server.stop().await?;
                server.wipe()?;
                disk = Some(Disk::mount(server.store_directory())?);
                server.start_again().await?;
            }
            vec![server]
        } else {
            NatsServer::start_cluster(nats).await?
        };
        let urls: Vec<String> = servers.iter().map(NatsServer::url).collect();
        let urls = urls.join(",");
        let connection = Connection::connect(options(&urls, "chaos")).await?;
        let mut consumer = ConsumerOptions::new(STREAM, SUBJECT, CONSUMER);
        consumer.replicas = servers.len();
        connection.ensure_stream(&stream_of(&consumer)).await?;
        let ports = servers.iter().map(NatsServer::port).collect();
        Ok(Self { disk, servers: Mutex::new(servers), urls, ports, connection })
    }

    pub(crate) fn stream(&self, name: &str) -> Result<jetstream::Stream> {
        Ok(self.connection.stream(name)?)
    }

    /// Messages not delivered to the group yet, and messages it has not acknowledged.
    pub(crate) async fn lag(&self) -> Option<(u64, u64)> {
        let stream = self.stream(STREAM).ok()?;
        let info = timeout(PATIENCE, stream.consumer_info(CONSUMER)).await.ok()?.ok()?;
        Some((info.num_pending, info.num_ack_pending))
    }

    pub(crate) async fn last_sequence(&self, stream: &str) -> Result<u64> {
        let stream = self.stream(stream)?;
        Ok(timeout(PATIENCE, stream.info()).await??.last_sequence)
    }

    /// Which of the servers leads the stream, if one does.
    pub(crate) async fn leader(&self) -> Result<Option<usize>> {
        let info = self.request(&format!("STREAM.INFO.{STREAM}")).await?;
        let leader = info["cluster"]["leader"].as_str();
        Ok(NAMES.iter().position(|name| Some(*name) == leader))
    }

    /// Asks something of the API that the client has no use for itself.
    pub(crate) async fn request(&self, operation: &str) -> Result<Value> {
        request(&self.urls, operation).await
    }
}

async fn request(urls: &str, operation: &str) -> Result<Value> {
    let servers: Vec<&str> = urls.split(',').collect();
    let client = async_nats::connect(servers).await?;
    let asking = client.request(format!("$JS.API.{operation}"), "".into());
    let answer = timeout(PATIENCE, asking).await.context("no answer in time")??;
    Ok(serde_json::from_slice(&answer.payload)?)
}

/// Deletes a consumer of the stream, as soon as the servers can.
pub(crate) async fn delete_consumer(urls: &str, name: &str) {
    let is_gone = |answer: Value| answer["success"] == true || answer["error"]["code"] == 404;
    let operation = format!("CONSUMER.DELETE.{STREAM}.{name}");
    while !request(urls, &operation).await.is_ok_and(is_gone) {
        sleep(PATIENCE).await;
    }
}

/// How we are connected, past the links of the replicas.
pub(crate) fn options(urls: &str, name: &str) -> Options {
    let mut options = Options::new(urls, name);
    options.request_timeout = Duration::from_secs(1);
    options.ping_interval = Duration::from_secs(1);
    options
}

fn stream_of(consumer: &ConsumerOptions) -> jetstream::StreamOptions {
    let mut stream = jetstream::StreamOptions::new(&consumer.stream, &[&consumer.subject]);
    stream.replicas = consumer.replicas;
    stream
}
