//! A temporary nats-server with JetStream on free ports, alone or as a member of a cluster.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::http;
use crate::port::Port;
use crate::process::{Process, Signal};
use crate::wait::eventually;
use crate::{reaper, tools};

const START: Duration = Duration::from_secs(30);

/// It says goodbye to its clients, moves its leaderships and syncs its store.
const STOP: Duration = Duration::from_mins(1);

/// How often another program may take a port between its choice and the start.
const ATTEMPTS: u32 = 3;

/// The names of the servers of a cluster.
const PEERS: [&str; 3] = ["a", "b", "c"];

/// What a server asks of its clients, and more settings.
#[derive(Debug, Clone, Default)]
pub struct NatsOptions {
    /// The user and the password that clients must give; none if none.
    pub login: Option<(String, String)>,
    /// How often streams are synced, as `sync_interval` has it; after each write if none.
    pub sync_interval: Option<String>,
    /// More settings, as the text of a configuration file.
    pub configuration: Option<String>,
}

/// A nats-server whose streams are files of its own; all of it is gone when this is dropped.
#[derive(Debug)]
pub struct NatsServer {
    process: Process,
    ports: Ports,
    dir: TempDir,
}

#[derive(Debug)]
struct Ports {
    client: Port,
    monitor: Port,
    cluster: Port,
}

/// The `nats-server` program that is used, for a test that runs it in a way of its own.
///
/// # Errors
///
/// When none of the right version is found.
pub fn executable() -> Result<PathBuf> {
    tools::nats()
}

impl Ports {
    fn lease() -> Result<Self> {
        Ok(Self { client: Port::lease()?, monitor: Port::lease()?, cluster: Port::lease()? })
    }
}

impl NatsServer {
    /// Starts one server.
    pub async fn start(options: NatsOptions) -> Result<Self> {
        let mut attempt = 1;
        loop {
            let ports = Ports::lease()?;
            let dir = new_dir()?;
            write_configuration(dir.path(), "alone", &options, &ports, &[])?;
            let mut process = spawn(dir.path())?;
            match process.ready(START, async |process| is_ready(process)).await {
                Ok(()) => return Ok(Self { process, ports, dir }),
                Err(_) if process.lost_its_port() && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.context("cannot start a temporary nats-server")),
            }
        }
    }

    /// Starts a cluster of three, which have elected who leads it.
    pub async fn start_cluster(options: NatsOptions) -> Result<Vec<Self>> {
        let ports = PEERS.map(|_| Ports::lease()).into_iter().collect::<Result<Vec<_>>>()?;
        let routes: Vec<u16> = ports.iter().map(|ports| ports.cluster.number).collect();
        let mut members = Vec::new();
        for (name, ports) in PEERS.into_iter().zip(ports) {
            let dir = new_dir()?;
            write_configuration(dir.path(), name, &options, &ports, &routes)?;
            members.push(Self { process: spawn(dir.path())?, ports, dir });
        }
        for member in &mut members {
            member.until_ready().await?;
        }
        for member in &members {
            member.until_healthy().await;
        }
        Ok(members)
    }

    async fn until_ready(&mut self) -> Result<()> {
        let ready = self.process.ready(START, async |process| is_ready(process)).await;
        ready.context("cannot start a temporary nats-server")
    }

    /// Waits until it knows the leader of its cluster and has caught up with it.
    ///
    /// # Panics
    ///
    /// When that takes longer than half a minute.
    pub async fn until_healthy(&self) {
        let healthy = async || {
            let answer = http::get(self.ports.monitor.number, "/healthz").await;
            answer.is_ok_and(|(status, _)| status == 200).then_some(())
        };
        eventually("a healthy nats-server", START, healthy).await;
    }

    /// Where clients connect; it stays the same across restarts.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port())
    }

    /// Where the monitor answers, for example under `/jsz`.
    #[must_use]
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.monitor.number)
    }

    /// The port for clients on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.client.number
    }

    /// Stops the server in the orderly way.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.stop(Signal::TERM, STOP).await.map(drop)
    }

    /// Kills the server at once.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Halts the server, or lets it go on.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Starts the stopped or killed server: same ports, same streams.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.status()?.is_some(), "the nats-server still runs");
        self.process = spawn(self.dir.path())?;
        self.until_ready().await
    }

    /// Removes all streams of the stopped server.
    pub fn wipe(&mut self) -> Result<()> {
        ensure!(self.process.status()?.is_some(), "the nats-server still runs");
        std::fs::remove_dir_all(self.store_directory())
            .context("cannot remove the nats-server's store")
    }

    /// Where its streams are.
    #[must_use]
    pub fn store_directory(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// What the server has logged since it was started last.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The process number of nats-server.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

fn new_dir() -> Result<TempDir> {
    let dir = tempfile::Builder::new().prefix("waybill-nats-").tempdir()?;
    reaper::remove_at_end(dir.path())?;
    Ok(dir)
}

fn spawn(dir: &Path) -> Result<Process> {
    let mut command = Command::new(tools::nats()?);
    command.current_dir(dir).arg("-c").arg(dir.join("nats.conf"));
    Process::spawn("nats-server", &command, &dir.join("nats.log"))
}

/// Clients may come; JetStream has read its store by then.
pub(crate) fn is_ready(process: &Process) -> bool {
    process.log().contains("Server is ready")
}

/// Each write is synced before it is confirmed.
pub(crate) const AT_ONCE: &str = "always";

/// The settings of a server whose streams are files in `store`, synced so often.
pub(crate) fn settings(name: &str, port: u16, store: &Path, sync_interval: &str) -> String {
    let store = store.to_string_lossy();
    [
        format!("server_name: {name}"),
        format!("listen: \"127.0.0.1:{port}\""),
        format!("jetstream {{ store_dir: {store:?}, sync_interval: {sync_interval} }}"),
    ]
    .join("\n")
}

/// `routes` are the ports on which the members of the cluster find each other; none = no cluster.
fn write_configuration(
    dir: &Path,
    name: &str,
    options: &NatsOptions,
    ports: &Ports,
    routes: &[u16],
) -> Result<()> {
    let Ports { client, monitor, cluster } = ports;
    let sync_interval = options.sync_interval.as_deref().unwrap_or(AT_ONCE);
    let mut lines = vec![
        settings(name, client.number, &dir.join("store"), sync_interval),
        format!("http: \"127.0.0.1:{}\"", monitor.number),
    ];
    if let Some((user, password)) = &options.login {
        lines.push(format!("authorization {{ user: {user:?}, password: {password:?} }}"));
    }
    if !routes.is_empty() {
        let routes: Vec<String> =
            routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
        let (port, routes) = (cluster.number, routes.join(", "));
        // Clients are told of no other server, which they might reach past a proxy.
        lines.push(format!(
            "cluster {{ name: waybill, listen: \"127.0.0.1:{port}\", routes: [{routes}], \
             no_advertise: true }}"
        ));
    }
    lines.extend(options.configuration.clone());
    std::fs::write(dir.join("nats.conf"), lines.join("\n"))
        .context("cannot write the configuration")
}
