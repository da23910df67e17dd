//! The service itself, and the orders it shows first.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::{sleep, timeout};

use super::daemon::{Daemon, Wanted};
use super::layout::{Layout, write_private};
use super::{Ports, Source, say};
use crate::broker::CLUSTER_ID;
use crate::http;
use crate::postgres::Database;
use crate::process::Process;

/// The page of the order in [`SAMPLE`].
pub(super) const SAMPLE_PAGE: &str = "/orders/b563feb7b2b84b6test";
const SAMPLE: &str = "data/model.json";

const START: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(100);

/// The service with settings written for these servers.
pub(super) fn wanted(
    layout: &Layout,
    waybill: &Path,
    source: Source,
    ports: &Ports,
    database: &Database,
) -> Result<Wanted> {
    let settings = layout.settings();
    write_private(&settings, &settings_text(source, ports, database))?;
    let mut command = Command::new(waybill);
    command.arg("serve").arg("--config").arg(&settings);
    Ok(Wanted {
        daemon: Daemon::Waybill,
        command,
        version: format!("{} {}", version(waybill)?, version(&settings)?),
        ports: vec![(ports.http_port, "HTTP_PORT"), (ports.admin_port, "ADMIN_PORT")],
    })
}

/// Waits until the service answers; `process` is none when it was up before.
pub(super) async fn ready(process: Option<Process>, ports: &Ports) -> Result<()> {
    let is_ready = async || serves(ports.admin_port, "/readyz").await;
    match process {
        Some(mut process) => {
            process.ready(START, async |_| is_ready().await).await?;
            say(&format!("waybill: up on 127.0.0.1:{}", ports.http_port));
            Ok(())
        }
        None => until("the service that runs is not ready", is_ready).await,
    }
}

/// Publishes the samples if they are not there, and waits until they are served.
pub(super) async fn publish_samples(layout: &Layout, waybill: &Path, ports: &Ports) -> Result<()> {
    let path = format!("/api/v1{SAMPLE_PAGE}");
    let is_served = async || serves(ports.http_port, &path).await;
    if !is_served().await {
        // The one that is looked for comes last: when it is there, all are.
        publish(layout, waybill, &["--generate", "1000", "--seed", "1"]).await?;
        publish(layout, waybill, &[SAMPLE]).await?;
    }
    until("the service does not serve the published order", is_served).await
}

async fn publish(layout: &Layout, waybill: &Path, what: &[&str]) -> Result<()> {
    let mut command = tokio::process::Command::new(waybill);
    command.arg("publish").arg("--config").arg(layout.settings()).args(what);
    let status = command.status().await.context("cannot start the publisher")?;
    ensure!(status.success(), "`waybill publish {}` failed ({status})", what.join(" "));
    Ok(())
}

async fn serves(port: u16, path: &str) -> bool {
    matches!(http::get(port, path).await, Ok((200, _)))
}

async fn until(complaint: &'static str, condition: impl AsyncFn() -> bool) -> Result<()> {
    let wait = async {
        while !condition().await {
            sleep(PAUSE).await;
        }
    };
    timeout(START, wait).await.with_context(|| format!("{complaint} within {START:?}"))
}

/// The sections that say where orders come from.
fn source_text(source: Source, ports: &Ports) -> String {
    let Ports { broker_port, monitor_port, jetstream_port, .. } = ports;
    let broker = if source.has_broker() {
        format!(
            r#"[broker]
url = "nats://127.0.0.1:{broker_port}"
cluster_id = "{CLUSTER_ID}"
monitor_url = "http://127.0.0.1:{monitor_port}"
"#
        )
    } else {
        "[broker]\nenabled = false\n".to_owned()
    };
    if !source.has_stream() {
        return broker;
    }
    format!("{broker}\n[jetstream]\nurl = \"nats://127.0.0.1:{jetstream_port}\"\n")
}

fn settings_text(source: Source, ports: &Ports, database: &Database) -> String {
    let Ports { http_port, admin_port, .. } = ports;
    let source = source_text(source, ports);
    let Database { url, owner_url, runtime_role, .. } = database;
    format!(
        r#"# Written by `make up`, which writes it anew each time.

{source}
[database]
url = "{url}"
migrate_url = "{owner_url}"
runtime_role = "{runtime_role}"

[http]
listen = "127.0.0.1:{http_port}"

[admin]
listen = "127.0.0.1:{admin_port}"
"#
    )
}

/// Changes whenever the file is written.
fn version(path: &Path) -> Result<String> {
    let metadata = path.metadata().with_context(|| format!("cannot find {}", path.display()))?;
    let modified = metadata.modified()?.duration_since(std::time::UNIX_EPOCH)?;
    Ok(format!("{}-{}", modified.as_nanos(), metadata.len()))
}
