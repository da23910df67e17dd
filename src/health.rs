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
    /// Lookups are welcome.
    Ready,
    /// On the way out.
    Draining,
}

/// The phase, shared by those who change it and those who tell it.
#[derive(Debug, Clone)]
pub struct Health(Arc<watch::Sender<Phase>>);

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Preparing(None))))
    }
}

impl Health {
    /// Moves on; a replica that drains stays so.
    pub fn enter(&self, next: Phase) {
        self.0.send_if_modified(|phase| {
            let moves = !matches!(phase, Phase::Draining);
            if moves {
                *phase = next;
            }
            moves
        });
    }

    /// Whether lookups should be sent here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(*self.0.borrow(), Phase::Ready)
    }

    /// Whether the warm-up is over.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        matches!(*self.0.borrow(), Phase::Ready | Phase::Draining)
    }

    /// The phase in words, such as `warming 43 %`.
    #[must_use]
    pub fn describe(&self) -> String {
        match &*self.0.borrow() {
            Phase::Preparing(None) => "waiting for postgres and the schema".to_owned(),
            Phase::Preparing(Some(why)) => format!("waiting for postgres and the schema: {why}"),
            Phase::Warming(progress) => {
                format!("warming {:.0} %", (progress.ratio() * 100.0).floor())
            }
            Phase::Ready => "ready".to_owned(),
            Phase::Draining => "draining".to_owned(),
        }
    }

    /// How far the warm-up is, 0 to 1.
    #[must_use]
    pub fn warm_ratio(&self) -> f64 {
        match &*self.0.borrow() {
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
}
