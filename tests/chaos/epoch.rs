//! One world from its beginning to its check: load, faults, drain, judgement.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::bridge;
use crate::checker;
use crate::failover;
use crate::faults::inject;
use crate::ledger::{Ledger, now};
use crate::plan::{self, Fault};
use crate::power;
use crate::report::Tally;
use crate::world::{Settings, World};

/// Faults at work at the same time.
const AT_ONCE: usize = 3;

const PAUSE: Duration = Duration::from_millis(20);

/// What happens in one world.
#[derive(Debug, Clone)]
pub(crate) struct Epoch {
    pub(crate) settings: Settings,
    /// One after the other, each recovered from before the next.
    pub(crate) alone: Vec<Fault>,
    /// One into the other.
    pub(crate) mixed: Vec<Fault>,
}

impl Epoch {
    /// The tally, and a folder with the logs when something was found.
    pub(crate) async fn run(self) -> Result<(Tally, Option<PathBuf>)> {
        let mut world = Box::pin(World::begin(&self.settings)).await?;
        let ledger = Arc::clone(&world.ledger);
        if let Err(error) = self.happen(&mut world).await {
            // The logs tell why.
            ledger.violation("stuck", format!("the world broke down: {error:#}"));
        }
        let failed = !ledger.history().tally.is_clean();
        let logs = world.end(failed).await?;
        let tally = std::mem::take(&mut ledger.history().tally);
        Ok((tally, logs))
    }

    /// Everything in it, up to the judgement.
    async fn happen(self, world: &mut World) -> Result<()> {
        let Self { settings, alone, mixed } = self;
        world.start_replicas().await?;
        power::undermine(world, &settings).await?;
        for fault in alone {
            one(fault, world).await?;
        }
        if settings.power {
            in_turn(mixed, world).await?;
        } else {
            mix(mixed, world).await?;
        }
        world.end_load().await?;
        if settings.power {
            // What has come to rest must be there when all of them begin anew.
            drain(world).await;
            let last = plan::last_cut(settings.seed);
            world.ledger.history().tally.fault(last.kind);
            inject(last, world).await?;
        }
        drain(world).await;
        checker::check(world).await?;
        bridge::check(world).await
    }
}

async fn one(fault: Fault, world: &World) -> Result<()> {
    world.ledger.history().tally.fault(fault.kind);
    inject(fault, world).await?;
    recovery(fault, Arc::clone(&world.ledger), world.patience).await;
    Ok(())
}

/// Makes each fault when messages flow again after the one before, and have done so for a while.
async fn in_turn(faults: Vec<Fault>, world: &World) -> Result<()> {
    let mut recoveries = JoinSet::new();
    for fault in faults {
        world.ledger.history().tally.fault(fault.kind);
        inject(fault, world).await?;
        let (healed, moment) = (Instant::now(), now());
        recoveries.spawn(recovery(fault, Arc::clone(&world.ledger), world.patience));
        while !world.ledger.flows_since(moment) && healed.elapsed() < world.patience {
            sleep(PAUSE).await;
        }
        sleep(fault.gap).await;
    }
    recoveries.join_all().await;
    Ok(())
}

/// Begins each fault when its time has come, also while others are at work.
async fn mix(faults: Vec<Fault>, world: &World) -> Result<()> {
    let mut at_work = FuturesUnordered::new();
    let mut recoveries = JoinSet::new();
    let mut faults = faults.into_iter().peekable();
    let mut next = Instant::now();
    while faults.peek().is_some() || !at_work.is_empty() {
        let may_begin = faults.peek().is_some() && at_work.len() < AT_ONCE;
        tokio::select! {
            () = sleep_until(next), if may_begin => {
                let Some(fault) = faults.next() else { continue };
                next = Instant::now() + fault.gap;
                world.ledger.history().tally.fault(fault.kind);
                at_work.push(async move { inject(fault, world).await.map(|()| fault) });
            }
            Some(healed) = at_work.next() => {
                recoveries.spawn(recovery(healed?, Arc::clone(&world.ledger), world.patience));
            }
        }
    }
    recoveries.join_all().await;
    Ok(())
}

/// Measures from the end of a fault on.
async fn recovery(fault: Fault, ledger: Arc<Ledger>, patience: Duration) {
    let (healed, moment) = (Instant::now(), now());
    let until = async |condition: &(dyn Fn() -> bool + Sync)| {
        while !condition() && healed.elapsed() < patience {
            sleep(PAUSE).await;
        }
        (healed.elapsed() < patience).then(|| healed.elapsed())
    };
    let flowing = until(&|| ledger.flows_since(moment)).await;
    let caught_up = until(&|| ledger.has_caught_up_with(moment)).await;
    let mut history = ledger.history();
    if let (Some(flowing), Some(caught_up)) = (flowing, caught_up) {
        history.tally.recovered(fault.kind, flowing, caught_up);
    } else {
        let what = format!("{} is not recovered from after {patience:?}", fault.kind.name());
        history.tally.violation("stuck", what);
    }
}

/// Waits until the group has taken and acknowledged everything, and the observers have seen it.
async fn drain(world: &World) {
    let began = Instant::now();
    let drained = async || -> Result<()> {
        ensure!(world.lag().await == Some((0, 0)), "the group has not taken everything");
        let all = world.count_messages().await?;
        let seen = world.ledger.history().messages.len() as u64;
        ensure!(seen == all, "the observers have seen {seen} messages of {all}");
        // Until then nobody can say of an order that it does not exist.
        ensure!(failover::nothing_is_open(world).await?, "a repair is not done");
        Ok(())
    };
    loop {
        match drained().await {
            Ok(()) => break,
            Err(error) if began.elapsed() > world.patience => {
                let lag = world.lag().await;
                let what = format!(
                    "{error} after {:?}; undelivered and unacknowledged: {lag:?}",
                    world.patience
                );
                return world.ledger.violation("stuck", what);
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
    let tally = &mut world.ledger.history().tally;
    tally.slowest_drain = tally.slowest_drain.max(began.elapsed());
}
