//! Publishes all the time, straight to the broker, and writes down how each publish ended.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use order::generate::{Expected, Generated, Generator, Mix};
use stan::ConnectionState;
use stan::{Connection, Options, PublishError};
use testbed::broker::CLUSTER_ID;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::ledger::{Ledger, Outcome};
use crate::world::CHANNEL;

const MIX: Mix = Mix { bad_ratio: 0.1, duplicate_ratio: 0.1 };

/// Of so many orders one is followed by another under the same uid.
const CONFLICTS: u32 = 20;

/// Messages are made, and their uids announced to the readers, so many ahead of time.
const AHEAD: usize = 50;

const TICK: Duration = Duration::from_millis(20);

/// How long a publish may take before its outcome counts as unknown.
const PUB_ACK_TIMEOUT: Duration = Duration::from_secs(4);

/// Time between two attempts to reach the broker.
const RETRY: Duration = Duration::from_millis(100);

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
    options: Options,
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
    pub(crate) fn new(url: &str, seed: u64, rate: f64, ledger: Arc<Ledger>) -> Self {
        let mut options = Options::new(url, CLUSTER_ID, "publisher");
        options.request_timeout = Duration::from_millis(500);
        options.ping_interval = Duration::from_secs(1);
        options.ping_max_out = 2;
        options.pub_ack_timeout = PUB_ACK_TIMEOUT;
        let bad = Mix { bad_ratio: 1.0, duplicate_ratio: 0.0 };
        Self {
            options,
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
        mut storms: mpsc::UnboundedReceiver<Storm>,
        stop: CancellationToken,
    ) -> Result<()> {
        let publishing = async {
            loop {
                let connection = self.connect().await;
                self.publish(&connection, &mut storms).await;
            }
        };
        stop.run_until_cancelled(Box::pin(publishing)).await;
        while self.outcomes.join_next().await.is_some() {}
        Ok(())
    }

    async fn connect(&self) -> Connection {
        loop {
            match Connection::connect(self.options.clone()).await {
                Ok(connection) => return connection,
                Err(_) => sleep(RETRY).await,
            }
        }
    }

    /// For as long as the registration holds.
    async fn publish(
        &mut self,
        connection: &Connection,
        storms: &mut mpsc::UnboundedReceiver<Storm>,
    ) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut due = Instant::now();
        while *connection.state().borrow() == ConnectionState::Open {
            tokio::select! {
                _ = ticks.tick() => {
                    let now = Instant::now();
                    // What was missed while the broker was away is not made up for.
                    due = due.max(now.checked_sub(TICK * 2).unwrap_or(now));
                    while due < now {
                        let message = self.next_message();
                        self.send(connection, &message).await;
                        due += Duration::from_secs_f64(self.interval);
                    }
                }
                Some(storm) = storms.recv() => {
                    for message in self.storm(storm) {
                        self.send(connection, &message).await;
                    }
                }
            }
            while self.outcomes.try_join_next().is_some() {}
        }
    }

    async fn send(&mut self, connection: &Connection, message: &Generated) {
        let digest = self.ledger.publish(message);
        let sent = connection.publish_async(CHANNEL, message.payload.clone()).await;
        match sent {
            Ok(ack) => {
                let ledger = Arc::clone(&self.ledger);
                self.outcomes.spawn(async move { ledger.published(digest, outcome(&ack.await)) });
            }
            Err(error) => self.ledger.published(digest, outcome(&Err(error))),
        }
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

fn outcome(outcome: &Result<(), PublishError>) -> Outcome {
    match outcome {
        Ok(()) => Outcome::Confirmed,
        Err(PublishError::Disconnected | PublishError::TooLarge { .. }) => Outcome::Unsent,
        Err(_) => Outcome::Maybe,
    }
}
