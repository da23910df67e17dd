//! Servers, replicas, and everything that watches them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sqlx::postgres::PgPool;
use tempfile::TempDir;
use testbed::{Broker, Database, Postgres, Proxy};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::bridge::Bridge;
use crate::disk::Disk;
use crate::ledger::Ledger;
use crate::load::Storm;
use crate::origin::Sources;
use crate::power::{Disks, Mutant};
use crate::replica::Replica;
use crate::streams::Streams;

mod begin;

/// The channel that orders come through.
pub(crate) const CHANNEL: &str = "orders";

/// The stream that orders come through, the subject of its messages, and the service's consumer.
pub(crate) const STREAM: &str = "ORDERS";
pub(crate) const SUBJECT: &str = "orders";
pub(crate) const CONSUMER: &str = "waybill";

const BROKER_URL: &str = "WAYBILL_BROKER__URL";

/// What the broker calls the service's group.
const GROUP: &str = "waybill:waybill";

/// How long it may take to recover from a fault, also while others follow, and until the group has
/// acknowledged everything.
const PATIENCE: Duration = Duration::from_mins(2);

/// The same where something does not sync: what it has lost does not come back.
const MUTANT_PATIENCE: Duration = Duration::from_secs(15);

/// How long the watchers may take to end.
const END: Duration = Duration::from_secs(20);

/// What a world is made of.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a part of its own")]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    /// Messages a second.
    pub(crate) rate: f64,
    pub(crate) replicas: usize,
    /// What they read.
    pub(crate) sources: Sources,
    /// Of the stream: one or three.
    pub(crate) stream_servers: usize,
    /// Whether replicas have a second address of Postgres, which leads to a new primary.
    pub(crate) several_addresses: bool,
    /// The service.
    pub(crate) binary: PathBuf,
    /// Whether the tables lie on a small disk of their own, which needs root.
    pub(crate) with_disk: bool,
    /// Whether the stream does.
    pub(crate) with_stream_disk: bool,
    /// Whether the replicas go by wall clocks that can be set, which needs libfaketime.
    pub(crate) with_clocks: bool,
    /// Whether all servers lie on disks whose power can be cut, which needs root.
    pub(crate) power: bool,
    /// Which of them does not sync as it must.
    pub(crate) mutant: Option<Mutant>,
}

pub(crate) struct World {
    /// Of all servers, in worlds whose power is cut. Unmounted before their directories are removed.
    pub(crate) disks: Option<Disks>,
    /// Of the channel, where it is read.
    pub(crate) broker: Option<Mutex<Broker>>,
    /// The servers of the stream, where it is read.
    pub(crate) streams: Option<Streams>,
    /// Where both are.
    pub(crate) bridge: Option<Bridge>,
    pub(crate) postgres: Mutex<Postgres>,
    pub(crate) database: Database,
    /// To Postgres past the faulty links, as the superuser: it finds a connection when others do
    /// not.
    pub(crate) sql: PgPool,
    pub(crate) sql_link: Mutex<Proxy>,
    pub(crate) replicas: Vec<Arc<Replica>>,
    pub(crate) sources: Sources,
    /// How long a recovery may take, and the last acknowledgement.
    pub(crate) patience: Duration,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) storms: mpsc::UnboundedSender<Storm>,
    /// Past the links of the replicas.
    direct: Vec<(&'static str, String)>,
    /// Where the tables are; none without root.
    pub(crate) disk: Mutex<Option<Disk>>,
    load: CancellationToken,
    watch: CancellationToken,
    loads: JoinSet<Result<()>>,
    watchers: JoinSet<Result<()>>,
    oracles: JoinSet<()>,
    dir: TempDir,
}

impl World {
    /// A command of the service that reaches the servers of messages past the links of the
    /// replicas, as an operator would. The database is still behind one.
    pub(crate) fn command(&self, subcommand: &str) -> Command {
        let mut command = self.replicas[0].command(subcommand);
        command.envs(self.direct.iter().map(|(key, value)| (key, value)));
        command
    }

    /// Starts every replica and waits until they are ready.
    pub(crate) async fn start_replicas(&self) -> Result<()> {
        for replica in &self.replicas {
            replica.start(&mut *replica.process.lock().await).await?;
        }
        for replica in &self.replicas {
            replica.until_ready(Duration::from_mins(1)).await?;
        }
        Ok(())
    }

    /// Ends the publishers and readers; every publish has its outcome then.
    pub(crate) async fn end_load(&mut self) -> Result<()> {
        self.load.cancel();
        end(&mut self.loads).await
    }

    pub(crate) fn broker_url(&self) -> Result<&str> {
        let url = self.direct.iter().find(|(key, _)| *key == BROKER_URL);
        url.map(|(_, url)| url.as_str()).context("no broker")
    }

    /// Messages not sent to the group yet, and messages it has not acknowledged, of both origins.
    pub(crate) async fn lag(&self) -> Option<(u64, u64)> {
        let (mut undelivered, mut unacked) = (0, 0);
        if let Some(broker) = &self.broker {
            let channel = broker.lock().await.channel(CHANNEL).await.ok()?;
            let members: Vec<_> =
                channel.subscriptions.iter().filter(|member| member.queue_name == GROUP).collect();
            let sent = members.iter().map(|member| member.last_sent).max()?;
            undelivered += channel.last_seq.saturating_sub(sent);
            unacked += members.iter().map(|member| member.pending_count).sum::<u64>();
        }
        if let Some(streams) = &self.streams {
            let (pending, ack_pending) = streams.lag().await?;
            undelivered += pending;
            unacked += ack_pending;
        }
        Some((undelivered, unacked))
    }

    /// How many messages there are, by the servers' own count.
    pub(crate) async fn count_messages(&self) -> Result<u64> {
        let mut count = 0;
        if let Some(broker) = &self.broker {
            count += broker.lock().await.channel(CHANNEL).await?.last_seq;
        }
        if let Some(streams) = &self.streams {
            count += streams.last_sequence(STREAM).await?;
        }
        Ok(count)
    }

    /// Writes down what Postgres has said of deadlocks since it was started last.
    pub(crate) fn note_deadlocks(&self, postgres: &Postgres) {
        let deadlocks = postgres.log().matches("deadlock detected").count();
        for _ in 0..deadlocks {
            self.ledger.violation("deadlocks", "Postgres ended a transaction".to_owned());
        }
    }

    /// Stops everything; a folder with logs is kept and named if `keep`.
    pub(crate) async fn end(mut self, keep: bool) -> Result<Option<PathBuf>> {
        self.load.cancel();
        self.watch.cancel();
        end(&mut self.watchers).await?;
        for replica in &self.replicas {
            replica.kill(&mut *replica.process.lock().await)?;
        }
        self.oracles.shutdown().await;
        self.note_deadlocks(&*self.postgres.lock().await);
        if !keep {
            return Ok(None);
        }
        let dir = self.dir.keep();
        std::fs::write(dir.join("postgres.log"), self.postgres.lock().await.log())?;
        if let Some(broker) = &self.broker {
            std::fs::write(dir.join("broker.log"), broker.lock().await.log())?;
        }
        if let Some(streams) = &self.streams {
            for (number, server) in streams.servers.lock().await.iter().enumerate() {
                std::fs::write(dir.join(format!("nats-{number}.log")), server.log())?;
            }
        }
        Ok(Some(dir))
    }
}

async fn end(tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    };
    tokio::time::timeout(END, all).await.context("a watcher did not end")?
}
