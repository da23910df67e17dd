//! The task that writes what waits.

use std::time::Duration;

use backon::BackoffBuilder as _;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::queue::Entry;
use super::target::Target;
use crate::log_limit::LogLimit;
use crate::metrics::Metrics;
use crate::retry;

/// Records that are written at once.
const AT_ONCE: usize = 1_000;

/// How long records that nobody waits for are gathered, so that many are written at once.
const GATHER_FOR: Duration = Duration::from_millis(5);

/// How long after a failure the target is tried again, at first.
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// The same at the most.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Writes records until it is stopped, and then what still waits.
#[derive(Debug)]
pub struct AuditWriter {
    queue: mpsc::Receiver<Entry>,
    target: Target,
    metrics: Metrics,
    limit: LogLimit,
}

impl AuditWriter {
    pub(super) fn new(queue: mpsc::Receiver<Entry>, target: Target, metrics: Metrics) -> Self {
        Self { queue, target, metrics, limit: LogLimit::new() }
    }

    /// Runs until `stop`, which must come after the last record was given.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut entries = Vec::with_capacity(AT_ONCE);
        loop {
            let received = tokio::select! {
                received = self.queue.recv_many(&mut entries, AT_ONCE) => received,
                () = stop.cancelled(), if !self.queue.is_closed() => {
                    self.queue.close();
                    continue;
                }
            };
            if received == 0 {
                return;
            }
            let is_awaited = entries.iter().any(|entry| entry.written.is_some());
            self.write(&mut entries).await;
            if !is_awaited {
                let _ = timeout(GATHER_FOR, stop.cancelled()).await;
            }
        }
    }

    /// Writes the entries, however often that takes, and tells those who wait for them.
    async fn write(&mut self, entries: &mut Vec<Entry>) {
        let lines: Vec<&str> = entries.iter().map(|entry| entry.line.as_str()).collect();
        let mut delays = retry::exponential(FIRST_DELAY, LONGEST_DELAY).build();
        while let Err(error) = self.target.append(&lines).await {
            self.metrics.audit.write_failures.inc();
            if let Some(held_back) = self.limit.due() {
                tracing::error!(
                    error = format!("{error:#}"),
                    held_back,
                    "The audit log cannot be written, retrying"
                );
            }
            tokio::time::sleep(delays.next().unwrap_or(LONGEST_DELAY)).await;
        }
        self.metrics.audit.written.inc_by(lines.len() as u64);
        for entry in entries.drain(..) {
            // Whoever gave up waiting does not want to know.
            entry.written.map(|written| written.send(()));
        }
    }
}
