//! A throw-away nats-streaming-server on free ports.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::port::Port;
use crate::process::{Process, Signal};
use crate::{reaper, tools};

mod monitor;

pub use monitor::{ChannelState, ClientState, SubscriptionState};

/// The cluster id of every broker that is its own NATS server.
pub const CLUSTER_ID: &str = "waybill";

/// The cluster id of a broker on the NATS server of another one.
pub const GUEST_CLUSTER_ID: &str = "waybill-guest";

const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(30);

/// How often another program may take a port between its choice and the start.
const ATTEMPTS: u32 = 3;

/// How a broker keeps its messages and watches its clients.
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    /// Whether messages survive a restart: the file store, else the memory store.
    pub keeps_messages: bool,
    /// How many messages a channel holds before the oldest are deleted; 0 is no limit.
    pub max_messages: u32,
    /// How often each client is asked whether it lives.
    pub heartbeat_interval: Duration,
    /// How long an answer may take.
    pub heartbeat_timeout: Duration,
    /// After how many missing answers a client is taken for dead.
    pub heartbeat_fail_count: u32,
}

impl Default for BrokerOptions {
    /// The file store, and a dead client noticed within three seconds.
    fn default() -> Self {
        Self {
            keeps_messages: true,
            max_messages: 0,
            heartbeat_interval: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_millis(500),
            heartbeat_fail_count: 2,
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
    /// The port of the NATS server it is a guest of.
    host: Option<u16>,
    dir: TempDir,
}

impl Broker {
    /// Starts a fresh broker; unless the options say so, it keeps everything.
    pub async fn start(options: BrokerOptions) -> Result<Self> {
        Self::start_somewhere(None, options).await
    }

    /// Starts one under [`GUEST_CLUSTER_ID`] on the NATS server of another, so that it can stop
    /// and start while NATS stays.
    pub async fn start_on(host: &Self, options: BrokerOptions) -> Result<Self> {
        Self::start_somewhere(Some(host.port()), options).await
    }

    async fn start_somewhere(host: Option<u16>, options: BrokerOptions) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("waybill-broker-").tempdir()?;
        reaper::remove_at_end(dir.path())?;
        let mut attempt = 1;
        loop {
            let (port, monitor_port) = (Port::lease()?, Port::lease()?);
            let mut process = spawn(&options, host, &port, &monitor_port, dir.path())?;
            match ready(&mut process).await {
                Ok(()) => {
                    return Ok(Self { process, options, port, monitor_port, host, dir });
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
        self.host.unwrap_or(self.port.number)
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
        ensure!(self.process.status()?.is_some(), "the broker still runs");
        let (port, monitor_port) = (&self.port, &self.monitor_port);
        self.process = spawn(&self.options, self.host, port, monitor_port, self.dir.path())?;
        ready(&mut self.process).await
    }

    /// Removes everything the stopped broker has stored.
    pub fn wipe(&mut self) -> Result<()> {
        ensure!(self.process.status()?.is_some(), "the broker still runs");
        std::fs::remove_dir_all(store(self.dir.path())).context("cannot remove the broker's store")
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

    /// The broker's process number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

/// The server on 127.0.0.1, with no other limits on what it keeps than those of `options`.
pub(crate) fn server(
    program: &Path,
    (port, monitor_port): (u16, u16),
    store: &Path,
    options: &BrokerOptions,
) -> Command {
    let mut server = Command::new(program);
    server.args(["-cid", CLUSTER_ID, "-a", "127.0.0.1"]);
    server.args(["-p", &port.to_string(), "-m", &monitor_port.to_string()]);
    if options.keeps_messages {
        server.args(["-store", "file", "-dir"]).arg(store);
    } else {
        server.args(["-store", "memory"]);
    }
    server.args(["-mc", "0", "-msu", "0", "-mb", "0"]);
    server.args(["-mm", &options.max_messages.to_string()]);
    let milliseconds = |time: Duration| format!("{}ms", time.as_millis());
    server.args(["-hbi", &milliseconds(options.heartbeat_interval)]);
    server.args(["-hbt", &milliseconds(options.heartbeat_timeout)]);
    server.args(["-hbf", &options.heartbeat_fail_count.to_string()]);
    server
}

/// The monitor answers before the store is read; only the log tells when clients may come.
pub(crate) fn is_ready(process: &Process) -> bool {
    process.log().contains("Streaming Server is ready")
}

fn spawn(
    options: &BrokerOptions,
    host: Option<u16>,
    port: &Port,
    monitor_port: &Port,
    dir: &Path,
) -> Result<Process> {
    let ports = (port.number, monitor_port.number);
    let mut command = server(&tools::broker()?, ports, &store(dir), options);
    command.current_dir(dir).arg("--file_sync=false");
    if let Some(host) = host {
        // The later of two cluster ids counts.
        command.args(["-cid", GUEST_CLUSTER_ID, "-ns", &format!("nats://127.0.0.1:{host}")]);
    }
    Process::spawn("nats-streaming-server", &command, &dir.join("broker.log"))
}

async fn ready(process: &mut Process) -> Result<()> {
    let ready = process.ready(START, async |process: &Process| is_ready(process)).await;
    ready.context("cannot start a throw-away broker")
}

fn store(dir: &Path) -> PathBuf {
    dir.join("store")
}
