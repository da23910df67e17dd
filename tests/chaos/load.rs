//! Publishes all the time, straight to the servers, and writes down how each publish ended.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use order::generate::{Expected, Generated, Generator, Mix};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::ledger::Ledger;
use crate::outlet::{Link, Outlet};

const MIX: Mix = Mix { bad_ratio: 0.1, duplicate_ratio: 0.1 };

/// Of so many orders one is followed by another under the same uid.
const CONFLICTS: u32 = 20;

/// Messages are made, and their uids announced to the readers, so many ahead of time.
const AHEAD: usize = 50;

const TICK: Duration = Duration::from_millis(20);

/// Many messages at once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Storm {
    /// So many that must be refused.
    Poison(usize),
    /// So many orders, each sent three times and once more with other bytes, shuffled.
    Contest(usize),
}

/// The publisher.
pub(crate) struct Load {
    outlets: Vec<Outlet>,
    interval: f64,
    rng: fastrand::Rng,
    generator: Generator,
    poison: Generator,
    contest: Generator,
    /// What is announced and to be sent next.
    ahead: VecDeque<Generated>,
    ledger: Arc<Ledger>,
    outcomes: JoinSet<()>,
}

impl Load {
    pub(crate) fn new(outlets: Vec<Outlet>, seed: u64, rate: f64, ledger: Arc<Ledger>) -> Self {
        let bad = Mix { bad_ratio: 1.0, duplicate_ratio: 0.0 };
        Self {
            outlets,
            interval: 1.0 / rate,
            rng: fastrand::Rng::with_seed(seed),
            generator: Generator::new(seed, MIX),
            poison: Generator::new(seed ^ 1 << 62, bad),
            contest: Generator::new(seed ^ 1 << 63, Mix::default()),
            ahead: VecDeque::new(),
            ledger,
            outcomes: JoinSet::new(),
        }
    }

    /// Until `stop`; then every publish has its outcome.
    pub(crate) async fn run(
        mut self,
        storms: mpsc::UnboundedReceiver<Storm>,
        stop: CancellationToken,
    ) -> Result<()> {
        stop.run_until_cancelled(self.publish(storms)).await;
        while self.outcomes.join_next().await.is_some() {}
        Ok(())
    }

    async fn publish(&mut self, mut storms: mpsc::UnboundedReceiver<Storm>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut due = Instant::now();
        loop {
            let is_open = self.link().is_some();
            tokio::select! {
                _ = ticks.tick() => {
                    let now = Instant::now();
                    // What was missed while no server was there is not made up for.
                    due = due.max(now.checked_sub(TICK * 2).unwrap_or(now));
                    while due < now {
                        due += Duration::from_secs_f64(self.interval);
                        let Some(link) = self.link() else { continue };
                        let message = self.next_message();
                        self.send(link, &message);
                    }
                }
                Some(storm) = storms.recv(), if is_open => {
                    for message in self.storm(storm) {
                        let Some(link) = self.link() else { break };
                        self.send(link, &message);
                    }
                }
            }
            while self.outcomes.try_join_next().is_some() {}
        }
    }

    /// Any of the connections that are there.
    fn link(&mut self) -> Option<Arc<Link>> {
        let open: Vec<_> = self.outlets.iter().filter_map(Outlet::link).collect();
        self.rng.choice(open)
    }

    /// No message waits for the outcome of another: one server may be away, and the other not.
    fn send(&mut self, link: Arc<Link>, message: &Generated) {
        let digest = self.ledger.publish(message);
        let (ledger, payload) = (Arc::clone(&self.ledger), message.payload.clone());
        self.outcomes.spawn(async move {
            let outcome = link.publish(payload).await;
            ledger.published(digest, outcome);
        });
    }

    fn next_message(&mut self) -> Generated {
        while self.ahead.len() < AHEAD {
            let message = self.generator.by_ref().next().expect("the generator has no end");
            if let (Expected::Stored, Some(uid)) = (message.expected, &message.uid) {
                self.ledger.announce(uid.as_str());
                if self.rng.u32(..CONFLICTS) == 0 {
                    self.ahead.push_back(conflicting(&message, self.rng.u64(..)));
                }
            }
            self.ahead.push_back(message);
        }
        self.ahead.pop_front().expect("just filled")
    }

    fn storm(&mut self, storm: Storm) -> Vec<Generated> {
        match storm {
            Storm::Poison(count) => self.poison.by_ref().take(count).collect(),
            Storm::Contest(count) => {
                let orders: Vec<_> = self.contest.by_ref().take(count).collect();
                let mut all: Vec<_> = orders
                    .iter()
                    .flat_map(|order| {
                        let other = conflicting(order, self.rng.u64(..));
                        [order.clone(), order.clone(), order.clone(), other]
                    })
                    .collect();
                self.rng.shuffle(&mut all);
                all
            }
        }
    }
}

/// Another order under the same uid.
fn conflicting(order: &Generated, number: u64) -> Generated {
    let mut payload = order.payload.to_vec();
    payload.pop();
    payload.extend(format!(",\"other\":{number}}}").bytes());
    Generated { payload: Bytes::from(payload), ..order.clone() }
}
