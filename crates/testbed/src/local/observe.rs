//! Prometheus, and Grafana where it is installed, beside the service of `make up`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use super::daemon::{Daemon, Wanted};
use super::layout::{Layout, write_private};
use super::{say, start_anew};
use crate::prometheus::{self, Config};
use crate::{http, tools};

const START: Duration = Duration::from_mins(1);
const INTERVAL: Duration = Duration::from_secs(5);

/// Where the rules are, and the dashboards, below the working directory.
const RULES: &str = "alerts";
const DASHBOARDS: &str = "dashboards";

/// The ports on 127.0.0.1, each also a variable of `make observe`.
#[derive(Debug, Clone, Args)]
pub struct ObservePorts {
    /// The service's metrics (`make observe ADMIN_PORT=…`)
    #[arg(long, value_name = "PORT", default_value_t = 8081)]
    pub admin_port: u16,
    /// Prometheus (`make observe PROMETHEUS_PORT=…`)
    #[arg(long, value_name = "PORT", default_value_t = 9090)]
    pub prometheus_port: u16,
    /// Grafana (`make observe GRAFANA_PORT=…`)
    #[arg(long, value_name = "PORT", default_value_t = 3000)]
    pub grafana_port: u16,
}

/// Starts Prometheus, and Grafana where there is one, as far as they do not run as wanted.
///
/// # Errors
///
/// When there is no Prometheus, or one of them does not start.
pub async fn observe(ports: &ObservePorts) -> Result<()> {
    let layout = Layout::create()?;
    let _lock = layout.lock()?;
    let here = std::env::current_dir().context("the working directory is gone")?;
    let wanted = prometheus(&layout, &here, ports)?;
    let port = ports.prometheus_port;
    if let Some(mut process) = start_anew(&layout, &wanted).await? {
        process.ready(START, async |_| prometheus::is_ready(port).await).await?;
    }
    say(&format!("Prometheus: http://127.0.0.1:{port}/alerts"));
    let Some(program) = tools::grafana() else {
        say("Grafana: not installed; docs/observability.md says how to import the dashboards");
        return Ok(());
    };
    let wanted = grafana(&layout, &here, &program, ports)?;
    let port = ports.grafana_port;
    if let Some(mut process) = start_anew(&layout, &wanted).await? {
        let is_ready = async |_: &_| matches!(http::get(port, "/api/health").await, Ok((200, _)));
        process.ready(START, is_ready).await?;
    }
    say(&format!("Grafana: http://127.0.0.1:{port}/dashboards"));
    Ok(())
}

fn prometheus(layout: &Layout, here: &Path, ports: &ObservePorts) -> Result<Wanted> {
    let config =
        Config { interval: INTERVAL, targets: &[ports.admin_port], rules: &here.join(RULES) };
    let (path, text) = (layout.path("prometheus.yml"), config.to_yaml());
    write_private(&path, &text)?;
    let data = layout.path("prometheus");
    Ok(Wanted {
        daemon: Daemon::Prometheus,
        command: prometheus::server(&tools::prometheus()?, ports.prometheus_port, &path, &data),
        version: format!("{text}{}", rules_text(here)?),
        ports: vec![(ports.prometheus_port, "PROMETHEUS_PORT")],
    })
}

/// What the files of rules say: Prometheus reads them when it starts.
fn rules_text(here: &Path) -> Result<String> {
    let entries = std::fs::read_dir(here.join(RULES)).context("there are no alerts here")?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    paths.sort();
    let texts = paths.iter().map(std::fs::read_to_string).collect::<Result<Vec<_>, _>>();
    Ok(texts.context("cannot read the alerts")?.concat())
}

/// Grafana with its data source and the dashboards provisioned, open to whoever is on this machine.
fn grafana(layout: &Layout, here: &Path, program: &Path, ports: &ObservePorts) -> Result<Wanted> {
    let provisioning = layout.path("grafana/provisioning");
    for (kind, text) in [
        (
            "datasources",
            format!(
                "apiVersion: 1\ndatasources:\n- {{name: Prometheus, uid: prometheus, \
                 type: prometheus, url: 'http://127.0.0.1:{}', isDefault: true, \
                 jsonData: {{timeInterval: {}s}}}}\n",
                ports.prometheus_port,
                INTERVAL.as_secs()
            ),
        ),
        (
            "dashboards",
            format!(
                "apiVersion: 1\nproviders:\n- {{name: waybill, type: file, \
                 allowUiUpdates: false, options: {{path: '{}'}}}}\n",
                here.join(DASHBOARDS).display()
            ),
        ),
    ] {
        let dir = provisioning.join(kind);
        std::fs::create_dir_all(&dir).context("cannot make Grafana's directory")?;
        write_private(&dir.join("waybill.yaml"), &text)?;
    }
    let settings = [
        ("GF_SERVER_HTTP_ADDR", "127.0.0.1".to_owned()),
        ("GF_SERVER_HTTP_PORT", ports.grafana_port.to_string()),
        ("GF_PATHS_DATA", layout.path("grafana/data").display().to_string()),
        ("GF_PATHS_PROVISIONING", provisioning.display().to_string()),
        ("GF_LOG_MODE", "console".to_owned()),
        ("GF_AUTH_ANONYMOUS_ENABLED", "true".to_owned()),
        ("GF_AUTH_ANONYMOUS_ORG_ROLE", "Viewer".to_owned()),
        ("GF_ANALYTICS_REPORTING_ENABLED", "false".to_owned()),
        ("GF_ANALYTICS_CHECK_FOR_UPDATES", "false".to_owned()),
    ];
    let mut command = Command::new(program);
    command.arg("--homepath=/usr/share/grafana").envs(settings.clone());
    Ok(Wanted {
        daemon: Daemon::Grafana,
        command,
        version: format!("{settings:?}"),
        ports: vec![(ports.grafana_port, "GRAFANA_PORT")],
    })
}
