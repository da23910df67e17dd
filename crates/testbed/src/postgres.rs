//! A temporary Postgres on a free port.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::port::Port;
use crate::process::{Process, Signal};
use crate::{reaper, secret};

pub(crate) mod cluster;
pub(crate) mod database;
pub(crate) mod psql;
mod standby;

use cluster::Cluster;
pub use database::Database;
use database::Passwords;

/// How long a start may take, recovery after a crash included.
const START: Duration = Duration::from_mins(1);
const STOP: Duration = Duration::from_secs(30);

/// How often another program may take the port between its choice and the start.
const ATTEMPTS: u32 = 3;

/// For data that nobody will miss after a crash of the machine.
const THROW_AWAY: [(&str, &str); 5] = [
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("max_connections", "200"),
    ("shared_buffers", "32MB"),
    // Not in /dev/shm, where a killed server would leave it for ever.
    ("dynamic_shared_memory_type", "mmap"),
];

/// A Postgres server with a data directory of its own, both gone when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    cluster: Cluster,
    settings: Vec<(String, String)>,
    port: Port,
    password: String,
    databases: AtomicU32,
    standbys: AtomicU32,
    dir: TempDir,
}

impl Postgres {
    /// Starts a server with an empty data directory.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts a fresh server with settings laid over those for temporary data, for example
    /// `("fsync", "on")`.
    pub async fn start_with(settings: &[(&str, &str)]) -> Result<Self> {
        let (cluster, dir) = temporary()?;
        let password = secret::random()?;
        cluster.create(&password, &["--no-sync"]).await?;
        let settings: Vec<_> = THROW_AWAY
            .iter()
            .chain(settings)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self::serve(cluster, settings, password, dir).await
    }

    /// Serves a new data directory on a free port.
    async fn serve(
        cluster: Cluster,
        settings: Vec<(String, String)>,
        password: String,
        dir: TempDir,
    ) -> Result<Self> {
        let mut attempt = 1;
        let (process, port) = loop {
            let port = Port::lease()?;
            let mut process = spawn(&cluster, &settings, &port, dir.path())?;
            match ready(&mut process, &cluster).await {
                Ok(()) => break (process, port),
                Err(_) if process.lost_its_port() && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        };
        let (databases, standbys) = (AtomicU32::new(0), AtomicU32::new(0));
        Ok(Self { process, cluster, settings, port, password, databases, standbys, dir })
    }

    /// The one server of this test process, for tests that do not stop it.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Makes a fresh database with an owner role and a runtime role of its own.
    pub async fn database(&self) -> Result<Database> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("db_{number}");
        let passwords = Passwords { runtime: secret::random()?, owner: secret::random()? };
        self.psql(&self.superuser_url(), &database::creation(&name, &passwords)).await?;
        Ok(Database::new(&name, self.port(), &passwords))
    }

    /// The superuser's login, to the database `postgres`.
    #[must_use]
    pub fn superuser_url(&self) -> String {
        cluster::superuser_url(&self.password, self.port())
    }

    /// The directory of its programs, `psql` and `pg_dump` among them.
    #[must_use]
    pub fn bin(&self) -> &Path {
        self.cluster.bin()
    }

    /// The data directory of the server.
    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The port on 127.0.0.1; it stays the same across restarts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// Runs SQL; answers the rows, unaligned, one a line, fields separated by `|`.
    ///
    /// # Errors
    ///
    /// When a statement fails; the ones before it are committed.
    pub async fn psql(&self, url: &str, sql: &str) -> Result<String> {
        psql::run(self.cluster.bin(), url, sql).await
    }

    /// Stops the server as an administrator does: it ends its sessions and writes a checkpoint.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.stop(Signal::INT, STOP).await.map(drop)
    }

    /// Kills the server and its sessions at once, as the end of its container does.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts the stopped or killed server: same port, same data.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.status()?.is_some(), "postgres still runs");
        self.process = spawn(&self.cluster, &self.settings, &self.port, self.dir.path())?;
        ready(&mut self.process, &self.cluster).await
    }

    /// What the server has logged since it was started last.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The number of the server's main process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Postgres {
    /// A server that is asked, even urgently, takes its shared memory with it; one that was
    /// killed leaves that to us.
    fn drop(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(3);
        let _ = self.process.signal(Signal::QUIT);
        let end = Instant::now() + PATIENCE;
        while matches!(self.process.status(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.process.kill();
        self.cluster.remove_shared_memory();
    }
}

fn temporary() -> Result<(Cluster, TempDir)> {
    let dir = tempfile::Builder::new().prefix("waybill-postgres-").tempdir()?;
    reaper::remove_at_end(dir.path())?;
    Ok((Cluster::in_dir(dir.path())?, dir))
}

fn spawn(
    cluster: &Cluster,
    settings: &[(String, String)],
    port: &Port,
    dir: &Path,
) -> Result<Process> {
    let command = cluster.server(port.number, settings);
    Process::spawn("postgres", &command, &dir.join("postgres.log"))
}

async fn ready(process: &mut Process, cluster: &Cluster) -> Result<()> {
    let is_ready = async |process: &Process| cluster.is_ready(process.id());
    process.ready(START, is_ready).await.context("cannot start a temporary Postgres")
}
