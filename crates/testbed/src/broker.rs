//! A temporary nats-streaming-server on free ports.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::port::Port;
use crate::process::{Process, Signal};
use crate::tools;

mod monitor;
mod program;

pub use monitor::{ChannelState, ClientState, SubscriptionState};
use program::{Guest, PEERS, Role, leads, new_dir, ready, spawn, store};
pub(crate) use program::{is_ready, server};

/// The cluster id of every broker that is its own NATS server.
pub const CLUSTER_ID: &str = "waybill";

/// The cluster id of a broker on the NATS server of another one.
pub const GUEST_CLUSTER_ID: &str = "waybill-guest";

/// The nats-streaming-server program.
///
/// # Errors
///
/// When none of the right version is found.
pub fn executable() -> Result<PathBuf> {
    tools::broker()
}

const STOP: Duration = Duration::from_secs(30);

/// How often another program may take a port between its choice and the start.
const ATTEMPTS: u32 = 3;

/// How a broker keeps its messages and watches its clients.
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    /// Whether messages survive a restart: the file store, else the memory store.
    pub keeps_messages: bool,
    /// Whether it has synced a message before it confirms it, as it does by default.
    pub syncs: bool,
    /// How often each client is asked whether it lives.
    pub heartbeat_interval: Duration,
    /// How long an answer may take.
    pub heartbeat_timeout: Duration,
    /// After how many missing answers a client is taken for dead.
    pub heartbeat_fail_count: u32,
    /// How many messages a channel keeps, the newest; all of them if none.
    pub max_messages: Option<u64>,
    /// More settings, as the text of a configuration file.
    pub configuration: Option<String>,
    /// After how long without subscribers and messages a channel is deleted; never if none.
    pub max_inactivity: Option<Duration>,
}

impl Default for BrokerOptions {
    /// The file store, without syncs, and a dead client noticed within three seconds.
    fn default() -> Self {
        Self {
            keeps_messages: true,
            syncs: false,
            heartbeat_interval: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_millis(500),
            heartbeat_fail_count: 2,
            max_messages: None,
            configuration: None,
            max_inactivity: None,
        }
    }
}

/// A nats-streaming-server with a store of its own, both gone when this is dropped.
#[derive(Debug)]
pub struct Broker {
    process: Process,
    options: BrokerOptions,
    port: Port,
    monitor_port: Port,
    guest: Option<Guest>,
    dir: Arc<TempDir>,
}

impl Broker {
    /// Starts a fresh broker, with no limits on what it keeps but those in the options.
    pub async fn start(options: BrokerOptions) -> Result<Self> {
        Self::start_somewhere(None, options, Arc::new(new_dir()?)).await
    }

    /// Starts one under [`GUEST_CLUSTER_ID`] on the NATS server of another, so that it can stop
    /// and start while NATS stays.
    pub async fn start_on(host: &Self, options: BrokerOptions) -> Result<Self> {
        let guest = Guest { host: host.port(), role: Role::Alone };
        Self::start_somewhere(Some(guest), options, Arc::new(new_dir()?)).await
    }

    /// Starts two as [`Broker::start_on`] does, with one store: the first serves, and the second
    /// takes over when that is gone.
    pub async fn start_pair_on(host: &Self, options: BrokerOptions) -> Result<(Self, Self)> {
        let guest = Some(Guest { host: host.port(), role: Role::OfPair });
        let dir = Arc::new(new_dir()?);
        let mut first = Self::start_somewhere(guest, options.clone(), Arc::clone(&dir)).await?;
        first.until_active().await?;
        let second = Self::start_somewhere(guest, options, dir).await?;
        Ok((first, second))
    }

    /// Starts three as [`Broker::start_on`] does, each with a store of its own, which elect the
    /// leader that serves.
    pub async fn start_cluster_on(host: &Self, options: BrokerOptions) -> Result<Vec<Self>> {
        let mut members = Vec::new();
        for name in PEERS {
            let guest = Guest { host: host.port(), role: Role::OfCluster(name) };
            let dir = Arc::new(new_dir()?);
            members.push(Self::start_somewhere(Some(guest), options.clone(), dir).await?);
        }
        Ok(members)
    }

    /// Whether it leads its cluster, as far as it knows.
    #[must_use]
    pub fn leads(&self) -> bool {
        leads(&self.process)
    }

    /// Waits until the broker serves; one of a pair that is started stands by at first.
    pub async fn until_active(&mut self) -> Result<()> {
        ready(&mut self.process, None).await
    }

    async fn start_somewhere(
        guest: Option<Guest>,
        options: BrokerOptions,
        dir: Arc<TempDir>,
    ) -> Result<Self> {
        let mut attempt = 1;
        loop {
            let (port, monitor_port) = (Port::lease()?, Port::lease()?);
            let mut process = spawn(&options, guest, &port, &monitor_port, dir.path(), &[])?;
            match ready(&mut process, guest).await {
                Ok(()) => {
                    return Ok(Self { process, options, port, monitor_port, guest, dir });
                }
                Err(_) if process.lost_its_port() && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Where clients connect; it stays the same across restarts.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port())
    }

    /// Where the monitor answers, for example under `/streaming/channelsz`.
    #[must_use]
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor_port.number)
    }

    /// The port for clients on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.guest.map_or(self.port.number, |guest| guest.host)
    }

    /// Stops the broker in the orderly way; it does not say goodbye to its clients.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.stop(Signal::TERM, STOP).await.map(drop)
    }

    /// Kills the broker at once.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts the stopped or killed broker: same ports, same store.
    pub async fn start_again(&mut self) -> Result<()> {
        self.start_with(&[]).await
    }

    /// Has the stopped broker cut off what it had not written whole when its power was cut: it is
    /// started once with the option that does it, and stopped.
    pub async fn truncate_bad_ends(&mut self) -> Result<()> {
        self.start_with(&["--file_truncate_bad_eof"]).await?;
        self.stop().await
    }

    async fn start_with(&mut self, more: &[&str]) -> Result<()> {
        ensure!(self.process.status()?.is_some(), "the broker still runs");
        let Self { options, guest, port, monitor_port, dir, .. } = &*self;
        self.process = spawn(options, *guest, port, monitor_port, dir.path(), more)?;
        ready(&mut self.process, self.guest).await
    }

    /// Removes everything the stopped broker has stored.
    pub fn wipe(&mut self) -> Result<()> {
        ensure!(self.process.status()?.is_some(), "the broker still runs");
        std::fs::remove_dir_all(self.store_directory()).context("cannot remove the broker's store")
    }

    /// Where its messages are.
    #[must_use]
    pub fn store_directory(&self) -> PathBuf {
        store(self.dir.path())
    }

    /// Removes what the stopped broker knows of the subscriptions of a channel, but not its
    /// messages: what operators do when that file is damaged.
    pub fn forget_subscriptions(&mut self, channel: &str) -> Result<()> {
        ensure!(self.process.status()?.is_some(), "the broker still runs");
        let file = store(self.dir.path()).join(channel).join("subs.dat");
        std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))
    }

    /// The state of a channel and its subscriptions; an unknown channel is an empty one.
    pub async fn channel(&self, name: &str) -> Result<ChannelState> {
        monitor::channel(self.monitor_port.number, name).await
    }

    /// The clients the broker takes for alive.
    pub async fn clients(&self) -> Result<Vec<ClientState>> {
        monitor::clients(self.monitor_port.number).await
    }

    /// What the broker has logged since it was started last.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The process number of nats-streaming-server.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}
