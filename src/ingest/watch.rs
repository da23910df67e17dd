//! A session with a broker, as it is seen from outside.

use std::mem::{Discriminant, discriminant};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use crate::session::{Monitor, SessionState};

/// Where to look at the session from outside; empty until it begins. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Watch(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    monitor: OnceLock<Monitor>,
    /// The present state but for its details, and since when it is that.
    since: Mutex<Option<(Discriminant<SessionState>, SystemTime)>>,
}

impl Watch {
    /// The session; none before it begins, and on a replica that takes no messages.
    #[must_use]
    pub fn get(&self) -> Option<&Monitor> {
        self.0.monitor.get()
    }

    /// Since when the session is in its present state, whatever attempts fail meanwhile.
    #[must_use]
    pub fn since(&self) -> Option<SystemTime> {
        // Nothing in the critical sections panics half way, so a poisoned state is whole.
        let since = self.0.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map(|(_, since)| since)
    }

    /// Shows this session.
    pub(super) fn set(&self, monitor: Monitor) {
        // Set once, by the one consumer; a second session would be a second watch.
        let _ = self.0.monitor.set(monitor);
    }

    /// Notes since when the session is in its state, until it ends.
    pub(super) async fn follow(self) {
        let Some(mut changes) = self.get().map(Monitor::changes) else { return };
        loop {
            let present = discriminant(&changes.present());
            {
                let mut since = self.0.since.lock().unwrap_or_else(PoisonError::into_inner);
                if since.is_none_or(|(before, _)| before != present) {
                    *since = Some((present, SystemTime::now()));
                }
            }
            if !changes.changed().await {
                return;
            }
        }
    }
}
