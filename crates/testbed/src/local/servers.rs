//! The Postgres, the broker and the server of the stream that the service uses.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::daemon::{Daemon, Wanted};
use super::layout::{Layout, write_private};
use super::{Ports, Source, say};
use crate::broker::{self, BrokerOptions};
use crate::postgres::cluster::{Cluster, superuser_url};
use crate::postgres::database::{Database, Passwords, creation};
use crate::postgres::psql;
use crate::process::Process;
use crate::{nats, tools};

/// How long a start may take, recovery after a crash included.
const START: Duration = Duration::from_mins(1);

const DATABASE: &str = "waybill";
const SUPERUSER_SECRET: &str = "postgres_superuser";

/// Postgres with its data directory made and its passwords chosen.
pub(super) struct Postgres {
    cluster: Cluster,
    port: u16,
    superuser_password: String,
    passwords: Passwords,
}

impl Postgres {
    /// Makes the data directory if there is none.
    pub(super) async fn prepare(layout: &Layout, port: u16) -> Result<Self> {
        let cluster = Cluster::in_dir(&layout.path("postgres"))?;
        ensure!(
            !cluster.exists() || layout.has_secret(SUPERUSER_SECRET),
            ".waybill/postgres has data but .waybill/secrets not its password: \
             bring that back, or remove the data with `make clean-data`"
        );
        let superuser_password = layout.secret(SUPERUSER_SECRET)?;
        if !cluster.exists() {
            say("postgres: making its data directory");
            cluster.create(&superuser_password, &[]).await?;
        }
        let passwords = Passwords {
            runtime: layout.secret("postgres_runtime")?,
            owner: layout.secret("postgres_owner")?,
        };
        Ok(Self { cluster, port, superuser_password, passwords })
    }

    /// The logins of the service's database.
    pub(super) fn database(&self) -> Database {
        Database::new(DATABASE, self.port, &self.passwords)
    }

    /// What is acknowledged stays through a power loss: `fsync` and `synchronous_commit` are
    /// left on, as they are by default.
    pub(super) fn wanted(&self) -> Wanted {
        let compression =
            if self.cluster.supports("wal_compression", "lz4") { "lz4" } else { "on" };
        let settings = [
            ("shared_buffers", "256MB"),
            ("max_wal_size", "2GB"),
            ("wal_compression", compression),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Wanted {
            daemon: Daemon::Postgres,
            command: self.cluster.server(self.port, &settings),
            version: String::new(),
            ports: vec![(self.port, "POSTGRES_PORT")],
        }
    }

    pub(super) async fn ready(&self, process: &mut Process) -> Result<()> {
        process.ready(START, async |process| self.cluster.is_ready(process.id())).await?;
        say(&format!("postgres: up on 127.0.0.1:{}", self.port));
        Ok(())
    }

    /// Makes the database and its roles where they are missing.
    pub(super) async fn create_database(&self) -> Result<()> {
        let url = superuser_url(&self.superuser_password, self.port);
        psql::run(self.cluster.bin(), &url, &creation(DATABASE, &self.passwords))
            .await
            .context("cannot make the service's database")?;
        Ok(())
    }
}

/// The servers that orders come from.
pub(super) fn sources(layout: &Layout, source: Source, ports: &Ports) -> Result<Vec<Wanted>> {
    let mut wanted = Vec::new();
    if source.has_broker() {
        wanted.push(broker(layout, ports)?);
    }
    if source.has_stream() {
        wanted.push(jetstream(layout, ports)?);
    }
    Ok(wanted)
}

/// The broker, on the file store.
fn broker(layout: &Layout, ports: &Ports) -> Result<Wanted> {
    let options = BrokerOptions {
        keeps_messages: true,
        syncs: true,
        heartbeat_interval: Duration::from_secs(5),
        heartbeat_timeout: Duration::from_secs(5),
        heartbeat_fail_count: 2,
        max_messages: None,
        configuration: None,
        max_inactivity: None,
    };
    let numbers = (ports.broker_port, ports.monitor_port);
    let mut command = broker::server(&tools::broker()?, numbers, &layout.path("broker"), &options);
    command.current_dir("/");
    Ok(Wanted {
        daemon: Daemon::Broker,
        command,
        version: String::new(),
        ports: vec![(ports.broker_port, "BROKER_PORT"), (ports.monitor_port, "MONITOR_PORT")],
    })
}

/// A nats-server, which keeps the stream.
fn jetstream(layout: &Layout, ports: &Ports) -> Result<Wanted> {
    let store = layout.path("jetstream");
    let settings = nats::settings("waybill", ports.jetstream_port, &store, nats::AT_ONCE);
    let path = layout.path("jetstream.conf");
    write_private(&path, &settings)?;
    let mut command = Command::new(tools::nats()?);
    command.current_dir("/").arg("-c").arg(path);
    Ok(Wanted {
        daemon: Daemon::JetStream,
        command,
        version: settings,
        ports: vec![(ports.jetstream_port, "JETSTREAM_PORT")],
    })
}

/// Waits until clients may come to one of them.
pub(super) async fn source_ready(wanted: &Wanted, process: &mut Process) -> Result<()> {
    let is_ready = match wanted.daemon {
        Daemon::JetStream => nats::is_ready,
        _ => broker::is_ready,
    };
    process.ready(START, async |process| is_ready(process)).await?;
    if let [(port, _), ..] = wanted.ports[..] {
        say(&format!("{}: up on 127.0.0.1:{port}", wanted.daemon));
    }
    Ok(())
}
