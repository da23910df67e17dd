//! Whether the broker's monitor answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use humantime::format_rfc3339_seconds;

/// Whether the broker's monitor answers, as last seen. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MonitorState(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    #[default]
    NotConfigured,
    NotAsked,
    Answers,
    Silent {
        since: SystemTime,
        why: String,
    },
}

impl MonitorState {
    fn replace(&self, next: State) -> State {
        // Nothing in the critical sections panics half way, so a poisoned state is whole.
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), next)
    }

    /// There is one, which was not asked yet.
    pub(super) fn configured(&self) {
        self.replace(State::NotAsked);
    }

    /// Notes an answer; the first one after a silence is told in the log.
    pub(super) fn answers(&self) {
        if let State::Silent { .. } = self.replace(State::Answers) {
            tracing::info!("The broker's monitor answers again");
        }
    }

    /// Notes that there was no answer; the first time in a row is told in the log.
    pub(super) fn silent(&self, why: String) {
        let since = if let State::Silent { since, .. } = self.replace(State::NotAsked) {
            since
        } else {
            tracing::warn!(
                error = why,
                "The broker's monitor does not answer; until it does, lag and losses are not known"
            );
            SystemTime::now()
        };
        self.replace(State::Silent { since, why });
    }

    /// The state in words.
    ///
    /// # Errors
    /// Since when it does not answer, and why.
    pub fn describe(&self) -> Result<String, String> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            State::NotConfigured => Ok("not configured (broker.monitor_url)".to_owned()),
            State::NotAsked => Ok("not asked yet".to_owned()),
            State::Answers => Ok("answers".to_owned()),
            State::Silent { since, why } => {
                Err(format!("no answer since {}: {why}", format_rfc3339_seconds(*since)))
            }
        }
    }
}
