//! Publishes orders at a steady rate and measures, from outside, when each is served.

mod ask;
mod results;
mod stage;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::HeaderValue;
use order::generate::{Generated, Generator, Mix};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::broker::link::{Destination, Link};
use crate::config::Settings;
use crate::load::ingested::Order;
use crate::tls::ClientTls;
use crate::verify::Replica;
use ask::Asker;
pub(crate) use results::Results;
pub(crate) use stage::Stage;

/// How long the broker and the service may be away before the first stage.
const START_WITHIN: Duration = Duration::from_mins(1);

/// Orders whose outcome is awaited at the same time. Beyond it sending waits, and the stage gets
/// fewer orders than it was asked for.
const MAX_IN_FLIGHT: usize = 65_536;

/// Orders of those that may be unconfirmed.
const MAX_UNCONFIRMED: usize = 16_384;

/// How long sending may go on after the end of a stage to catch up.
const CATCH_UP: Duration = Duration::from_secs(1);

/// How long a stage waits, after its end, for orders that are not served yet.
const DRAIN: Duration = Duration::from_secs(30);

/// Publishes to a broker and asks a service for what it published.
pub(crate) struct Ingest {
    link: Link,
    asker: Asker,
}

impl Ingest {
    /// Connects to the broker of `settings` and waits until `service` answers lookups.
    ///
    /// # Errors
    /// The broker or the service is away for a minute.
    pub(crate) async fn connect(
        settings: &Settings,
        tls: &ClientTls,
        service: Replica,
        authorization: Option<HeaderValue>,
    ) -> anyhow::Result<Self> {
        let destination = Destination::new(settings, settings.main_source(), MAX_UNCONFIRMED)?;
        let addresses = destination.addresses().to_owned();
        let link = Link::connect(destination, START_WITHIN, |_| ()).await;
        let link = link.with_context(|| format!("cannot connect to {addresses}"))?;
        let asker = Asker::new(tls, service, authorization);
        asker.until_reached(START_WITHIN).await?;
        Ok(Self { link, asker })
    }

    /// Publishes the orders of a stage, each when it is due whatever became of those before, and
    /// gives each to `record` as soon as its outcome is known. The number of orders.
    ///
    /// # Errors
    /// Those of `record`.
    pub(crate) async fn run(
        &self,
        stage: Stage,
        mut record: impl FnMut(Order) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        let clock = Clock::start();
        let end = clock.started + stage.duration;
        let mut orders = Generator::new(fastrand::u64(..), Mix::default()).zip(stage.due());
        let mut in_flight = FuturesUnordered::new();
        let (mut sent, mut next) = (0, orders.next());
        while let Some((_, due)) = &next {
            let has_room = in_flight.len() < MAX_IN_FLIGHT;
            tokio::select! {
                Some(order) = in_flight.next() => record(order)?,
                () = sleep_until(clock.started + *due), if has_room => {
                    if let Some((order, _)) = next.take() {
                        in_flight.push(self.follow(order, clock, end + DRAIN));
                        sent += 1;
                        next = orders.next();
                    }
                }
                () = sleep_until(end + CATCH_UP) => break,
            }
        }
        while let Some(order) = in_flight.next().await {
            record(order)?;
        }
        Ok(sent)
    }

    /// Publishes an order now and asks for it until it is served, or until `deadline`.
    fn follow(
        &self,
        order: Generated,
        clock: Clock,
        deadline: Instant,
    ) -> impl Future<Output = Order> {
        let sent = Instant::now();
        async move {
            let now = || Some(clock.unix_ns(Instant::now()));
            let failed = |what: Order, error: String| Order { error: Some(error), ..what };
            let sent_at = clock.unix_ns(sent);
            let mut outcome = Order { sent: sent_at, confirmed: None, served: None, error: None };
            let published =
                timeout_at(deadline, async { self.link.publish(order.payload).await?.await });
            match published.await {
                Ok(Ok(())) => outcome.confirmed = now(),
                Ok(Err(error)) => return failed(outcome, format!("not confirmed: {error}")),
                Err(_) => return failed(outcome, "not confirmed: no answer".to_owned()),
            }
            let uid = order.uid.expect("a mix without bad messages has orders alone");
            match self.asker.until_served(uid.as_str(), sent, deadline).await {
                Ok(served) => outcome.served = Some(clock.unix_ns(served)),
                Err(last) => return failed(outcome, format!("not served: {last}")),
            }
            outcome
        }
    }

    /// Takes leave of the broker.
    pub(crate) async fn close(self) {
        self.link.close().await;
    }
}

/// Wall-clock times that never step back, as the system's own may.
#[derive(Debug, Clone, Copy)]
struct Clock {
    started: Instant,
    unix: Duration,
}

impl Clock {
    fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), unix }
    }

    /// Nanoseconds since 1970.
    fn unix_ns(&self, at: Instant) -> i64 {
        let since = self.unix + at.saturating_duration_since(self.started);
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }
}
