//! Whether the broker's monitor answers, or JetStream.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use humantime::format_rfc3339_seconds;

use crate::metrics::Lag;

/// Whether the broker's monitor answers, or JetStream, as last seen. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MonitorState<L = Lag>(Arc<Mutex<MonitorReply<L>>>);

/// What came of the last look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MonitorReply<L = Lag> {
    /// The settings name no monitor.
    #[default]
    NotConfigured,
    /// Nobody has looked yet.
    NotAsked,
    /// It answers: where the group stands.
    Answers(L),
    /// It does not answer.
    Silent {
        /// When it first did not.
        since: SystemTime,
        /// What came of the last attempt.
        why: String,
    },
}

impl<L: Clone> MonitorState<L> {
    fn lock(&self) -> MutexGuard<'_, MonitorReply<L>> {
        // Nothing in the critical sections panics half way, so a poisoned state is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of the last look.
    #[must_use]
    pub fn reply(&self) -> MonitorReply<L> {
        self.lock().clone()
    }

    /// There is one, which was not asked yet.
    pub(super) fn configured(&self) {
        *self.lock() = MonitorReply::NotAsked;
    }

    /// Notes an answer; whether it is the first after a silence.
    pub(super) fn answers(&self, lag: L) -> bool {
        let before = std::mem::replace(&mut *self.lock(), MonitorReply::Answers(lag));
        matches!(before, MonitorReply::Silent { .. })
    }

    /// Notes that there was no answer; whether that is the first time in a row.
    pub(super) fn silent(&self, why: String) -> bool {
        let mut reply = self.lock();
        if let MonitorReply::Silent { why: last, .. } = &mut *reply {
            *last = why;
            return false;
        }
        *reply = MonitorReply::Silent { since: SystemTime::now(), why };
        true
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
