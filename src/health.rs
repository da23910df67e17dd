//! Whether this replica is alive, ready, and what it depends on.

use std::sync::Arc;

use tokio::sync::watch;

use crate::store::Progress;

/// Where the replica stands between start and stop.
#[derive(Debug, Clone)]
pub enum Phase {
    /// The schema is not known to be there yet; why, if that is known.
    Preparing(Option<String>),
    /// The cache is being filled.
    Warming(Arc<Progress>),
    /// The warm-up is over, and load balancers may send lookups here.
    Ready,
    /// A stop was requested: no new lookups, those under way are answered.
    Draining,
}

/// The phase, and whether lookups are welcome before the cache is warm.
#[derive(Debug)]
struct State {
    phase: Phase,
    cold: bool,
}

/// The state, shared by those who change it and those who tell it.
#[derive(Debug, Clone)]
pub struct Health(Arc<watch::Sender<State>>);

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(State { phase: Phase::Preparing(None), cold: false })))
    }
}

impl Health {
    /// Moves on; a replica that drains stays so.
    pub fn enter(&self, next: Phase) {
        self.0.send_if_modified(|state| {
            let moves = !matches!(state.phase, Phase::Draining);
            if moves {
                state.phase = next;
            }
            moves
        });
    }

    /// Says whether lookups are welcome before the cache is warm; whether that is news.
    #[must_use]
    pub fn set_cold(&self, cold: bool) -> bool {
        self.0.send_if_modified(|state| std::mem::replace(&mut state.cold, cold) != cold)
    }

    /// Whether lookups should be sent here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let state = self.0.borrow();
        match state.phase {
            Phase::Preparing(_) | Phase::Warming(_) => state.cold,
            Phase::Ready => true,
            Phase::Draining => false,
        }
    }

    /// Whether the schema is not known to be there yet.
    #[must_use]
    pub fn is_preparing(&self) -> bool {
        matches!(self.0.borrow().phase, Phase::Preparing(_))
    }

    /// Whether the warm-up is over.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        matches!(self.0.borrow().phase, Phase::Ready | Phase::Draining)
    }

    /// The name of the phase: `preparing`, `warming`, `ready` or `draining`.
    #[must_use]
    pub fn phase(&self) -> &'static str {
        match self.0.borrow().phase {
            Phase::Preparing(_) => "preparing",
            Phase::Warming(_) => "warming",
            Phase::Ready => "ready",
            Phase::Draining => "draining",
        }
    }

    /// The state in words, such as `warming 43 %` or `ready, cache not warmed: warming 43 %`.
    #[must_use]
    pub fn describe(&self) -> String {
        let state = self.0.borrow();
        let phase = match &state.phase {
            Phase::Preparing(None) => "waiting for postgres and the schema".to_owned(),
            Phase::Preparing(Some(why)) => format!("waiting for postgres and the schema: {why}"),
            Phase::Warming(progress) => {
                format!("warming {:.0} %", (progress.ratio() * 100.0).floor())
            }
            Phase::Ready => return "ready".to_owned(),
            Phase::Draining => return "draining".to_owned(),
        };
        if state.cold { format!("ready, cache not warmed: {phase}") } else { phase }
    }

    /// How far the warm-up is, 0 to 1.
    #[must_use]
    pub fn warm_ratio(&self) -> f64 {
        match &self.0.borrow().phase {
            Phase::Preparing(_) => 0.0,
            Phase::Warming(progress) => progress.ratio(),
            Phase::Ready | Phase::Draining => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draining_replica_is_never_ready_again() {
        let health = Health::default();
        assert!(!health.is_ready());
        health.enter(Phase::Ready);
        assert!(health.is_ready());
        health.enter(Phase::Draining);
        health.enter(Phase::Ready);
        assert!(!health.is_ready());
        assert_eq!(health.describe(), "draining");
    }

    #[test]
    fn a_cold_replica_is_ready_and_says_what_it_waits_for() {
        let health = Health::default();
        assert!(health.set_cold(true) && !health.set_cold(true), "news once");
        assert!(health.is_ready() && !health.is_warm());
        let waiting = "ready, cache not warmed: waiting for postgres and the schema";
        assert_eq!(health.describe(), waiting);
        health.enter(Phase::Warming(Arc::default()));
        assert!(health.is_ready() && !health.is_warm(), "Postgres is back and answers");
        assert_eq!(health.describe(), "ready, cache not warmed: warming 0 %");
        health.enter(Phase::Ready);
        assert_eq!(health.describe(), "ready");
        health.enter(Phase::Draining);
        assert!(!health.is_ready());
    }
}
