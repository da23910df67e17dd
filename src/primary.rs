//! Which primary of Postgres the service works with, and what follows when that is another one.
//!
//! A primary that was lost may have taken commits along that its standby never got. Their messages
//! are acknowledged, so the broker does not send them again; the channel or stream still has them.
//! So whoever notices another primary asks for a repair, forgets the orders in memory, and says of
//! no order that it does not exist until the repair is done.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::log_limit::LogLimit;
use crate::metrics::Metrics;
use crate::store::{Class, Error, Primary, Repair, Standpoint, Store};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long the server may take to answer. One that is silent may be cut off, and another one
/// the primary by now.
const WITHIN: Duration = Duration::from_secs(2);

/// Ids of lost orders that are kept to be told.
const MOST_KEPT: usize = 1_000;

/// What is known of the primary. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct PrimaryState {
    known: Arc<watch::Sender<Known>>,
    lost: Arc<Mutex<Vec<String>>>,
}

/// What was seen last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Whether anybody was asked; nothing is read or written before, for what is read from a
    /// primary that is not known would not be forgotten with it.
    pub looked: bool,
    /// None until a primary was asked.
    pub primary: Option<Primary>,
    /// What that was marked with when it was noted.
    pub mark: Option<String>,
    /// How often it was another one than before.
    pub changes: u64,
    /// Whether a repair is not finished yet.
    pub repairing: bool,
    /// The repair that was asked for last.
    pub repair: Option<Repair>,
}

impl PrimaryState {
    /// What is known now.
    #[must_use]
    pub fn get(&self) -> Known {
        self.known.borrow().clone()
    }

    /// Whether orders may be missing that were acknowledged, so that nobody can say of one that it
    /// does not exist.
    #[must_use]
    pub fn is_repairing(&self) -> bool {
        self.known.borrow().repairing
    }

    /// Waits until anybody was asked.
    pub async fn looked(&self) {
        // An error means that nobody looks any more.
        let _ = self.known.subscribe().wait_for(|known| known.looked).await;
    }

    /// Keeps the ids of orders that were served and are lost, to be told.
    pub fn lose(&self, uids: Vec<String>) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.extend(uids);
        lost.truncate(MOST_KEPT);
    }

    /// The ids of orders that were served and are lost: the first thousand.
    #[must_use]
    pub fn lost(&self) -> Vec<String> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes of it, to be watched.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        self.known.send_if_modified(|known| {
            let before = known.clone();
            change(known);
            *known != before
        });
    }
}

/// Looks every second at which primary there is.
#[derive(Debug)]
pub struct PrimaryWatch {
    /// The Postgres that is asked.
    pub store: Store,
    /// What it finds.
    pub state: PrimaryState,
    /// Counts changes.
    pub metrics: Metrics,
    /// Names this replica in what it asks for.
    pub replica: String,
    /// Whether a change calls for a repair; not where this replica takes no messages.
    pub auto_repair: bool,
}

impl PrimaryWatch {
    /// Looks until `stop`. The schema must be there.
    pub async fn run(self, stop: CancellationToken) {
        let mut looks = interval(INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let limit = LogLimit::default();
        let mut noted = None;
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            let Some(Err(error)) = stop.run_until_cancelled(self.look(&mut noted)).await else {
                continue;
            };
            if let Some(held_back) = limit.due() {
                tracing::warn!(%error, held_back, "It is not known whether the primary has changed");
            }
            // One that does not tell is no reason not to work.
            if error.class() == Class::Configuration {
                self.state.change(|known| known.looked = true);
            }
        }
    }

    /// `noted` is what this replica has noted in Postgres: the primary, and its mark.
    async fn look(&self, noted: &mut Option<(Primary, String)>) -> Result<(), Error> {
        self.store.look_for_server().await;
        let asked = timeout(WITHIN, self.store.standpoint()).await;
        let Standpoint { primary, mut mark, repairs_pending, repair } =
            asked.map_err(|_| Error::no_answer(WITHIN))??;
        // A standby does not say what is to come.
        let Some(primary) = primary else {
            self.state.change(|known| known.looked = true);
            return Ok(());
        };
        self.compare(&primary, mark.as_ref())?;
        let mut repairing = repairs_pending;
        let is_noted =
            noted.as_ref().is_some_and(|(it, its)| *it == primary && mark.as_ref() == Some(its));
        if self.auto_repair && !is_noted {
            let now = self.store.note_primary(&primary, &self.replica, noted.is_some()).await?;
            // Where another one is about to note it, a repair may be asked for at the next look.
            repairing |= now.repair_asked || now.mark.is_none();
            mark = now.mark;
            if let Some(mark) = &mark {
                *noted = Some((primary.clone(), mark.clone()));
            }
        }
        self.metrics.primary.repair_pending.set(repairing.into());
        self.state.change(|known| {
            known.looked = true;
            known.primary = Some(primary);
            known.mark = mark;
            known.repairing = repairing;
            known.repair = repair;
        });
        Ok(())
    }

    /// Tells whether it is the primary that is known.
    fn compare(&self, primary: &Primary, mark: Option<&String>) -> Result<(), Error> {
        match self.state.get() {
            Known { primary: Some(before), .. } if before.is_later_than(primary) => {
                self.store.renew_connections();
                return Err(Error::OldPrimary {
                    now: before.to_string(),
                    old: primary.to_string(),
                });
            }
            // One that had no mark yet is given it by whoever comes first.
            Known { primary: Some(before), mark: known, .. }
                if before == *primary && (known.is_none() || known.as_ref() == mark) => {}
            // After a standby too: it may have had what this one lacks.
            Known { primary: before, looked: true, .. } => self.changed(before.as_ref(), primary),
            Known { looked: false, .. } => self.store.refuse_before(primary),
        }
        Ok(())
    }

    /// At once, before anything is asked of the new primary.
    fn changed(&self, before: Option<&Primary>, now: &Primary) {
        self.store.refuse_before(now);
        self.store.renew_connections();
        if let Some(before) = before {
            tracing::warn!(
                %before,
                %now,
                "Postgres is another primary than before; orders in memory are forgotten, and what \
                 it may lack is looked for"
            );
            self.metrics.primary.changes.inc();
        }
        self.state.change(|known| {
            known.primary = Some(now.clone());
            known.mark = None;
            known.changes += 1;
            known.repairing |= before.is_some() && self.auto_repair;
        });
    }
}
