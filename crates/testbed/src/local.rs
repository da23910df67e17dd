//! The service with its servers under `./.waybill`, for `make up`.
//!
//! Everything started here stays when the command ends: [`down`] stops it.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::port;
use crate::process::Process;

mod daemon;
mod layout;
mod observe;
mod servers;
mod service;

use daemon::{Daemon, Wanted};
use layout::Layout;
pub use observe::{ObservePorts, observe};

/// In the order in which they are started, the last two by [`observe`] alone.
const DAEMONS: [Daemon; 6] = [
    Daemon::Postgres,
    Daemon::Broker,
    Daemon::JetStream,
    Daemon::Waybill,
    Daemon::Prometheus,
    Daemon::Grafana,
];

/// Where the service reads orders from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// A channel of NATS Streaming
    Stan,
    /// A stream of JetStream
    Jetstream,
    /// The channel and the stream
    Both,
}

impl Source {
    fn has_broker(self) -> bool {
        self != Self::Jetstream
    }

    fn has_stream(self) -> bool {
        self != Self::Stan
    }
}

/// The ports on 127.0.0.1, each also a variable of `make up`: `make up HTTP_PORT=9090`.
#[derive(Debug, Clone, Args)]
pub struct Ports {
    /// The pages and the API (`make up HTTP_PORT=…`)
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub http_port: u16,
    /// Health and metrics (`make up ADMIN_PORT=…`)
    #[arg(long, value_name = "PORT", default_value_t = 8081)]
    pub admin_port: u16,
    /// The broker (`make up BROKER_PORT=…`)
    #[arg(long, value_name = "PORT", default_value_t = 14222)]
    pub broker_port: u16,
    /// The broker's monitor (`make up MONITOR_PORT=…`)
    #[arg(long, value_name = "PORT", default_value_t = 18222)]
    pub monitor_port: u16,
    /// The server of the stream (`make up JETSTREAM_PORT=…`)
    #[arg(long, value_name = "PORT", default_value_t = 14223)]
    pub jetstream_port: u16,
    /// Postgres (`make up POSTGRES_PORT=…`)
    #[arg(long, value_name = "PORT", default_value_t = 15432)]
    pub postgres_port: u16,
}

/// Starts what does not run yet, and the service anew when its program or settings changed; stops
/// the server of a source that is not read any more.
///
/// # Errors
///
/// When something does not start; then all that was started by this call is stopped again.
pub async fn up(waybill: &Path, source: Source, ports: &Ports) -> Result<()> {
    let layout = Layout::create()?;
    let _lock = layout.lock()?;
    let waybill = waybill
        .canonicalize()
        .with_context(|| format!("there is no program {}", waybill.display()))?;
    let mut started = Vec::new();
    let result = bring_up(&layout, &waybill, source, ports, &mut started).await;
    if result.is_err() {
        for daemon in started.iter().rev() {
            if let Err(error) = daemon.stop(&layout).await {
                say(&format!("{daemon}: still there: {error:#}"));
            }
        }
    }
    result
}

/// Stops the service, its servers and what observes it, as far as they run.
pub async fn down() -> Result<()> {
    let Some(layout) = Layout::find()? else {
        say("Nothing runs");
        return Ok(());
    };
    let _lock = layout.lock()?;
    stop_all(&layout).await
}

/// Says of each whether it runs.
pub fn status() -> Result<()> {
    let layout = Layout::find()?;
    for daemon in DAEMONS {
        let record = layout.as_ref().and_then(|layout| daemon.running(layout));
        match record {
            Some(record) => say(&format!("{daemon}: up, process {record}")),
            None => say(&format!("{daemon}: down")),
        }
    }
    Ok(())
}

/// Stops everything and removes all data.
pub async fn clean_data() -> Result<()> {
    let Some(layout) = Layout::find()? else {
        say("There is no data");
        return Ok(());
    };
    let _lock = layout.lock()?;
    stop_all(&layout).await?;
    layout.remove()?;
    say("All data is removed");
    Ok(())
}

async fn stop_all(layout: &Layout) -> Result<()> {
    for daemon in DAEMONS.into_iter().rev() {
        let text = if daemon.stop(layout).await? { "stopped" } else { "was not running" };
        say(&format!("{daemon}: {text}"));
    }
    Ok(())
}

async fn bring_up(
    layout: &Layout,
    waybill: &Path,
    source: Source,
    ports: &Ports,
    started: &mut Vec<Daemon>,
) -> Result<()> {
    let postgres = servers::Postgres::prepare(layout, ports.postgres_port).await?;
    let mut wanted = vec![postgres.wanted()];
    wanted.extend(servers::sources(layout, source, ports)?);
    wanted.push(service::wanted(layout, waybill, source, ports, &postgres.database())?);
    stop_others(layout, &wanted).await?;
    stop_unread(layout, &wanted).await?;
    let is_missing = |wanted: &&Wanted| wanted.daemon.running(layout).is_none();
    wanted.iter().filter(is_missing).try_for_each(check_ports)?;

    for wanted in &wanted {
        let mut process = None;
        if is_missing(&wanted) {
            started.push(wanted.daemon);
            process = Some(wanted.start(layout)?);
        } else {
            say(&format!("{}: already up", wanted.daemon));
        }
        match (wanted.daemon, process) {
            (Daemon::Postgres, process) => {
                if let Some(mut process) = process {
                    postgres.ready(&mut process).await?;
                }
                postgres.create_database().await?;
            }
            (Daemon::Waybill, process) => service::ready(process, ports).await?,
            (_, Some(mut process)) => servers::source_ready(wanted, &mut process).await?,
            (_, None) => {}
        }
    }
    service::publish_samples(layout, waybill, ports).await?;
    let origin = format!("http://127.0.0.1:{}", ports.http_port);
    say(&format!("Page: {origin}/"));
    say(&format!("Order: {origin}{}", service::SAMPLE_PAGE));
    Ok(())
}

/// Starts a daemon that does not run as it is wanted; nothing when it does.
async fn start_anew(layout: &Layout, wanted: &Wanted) -> Result<Option<Process>> {
    stop_others(layout, std::slice::from_ref(wanted)).await?;
    if wanted.daemon.running(layout).is_some() {
        say(&format!("{}: already up", wanted.daemon));
        return Ok(None);
    }
    check_ports(wanted)?;
    wanted.start(layout).map(Some)
}

/// Stops what runs with another program or other settings than wanted.
async fn stop_others(layout: &Layout, wanted: &[Wanted]) -> Result<()> {
    for wanted in wanted.iter().rev() {
        if wanted.daemon.running(layout).is_some_and(|record| !record.is(wanted)) {
            wanted.daemon.stop(layout).await?;
            say(&format!("{}: stopped, to start anew as it is wanted now", wanted.daemon));
        }
    }
    Ok(())
}

/// Stops the server of a source that is not among the wanted; its data stays.
async fn stop_unread(layout: &Layout, wanted: &[Wanted]) -> Result<()> {
    for daemon in [Daemon::Broker, Daemon::JetStream] {
        let is_wanted = wanted.iter().any(|wanted| wanted.daemon == daemon);
        if !is_wanted && daemon.stop(layout).await? {
            say(&format!("{daemon}: stopped, for nothing is read from it now"));
        }
    }
    Ok(())
}

fn check_ports(wanted: &Wanted) -> Result<()> {
    for (port, variable) in &wanted.ports {
        ensure!(
            port::is_free(*port),
            "port {port} on 127.0.0.1 is in use, and {} needs it: \
             choose another with `make {} {variable}=PORT`",
            wanted.daemon,
            wanted.daemon.target()
        );
    }
    Ok(())
}

fn say(text: &str) {
    // A reader who has gone away is no reason to stop half-way.
    let _ = writeln!(std::io::stdout(), "{text}");
}
