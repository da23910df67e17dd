//! The program of a broker: its arguments, its start, and how it says that it is ready.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{BrokerOptions, CLUSTER_ID, GUEST_CLUSTER_ID};
use crate::port::Port;
use crate::process::Process;
use crate::{reaper, tools};

const START: Duration = Duration::from_secs(30);

/// Where a broker is a guest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guest {
    /// The port of the NATS server.
    pub(super) host: u16,
    pub(super) role: Role,
}

/// What a broker is to the others under its cluster id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Alone,
    /// Another broker stands by to take over, or this one for another.
    OfPair,
    /// One of [`PEERS`], which elect a leader.
    OfCluster(&'static str),
}

/// The names of the brokers of a cluster.
pub(super) const PEERS: [&str; 3] = ["a", "b", "c"];

/// The server on 127.0.0.1, with no limits on what it keeps but those in the options.
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
    let max_messages = options.max_messages.unwrap_or(0).to_string();
    server.args(["-mc", "0", "-msu", "0", "-mb", "0", "-mm", &max_messages]);
    let milliseconds = |time: Duration| format!("{}ms", time.as_millis());
    if let Some(inactivity) = options.max_inactivity {
        server.args(["-mi", &milliseconds(inactivity)]);
    }
    server.args(["-hbi", &milliseconds(options.heartbeat_interval)]);
    server.args(["-hbt", &milliseconds(options.heartbeat_timeout)]);
    server.args(["-hbf", &options.heartbeat_fail_count.to_string()]);
    server
}

/// The monitor answers before the store is read; only the log tells when clients may come.
pub(crate) fn is_ready(process: &Process) -> bool {
    process.log().contains("Streaming Server is ready")
}

/// One of a pair stands by first, even when it will be the one that serves.
fn stands_by(process: &Process) -> bool {
    process.log().contains("Starting in standby mode")
}

/// Of a cluster only the leader says that it is ready; the others end with the list of limits.
fn has_joined(process: &Process) -> bool {
    process.log().contains("Inactivity   :")
}

/// Whether one of a cluster leads it, as far as it knows.
pub(super) fn leads(process: &Process) -> bool {
    let log = process.log();
    let lost = log.rfind("server lost leadership");
    log.rfind("finished leader promotion actions").is_some_and(|won| Some(won) > lost)
}

pub(super) fn new_dir() -> Result<TempDir> {
    let dir = tempfile::Builder::new().prefix("waybill-broker-").tempdir()?;
    reaper::remove_at_end(dir.path())?;
    Ok(dir)
}

pub(super) fn spawn(
    options: &BrokerOptions,
    guest: Option<Guest>,
    port: &Port,
    monitor_port: &Port,
    dir: &Path,
    more: &[&str],
) -> Result<Process> {
    let ports = (port.number, monitor_port.number);
    let mut command = server(&tools::broker()?, ports, &store(dir), options);
    command.current_dir(dir).arg(format!("--file_sync={}", options.syncs)).args(more);
    if let Some(configuration) = &options.configuration {
        let file = dir.join("broker.conf");
        std::fs::write(&file, configuration).context("cannot write the configuration")?;
        command.arg("-c").arg(file);
    }
    if let Some(Guest { host, role }) = guest {
        // The later of two cluster ids counts.
        command.args(["-cid", GUEST_CLUSTER_ID, "-ns", &format!("nats://127.0.0.1:{host}")]);
        match role {
            Role::Alone => {}
            Role::OfPair => {
                command.args(["-ft_group", "pair"]);
            }
            Role::OfCluster(name) => {
                command.args(["-clustered", "-cluster_node_id", name]);
                command.args(["-cluster_peers", &PEERS.join(",")]);
                command.arg("-cluster_log_path").arg(dir.join("raft"));
            }
        }
    }
    let log = dir.join(format!("broker-{}.log", monitor_port.number));
    Process::spawn("nats-streaming-server", &command, &log)
}

pub(super) async fn ready(process: &mut Process, guest: Option<Guest>) -> Result<()> {
    let role = guest.map_or(Role::Alone, |guest| guest.role);
    let is_ready = async |process: &Process| {
        is_ready(process)
            || match role {
                Role::Alone => false,
                Role::OfPair => stands_by(process),
                Role::OfCluster(_) => has_joined(process),
            }
    };
    let ready = process.ready(START, is_ready).await;
    ready.context("cannot start a temporary broker")
}

pub(super) fn store(dir: &Path) -> PathBuf {
    dir.join("store")
}
