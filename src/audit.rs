//! The audit log: who read or changed what, when, and what came of it.
//!
//! Whoever acts gives a [`Record`] to [`Audit`]; it waits in a bounded queue (`queue`) for the
//! writer (`writer`), which appends whatever waits to the target (`target`) at once. What happens
//! when a record cannot be written is told by `audit.on_overflow`. Where nothing is audited there
//! is no [`Audit`] at all. Commands write their records by themselves (`command`).

mod command;
mod queue;
mod record;
mod target;
mod writer;

use crate::config::{self, SettingsError};
use crate::metrics::Metrics;
use crate::store::Store;
pub use command::CommandLog;
pub use queue::{Audit, NotRecorded};
pub use record::{Action, Actor, Outcome, Record};
use target::Target;
pub use writer::AuditWriter;

/// The audit log that the settings ask for: where records are given, and the task that writes
/// them. Nothing when nothing is audited.
///
/// # Errors
/// A file that cannot be opened for appending.
pub fn open(
    settings: &config::Audit,
    store: &Store,
    metrics: &Metrics,
) -> Result<Option<(Audit, AuditWriter)>, SettingsError> {
    let Some(target) = Target::of(settings, store, Target::Stdout)? else { return Ok(None) };
    let (audit, queue) = Audit::new(settings, metrics);
    Ok(Some((audit, AuditWriter::new(queue, target, metrics.clone()))))
}
