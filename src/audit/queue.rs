//! Where records wait to be written, and what happens when too many do.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Record;
use crate::config::{self, OnOverflow};
use crate::metrics::Metrics;

/// How long an answer waits for its record to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// The record could not be written, so what it tells of must not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be recorded in the audit log now")]
pub struct NotRecorded;

/// A line on its way to the target.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) line: String,
    /// Told when the line is written.
    pub(super) written: Option<oneshot::Sender<()>>,
}

/// Takes records. Clones share one queue.
#[derive(Debug, Clone)]
pub struct Audit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: mpsc::Sender<Entry>,
    on_overflow: OnOverflow,
    metrics: Metrics,
}

impl Audit {
    pub(super) fn new(
        settings: &config::Audit,
        metrics: &Metrics,
    ) -> (Self, mpsc::Receiver<Entry>) {
        let (queue, waiting) = mpsc::channel(settings.queue_records);
        let on_overflow = settings.on_overflow;
        (Self(Arc::new(Inner { queue, on_overflow, metrics: metrics.clone() })), waiting)
    }

    /// Gives the record away. What it tells of may happen when this returns.
    ///
    /// With `audit.on_overflow = refuse` that is when it is written, and with `block` and `drop`
    /// when it waits to be.
    ///
    /// # Errors
    /// With `refuse`, when it is not written within a second; it may still be written later, so
    /// that the log can tell of what was refused, and never lacks what was not. With `block`, when
    /// the process ends.
    pub async fn record(&self, record: &Record) -> Result<(), NotRecorded> {
        let line = record.line();
        let recorded = match self.0.on_overflow {
            OnOverflow::Refuse => self.written(line).await,
            OnOverflow::Block => {
                let entry = Entry { line, written: None };
                self.0.queue.send(entry).await.map_err(|_| NotRecorded)
            }
            OnOverflow::Drop => {
                if self.0.queue.try_send(Entry { line, written: None }).is_err() {
                    self.0.metrics.audit.dropped.inc();
                }
                Ok(())
            }
        };
        if recorded.is_err() {
            self.0.metrics.audit.refused.inc();
        }
        recorded
    }

    async fn written(&self, line: String) -> Result<(), NotRecorded> {
        let (sender, written) = oneshot::channel();
        let entry = Entry { line, written: Some(sender) };
        self.0.queue.try_send(entry).map_err(|_| NotRecorded)?;
        match timeout(PATIENCE, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(NotRecorded),
        }
    }
}
