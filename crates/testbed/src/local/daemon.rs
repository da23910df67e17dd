//! A server that runs on its own: how it was started is kept in a file beside its data.

use std::fmt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, kill_process};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::layout::{Layout, write_private};
use crate::proc;
use crate::process::{Process, Signal};

const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Daemon {
    Postgres,
    Broker,
    JetStream,
    Waybill,
    Prometheus,
    Grafana,
}

/// How a daemon is to run.
pub(super) struct Wanted {
    pub(super) daemon: Daemon,
    pub(super) command: Command,
    /// Changes when the daemon must start anew though its command is the same.
    pub(super) version: String,
    /// The ports it needs on 127.0.0.1, and the variable of make that changes each.
    pub(super) ports: Vec<(u16, &'static str)>,
}

/// How a daemon was started.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pid: i32,
    command: Vec<String>,
    version: String,
    ports: Vec<u16>,
}

impl Wanted {
    /// Starts it; it stays when we end.
    pub(super) fn start(&self, layout: &Layout) -> Result<Process> {
        let name = self.daemon.name();
        let process = Process::spawn_detached(name, &self.command, &layout.log(name))?;
        let record = Record {
            pid: i32::try_from(process.id())?,
            command: words(&self.command),
            version: self.version.clone(),
            ports: self.ports.iter().map(|(port, _)| *port).collect(),
        };
        write_private(&layout.record(name), &serde_json::to_string(&record)?)?;
        Ok(process)
    }
}

impl Daemon {
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Broker => "broker",
            Self::JetStream => "jetstream",
            Self::Waybill => "waybill",
            Self::Prometheus => "prometheus",
            Self::Grafana => "grafana",
        }
    }

    /// The target of the Makefile that starts it.
    pub(super) fn target(self) -> &'static str {
        match self {
            Self::Postgres | Self::Broker | Self::JetStream | Self::Waybill => "up",
            Self::Prometheus | Self::Grafana => "observe",
        }
    }

    /// How it was started, when it still runs.
    pub(super) fn running(self, layout: &Layout) -> Option<Record> {
        let text = std::fs::read_to_string(layout.record(self.name())).ok()?;
        let record: Record = serde_json::from_str(&text).ok()?;
        let present = proc::command_line(Pid::from_raw(record.pid)?);
        is_same_program(&record.command, &present).then_some(record)
    }

    /// Stops it, by force in the end; answers whether it ran.
    pub(super) async fn stop(self, layout: &Layout) -> Result<bool> {
        let (signal, patience) = self.way_to_stop();
        let pid = self.running(layout).and_then(|record| Pid::from_raw(record.pid));
        if let Some(pid) = pid {
            kill_process(pid, signal).with_context(|| format!("cannot signal {self}"))?;
            let end = Instant::now() + patience;
            while proc::is_running(pid) && Instant::now() < end {
                sleep(PAUSE).await;
            }
            if proc::is_running(pid) {
                proc::kill_with_children(pid);
            }
            ensure!(!proc::is_running(pid), "{self} (process {pid}) cannot be stopped");
        }
        let _ = std::fs::remove_file(layout.record(self.name()));
        Ok(pid.is_some())
    }

    fn way_to_stop(self) -> (Signal, Duration) {
        match self {
            // Ends the sessions; SIGTERM would wait for them to end on their own.
            Self::Postgres => (Signal::INT, Duration::from_secs(30)),
            Self::Broker | Self::Grafana => (Signal::TERM, Duration::from_secs(10)),
            Self::JetStream | Self::Waybill | Self::Prometheus => {
                (Signal::TERM, Duration::from_secs(30))
            }
        }
    }
}

impl Record {
    /// Whether it was started as it is wanted now.
    pub(super) fn is(&self, wanted: &Wanted) -> bool {
        self.command == words(&wanted.command) && self.version == wanted.version
    }
}

impl fmt::Display for Daemon {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl fmt::Display for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        write!(formatter, "{} on 127.0.0.1:{}", self.pid, ports.join(", "))
    }
}

fn words(command: &Command) -> Vec<String> {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect()
}

/// A process number may have become another's. The command that runs is the recorded one
/// without what only prepares it (`setpriv …`), or with the interpreter of a script before it.
fn is_same_program(recorded: &[String], present: &[String]) -> bool {
    !present.is_empty() && (recorded.ends_with(present) || present.ends_with(recorded))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_process_number_that_became_anothers_is_not_ours() {
        let recorded = split("setpriv --reuid=1 /usr/bin/postgres -D /data");
        assert!(is_same_program(&recorded, &split("/usr/bin/postgres -D /data")));
        assert!(!is_same_program(&recorded, &split("/usr/bin/postgres -D /other")));
        assert!(!is_same_program(&recorded, &split("")));
        assert!(is_same_program(&split("/a/script up"), &split("/bin/sh /a/script up")));
    }

    #[test]
    fn another_version_of_the_same_command_is_not_what_is_wanted() {
        let record = Record {
            pid: 1,
            command: split("waybill serve"),
            version: "1".to_owned(),
            ports: vec![8080, 8081],
        };
        assert_eq!(record.to_string(), "1 on 127.0.0.1:8080, 8081");
        let mut command = Command::new("waybill");
        command.arg("serve");
        let daemon = Daemon::Waybill;
        let mut wanted = Wanted { daemon, command, version: "1".to_owned(), ports: Vec::new() };
        assert!(record.is(&wanted));
        wanted.version = "2".to_owned();
        assert!(!record.is(&wanted));
    }
}
