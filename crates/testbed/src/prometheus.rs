//! A real Prometheus that scrapes servers on this machine.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::port::Port;
use crate::process::Process;
use crate::{http, reaper, tools};

const START: Duration = Duration::from_secs(30);

/// What a Prometheus is to do.
pub(crate) struct Config<'a> {
    /// Time between two scrapes, and between two evaluations of rules that do not say otherwise.
    pub(crate) interval: Duration,
    /// The ports on 127.0.0.1 that are scraped, as the job `waybill`.
    pub(crate) targets: &'a [u16],
    /// The folder whose files `*.yaml` are rules.
    pub(crate) rules: &'a Path,
}

impl Config<'_> {
    /// As a configuration file.
    pub(crate) fn to_yaml(&self) -> String {
        let Self { interval, targets, rules } = self;
        let interval = interval.as_secs();
        let rules = rules.join("*.yaml");
        let mut text = format!(
            "global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s, \
             evaluation_interval: {interval}s}}\n\
             rule_files: ['{}']\n\
             scrape_configs:\n\
             - job_name: waybill\n  static_configs:\n  - targets:\n",
            rules.display()
        );
        for port in *targets {
            // A string takes all.
            let _ = writeln!(text, "    - 127.0.0.1:{port}");
        }
        text
    }
}

/// The server on 127.0.0.1 with a configuration file, and its data in a folder.
pub(crate) fn server(program: &Path, port: u16, config: &Path, data: &Path) -> Command {
    let mut server = Command::new(program);
    server.arg(format!("--config.file={}", config.display()));
    server.arg(format!("--storage.tsdb.path={}", data.display()));
    server.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    server.arg("--log.level=warn");
    server
}

/// Whether the one on this port answers queries.
pub(crate) async fn is_ready(port: u16) -> bool {
    matches!(http::get(port, "/-/ready").await, Ok((200, _)))
}

/// A Prometheus whose data is gone when this is dropped.
#[derive(Debug)]
pub struct Prometheus {
    _process: Process,
    port: Port,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes these ports of 127.0.0.1 once a second as the job `waybill`, with
    /// the rules in the files `*.yaml` of a folder.
    ///
    /// # Errors
    ///
    /// When none is found, or it does not take the rules.
    pub async fn start(targets: &[u16], rules: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("waybill-prometheus-").tempdir()?;
        reaper::remove_at_end(dir.path())?;
        let config = Config { interval: Duration::from_secs(1), targets, rules };
        let path = dir.path().join("prometheus.yml");
        std::fs::write(&path, config.to_yaml()).context("cannot write prometheus.yml")?;
        let port = Port::lease()?;
        let mut command =
            server(&tools::prometheus()?, port.number, &path, &dir.path().join("data"));
        command.current_dir(dir.path());
        let mut process = Process::spawn("prometheus", &command, &dir.path().join("log"))?;
        process.ready(START, async |_| is_ready(port.number).await).await?;
        Ok(Self { _process: process, port, _dir: dir })
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number
    }
}
