//! A replica of the real binary, with links of its own to the broker, to each server of the stream
//! and to Postgres.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testbed::{Clock, Held, Port, Process, Proxy, Publication, Signal, Tap};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{Instant, sleep};

use crate::origin::Origin;

mod settings;

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
    /// To the broker; none where it is not read.
    broker_link: Option<Mutex<Proxy>>,
    /// To the servers of the stream.
    pub(crate) stream_links: Mutex<Vec<Proxy>>,
    pub(crate) postgres_link: Mutex<Proxy>,
    /// To another server of Postgres, which is the second in its URL; most of the time to none.
    pub(crate) second_postgres_link: Option<Mutex<Proxy>>,
    /// Whether its acknowledgements vanish on the way to the broker, and to the stream.
    acks_vanish: [AtomicBool; 2],
    /// The wall clock that it goes by, where that can be set.
    pub(crate) clock: Option<Clock>,
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
    pub(crate) broker_port: Option<u16>,
    pub(crate) stream_ports: &'a [u16],
    pub(crate) postgres_port: u16,
    pub(crate) database: &'a testbed::Database,
    /// Whether the URL of Postgres has a second address.
    pub(crate) several_addresses: bool,
    pub(crate) binary: PathBuf,
    pub(crate) with_clock: bool,
    pub(crate) dir: PathBuf,
}

/// Acknowledgements that are held on their way to one of the origins.
pub(crate) type HeldAcks = (Origin, mpsc::UnboundedReceiver<Held>);

impl Replica {
    /// A replica that does not run yet, and the acknowledgements that its links hold.
    pub(crate) async fn new(name: &str, common: &Common<'_>) -> Result<(Self, Vec<HeldAcks>)> {
        let mut held = Vec::new();
        let mut broker_link = None;
        if let Some(port) = common.broker_port {
            let (tap, acks) = tap(|seen| {
                seen.reply.is_none() && Origin::Channel.acked(seen.subject, seen.payload).is_some()
            });
            held.push((Origin::Channel, acks));
            broker_link = Some(Proxy::start_tapped(local(port), tap).await?);
        }
        let mut stream_links = Vec::new();
        let (stream_tap, acks) =
            tap(|seen| Origin::Stream.acked(seen.subject, seen.payload).is_some());
        if !common.stream_ports.is_empty() {
            held.push((Origin::Stream, acks));
        }
        for port in common.stream_ports {
            stream_links.push(Proxy::start_tapped(local(*port), stream_tap.clone()).await?);
        }
        let postgres_link = Proxy::start(local(common.postgres_port)).await?;
        let mut second_postgres_link = None;
        if common.several_addresses {
            let mut link = Proxy::start(local(common.postgres_port)).await?;
            link.cut().await;
            second_postgres_link = Some(link);
        }
        let ports = [Port::lease()?, Port::lease()?];
        let mut settings = settings::all(name, ports.each_ref().map(Port::number));
        let postgres = (&postgres_link, second_postgres_link.as_ref());
        settings.extend(settings::database(common, postgres));
        settings.extend(settings::links(broker_link.as_ref(), &stream_links));
        let settings = settings.into_iter();
        let replica = Self {
            name: name.to_owned(),
            process: Mutex::default(),
            broker_link: broker_link.map(Mutex::new),
            stream_links: Mutex::new(stream_links),
            postgres_link: Mutex::new(postgres_link),
            second_postgres_link: second_postgres_link.map(Mutex::new),
            acks_vanish: Default::default(),
            clock: common.with_clock.then(|| Clock::in_dir(&common.dir, name)).transpose()?,
            address: watch::Sender::new(None),
            ports,
            settings: settings.map(|(key, value)| (format!("WAYBILL_{key}"), value)).collect(),
            binary: common.binary.clone(),
            dir: common.dir.clone(),
        };
        Ok((replica, held))
    }

    pub(crate) fn broker_link(&self) -> Result<&Mutex<Proxy>> {
        self.broker_link.as_ref().context("no broker")
    }

    /// Starts the process and waits until it listens; it may not be ready.
    pub(crate) async fn start(&self, process: &mut Option<Process>) -> Result<()> {
        let mut command = self.command("serve");
        if let Some(clock) = &self.clock {
            clock.give(&mut command);
        }
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

    /// What it answers on its admin port.
    pub(crate) async fn admin(&self, path: &str) -> Result<String> {
        let address = *self.address.borrow();
        let admin = address.with_context(|| format!("{} does not run", self.name))?.admin;
        Ok(testbed::http::get(admin.port(), path).await?.1)
    }

    /// The value of a series in `/metrics`.
    pub(crate) async fn metric(&self, series: &str) -> Result<f64> {
        let metrics = self.admin("/metrics").await?;
        let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no {series}"))?.parse()?)
    }

    /// Whether its acknowledgements vanish on the way to this origin.
    pub(crate) fn acks_vanish(&self, origin: Origin) -> &AtomicBool {
        &self.acks_vanish[origin as usize]
    }
}

/// What a link holds, and where it comes out.
fn tap(holds: fn(&Publication<'_>) -> bool) -> (Tap, mpsc::UnboundedReceiver<Held>) {
    let (held, acks) = mpsc::unbounded_channel();
    (Tap { holds, held }, acks)
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Few, so that a storm of refused messages can fill it.
pub(crate) const MAX_IN_FLIGHT: usize = 256;

pub(crate) const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);
