//! Whether the broker's monitor answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use humantime::format_rfc3339_seconds;

use crate::metrics::Lag;

/// Whether the broker's monitor answers, as last seen. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MonitorState(Arc<Mutex<MonitorReply>>);

/// What came of the last look at the broker's monitor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MonitorReply {
    /// The settings name no monitor.
    #[default]
    NotConfigured,
    /// Nobody has looked yet.
    NotAsked,
    /// It answers: where the group stands.
    Answers(Lag),
    /// It does not answer.
    Silent {
        /// When it first did not.
        since: SystemTime,
        /// What came of the last attempt.
        why: String,
    },
}

impl MonitorState {
    fn lock(&self) -> MutexGuard<'_, MonitorReply> {
        // Nothing in the critical sections panics half way, so a poisoned state is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of the last look.
    #[must_use]
    pub fn reply(&self) -> MonitorReply {
        self.lock().clone()
    }

    /// There is one, which was not asked yet.
    pub(super) fn configured(&self) {
        *self.lock() = MonitorReply::NotAsked;
    }

    /// Notes an answer; the first one after a silence is told in the log.
    pub(super) fn answers(&self, lag: Lag) {
        let before = std::mem::replace(&mut *self.lock(), MonitorReply::Answers(lag));
        if let MonitorReply::Silent { .. } = before {
            tracing::info!("The broker's monitor answers again");
        }
    }

    /// Notes that there was no answer; the first time in a row is told in the log.
    pub(super) fn silent(&self, why: String) {
        let mut reply = self.lock();
        if let MonitorReply::Silent { why: last, .. } = &mut *reply {
            *last = why;
            return;
        }
        *reply = MonitorReply::Silent { since: SystemTime::now(), why: why.clone() };
        drop(reply);
        tracing::warn!(
            error = why,
            "The broker's monitor does not answer; until it does, lag and losses are not known"
        );
    }

    /// The state in words.
    ///
    /// # Errors
    /// Since when it does not answer, and why.
    pub fn describe(&self) -> Result<String, String> {
        match self.reply() {
            MonitorReply::NotConfigured => Ok("not configured (broker.monitor_url)".to_owned()),
            MonitorReply::NotAsked => Ok("not asked yet".to_owned()),
            MonitorReply::Answers(_) => Ok("answers".to_owned()),
            MonitorReply::Silent { since, why } => {
                Err(format!("no answer since {}: {why}", format_rfc3339_seconds(since)))
            }
        }
    }
}
