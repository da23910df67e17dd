//! A replica of the real binary, with a link of its own to the broker and to Postgres.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testbed::{Held, Port, Process, Proxy, Publication, Signal, Tap};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{Instant, sleep};

use crate::ack_oracle;

/// How long a process may take to bind its ports, and to end when asked.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// Where a replica listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address {
    pub(crate) site: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// A replica, its links and what can be done to them. Each part is locked by the fault at work
/// on it.
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) process: Mutex<Option<Process>>,
    pub(crate) broker_link: Mutex<Proxy>,
    pub(crate) postgres_link: Mutex<Proxy>,
    /// Whether its acknowledgements vanish on the way.
    pub(crate) acks_vanish: Arc<AtomicBool>,
    /// Where it listens; none while it does not run.
    pub(crate) address: watch::Sender<Option<Address>>,
    /// Of the site and of the admin port.
    ports: [Port; 2],
    settings: Vec<(String, String)>,
    binary: PathBuf,
    dir: PathBuf,
}

/// What all replicas have in common.
pub(crate) struct Common<'a> {
    pub(crate) broker_port: u16,
    pub(crate) postgres_port: u16,
    pub(crate) database: &'a testbed::Database,
    pub(crate) binary: PathBuf,
    pub(crate) dir: PathBuf,
}

impl Replica {
    /// A replica that does not run yet, and the acknowledgements that its link holds.
    pub(crate) async fn new(
        name: &str,
        common: &Common<'_>,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Held>)> {
        let (held, acks) = mpsc::unbounded_channel();
        let holds = |seen: &Publication<'_>| {
            seen.reply.is_none() && ack_oracle::acked_sequence(seen.payload).is_some()
        };
        let tap = Tap { holds, held };
        let broker_link = Proxy::start_tapped(local(common.broker_port), tap).await?;
        let postgres_link = Proxy::start(local(common.postgres_port)).await?;
        let through = |url: &str| {
            let port = |port| format!("127.0.0.1:{port}/");
            url.replace(&port(common.postgres_port), &port(postgres_link.port()))
        };
        let ports = [Port::lease()?, Port::lease()?];
        let [site, admin] = ports.each_ref().map(|port| local(port.number()));
        let database = common.database;
        let settings = [
            ("BROKER__URL", format!("nats://127.0.0.1:{}", broker_link.port())),
            ("BROKER__CLIENT_ID", name.to_owned()),
            ("BROKER__MAX_IN_FLIGHT", MAX_IN_FLIGHT.to_string()),
            ("BROKER__ACK_WAIT", "1s".to_owned()),
            ("BROKER__PING_INTERVAL", "1s".to_owned()),
            ("BROKER__PING_MAX_OUT", "2".to_owned()),
            ("DATABASE__URL", through(&database.url)),
            ("DATABASE__MIGRATE_URL", through(&database.owner_url)),
            ("DATABASE__RUNTIME_ROLE", database.runtime_role.clone()),
            ("DATABASE__MAX_CONNECTIONS", "6".to_owned()),
            ("DATABASE__CONNECT_TIMEOUT", "1s".to_owned()),
            ("CACHE__FOLLOW_INTERVAL", format!("{}ms", FOLLOW_INTERVAL.as_millis())),
            ("CACHE__MISS_TIMEOUT", "500ms".to_owned()),
            ("HTTP__LISTEN", site.to_string()),
            ("HTTP__WORKERS", "1".to_owned()),
            ("ADMIN__LISTEN", admin.to_string()),
            ("SHUTDOWN__TIMEOUT", "3s".to_owned()),
            ("TELEMETRY__LOG_FORMAT", "json".to_owned()),
        ];
        let replica = Self {
            name: name.to_owned(),
            process: Mutex::default(),
            broker_link: Mutex::new(broker_link),
            postgres_link: Mutex::new(postgres_link),
            acks_vanish: Arc::default(),
            address: watch::Sender::new(None),
            ports,
            settings: settings.map(|(key, value)| (format!("WAYBILL_{key}"), value)).into(),
            binary: common.binary.clone(),
            dir: common.dir.clone(),
        };
        Ok((replica, acks))
    }

    /// Starts the process and waits until it listens; it may not be ready.
    pub(crate) async fn start(&self, process: &mut Option<Process>) -> Result<()> {
        let command = self.command("serve");
        let started = process.insert(Process::spawn(&self.name, &command, &self.log_path())?);
        let [site, admin] = self.ports.each_ref().map(|port| local(port.number()));
        let answers = async |_: &Process| testbed::http::get(admin.port(), "/livez").await.is_ok();
        started.ready(PATIENCE, answers).await?;
        self.address.send_replace(Some(Address { site, admin }));
        Ok(())
    }

    /// What it has logged, also before it was started anew.
    pub(crate) fn log(&self) -> Result<String> {
        let path = self.log_path();
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.name))
    }

    /// The service's program with this replica's settings.
    pub(crate) fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg(subcommand).current_dir(&self.dir).env_clear();
        command.envs(self.settings.iter().map(|(key, value)| (key, value)));
        command
    }

    /// `kill -9`.
    pub(crate) fn kill(&self, process: &mut Option<Process>) -> Result<()> {
        self.address.send_replace(None);
        process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// SIGTERM, and a wait for the end.
    pub(crate) async fn stop(&self, process: &mut Option<Process>) -> Result<()> {
        let Some(mut process) = process.take() else { return Ok(()) };
        process.stop(Signal::TERM, PATIENCE).await?;
        self.address.send_replace(None);
        Ok(())
    }

    /// Waits until it says that it is ready, but not for ever: Postgres may be away.
    pub(crate) async fn until_ready(&self, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        loop {
            let address = *self.address.borrow();
            if let Some(Address { admin, .. }) = address
                && matches!(testbed::http::get(admin.port(), "/readyz").await, Ok((200, _)))
            {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{} was not ready within {patience:?}", self.name);
            sleep(PAUSE).await;
        }
    }

    /// The value of a series in `/metrics`.
    pub(crate) async fn metric(&self, series: &str) -> Result<f64> {
        let address = *self.address.borrow();
        let admin = address.with_context(|| format!("{} does not run", self.name))?.admin;
        let (_, metrics) = testbed::http::get(admin.port(), "/metrics").await?;
        let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no {series}"))?.parse()?)
    }

    pub(crate) fn drops_acks(&self) -> bool {
        self.acks_vanish.load(Ordering::SeqCst)
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Few, so that a storm of refused messages can fill it.
pub(crate) const MAX_IN_FLIGHT: usize = 256;

pub(crate) const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);
