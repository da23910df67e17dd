//! Puts back what a new primary of Postgres lacks, one replica at a time.
//!
//! Who repairs holds a lock of the database, and notes how far it is, so that another goes on when
//! it ends. It reads each source from its first message to the newest of when it began: what is
//! acknowledged later is acknowledged after a commit on the new primary. Between two batches
//! Postgres gets as much time for others as they took.

use std::fmt;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::broker;
use crate::config::Settings;
use crate::ingest::Limits;
use crate::log_limit::LogLimit;
use crate::metrics::Metrics;
use crate::primary::PrimaryState;
use crate::ranges::Ranges;
use crate::reconcile::{
    ChannelOrigin, End, Finding, Kind, Observer, Origin, Reconcile, StreamOrigin, Tally, Waiting,
};
use crate::source::Source;
use crate::store::{RepairClaim, Store};

/// From the notice of a change to the repair: by then the other replicas have noticed it too, and
/// acknowledge nothing any more by what they committed on the primary before.
const GRACE: Duration = Duration::from_secs(3);

/// Time between two attempts.
const RETRY: Duration = Duration::from_secs(2);

/// How long a server may be away before the repair is given back, and begun again where it was.
const PATIENCE: Duration = Duration::from_mins(1);

/// Time between two notes of how far it is.
const NOTE: Duration = Duration::from_secs(1);

/// Repairs whenever it is asked for.
#[derive(Debug)]
pub struct Repairer {
    /// Where orders come from, and the limits of batches.
    pub settings: Settings,
    /// The Postgres that is repaired.
    pub store: Store,
    /// Tells when.
    pub state: PrimaryState,
    /// Counts what is put back.
    pub metrics: Metrics,
}

impl Repairer {
    /// Repairs when there is something to repair, until `stop`. On a thread of its own: a
    /// comparison keeps to the one that it began on.
    pub async fn run(self, stop: CancellationToken) {
        let runtime = Handle::current();
        let thread = spawn_blocking(move || {
            runtime.block_on(stop.run_until_cancelled(self.repair_whenever_asked()));
        });
        if let Err(Ok(panic)) = thread.await.map_err(JoinError::try_into_panic) {
            // It goes on where it can be seen.
            std::panic::resume_unwind(panic);
        }
    }

    async fn repair_whenever_asked(&self) {
        let limit = LogLimit::default();
        let mut known = self.state.watch();
        // An error means that the watch has ended.
        while known.wait_for(|known| known.repairing).await.is_ok() {
            sleep(GRACE).await;
            if let Err(error) = self.repair().await
                && let Some(held_back) = limit.due()
            {
                let error = format!("{error:#}");
                tracing::warn!(error, held_back, "The repair stands still; trying again");
            }
            sleep(RETRY).await;
        }
    }

    /// Does what is asked for, unless another replica does it.
    async fn repair(&self) -> anyhow::Result<()> {
        let Some(mut claim) = self.store.claim_repair().await? else { return Ok(()) };
        tracing::info!(repair = claim.id, "Looking for what the new primary may lack");
        let began = Instant::now();
        let mut sum = Sum::default();
        for origin in self.origins()? {
            self.compare(origin, &mut claim, &mut sum).await?;
        }
        let (repair, gone) = (claim.id, format!("{:?}", claim.gone));
        claim.finish().await?;
        let (orders, rejects) = (sum.orders, sum.rejects);
        let duration_ms = began.elapsed().as_secs_f64() * 1e3;
        tracing::warn!(
            repair,
            orders,
            rejects,
            gone,
            duration_ms,
            "What the new primary lacked is put back"
        );
        Ok(())
    }

    /// Compares one source, and notes now and then how far it is.
    async fn compare(
        &self,
        origin: Origin,
        claim: &mut RepairClaim,
        sum: &mut Sum,
    ) -> anyhow::Result<()> {
        let source = origin.source().name().to_string();
        let from = claim.progress.get(&source).copied().unwrap_or(1);
        let ingest = &self.settings.ingest;
        let reconcile = Reconcile {
            origin,
            store: self.store.clone(),
            limits: Limits {
                batch_max_rows: ingest.batch_max_rows,
                batch_max_bytes: ingest.batch_max_bytes.bytes(),
                max_message_bytes: ingest.max_message_bytes.bytes(),
            },
            queue_max_bytes: ingest.queue_max_bytes.bytes(),
            from,
            to: None,
            repair: true,
            gentle: true,
            patience: PATIENCE,
        };
        let earlier = claim.gone.get(&source).cloned();
        let (seen, mut told) = watch::channel(Seen { next: from, gone: Ranges::default() });
        let mut observer = Told(seen);
        let end = CancellationToken::new();
        let mut run = Box::pin(reconcile.run(&end, &mut observer));
        let (tally, end) = loop {
            tokio::select! {
                ended = &mut run => break ended,
                () = sleep(NOTE) => {
                    let seen = told.borrow_and_update().clone();
                    seen.note(&source, earlier.as_deref(), claim);
                    claim.note_progress().await?;
                }
            }
        };
        drop(run);
        self.count(&tally, sum);
        let seen = Seen { next: tally.next, gone: told.borrow().gone.clone() };
        seen.note(&source, earlier.as_deref(), claim);
        claim.note_progress().await?;
        match end {
            End::Complete | End::Interrupted => Ok(()),
            End::Failed(error) => Err(error),
        }
    }

    fn count(&self, tally: &Tally, sum: &mut Sum) {
        sum.orders += tally.stored;
        sum.rejects += tally.rejected;
        let restored = &self.metrics.primary.restored;
        restored.with_label_values(&["order"]).inc_by(tally.stored);
        restored.with_label_values(&["reject"]).inc_by(tally.rejected);
    }

    /// Everything that orders come from, as `waybill reconcile` reads it.
    fn origins(&self) -> anyhow::Result<Vec<Origin>> {
        const NAME: &str = "waybill-repair";
        let mut origins = Vec::new();
        let (broker, jetstream) = (&self.settings.broker, &self.settings.jetstream);
        if broker.enabled {
            let options = broker::options(broker, NAME)?;
            let channel = ChannelOrigin { options, broker: broker.clone() };
            origins.push(Origin::Channel(Box::new(channel)));
        }
        if let Some(options) = broker::stream_options(jetstream, NAME)? {
            let stream = StreamOrigin {
                options,
                name: jetstream.stream.clone(),
                subject: Some(jetstream.subject.clone()),
                source: Source::stream(&jetstream.stream),
            };
            origins.push(Origin::Stream(Box::new(stream)));
        }
        Ok(origins)
    }
}

/// What a repair has done.
#[derive(Default)]
struct Sum {
    orders: u64,
    rejects: u64,
}

/// How far a comparison of one source is.
#[derive(Clone)]
struct Seen {
    next: u64,
    /// Sequences that the source has no more, so that nothing can be said of them.
    gone: Ranges,
}

impl Seen {
    /// `earlier` is what an earlier run has found to be gone.
    fn note(&self, source: &str, earlier: Option<&str>, claim: &mut RepairClaim) {
        claim.progress.insert(source.to_owned(), self.next);
        if !self.gone.is_empty() {
            let before = earlier.map(|ranges| format!("{ranges}, ")).unwrap_or_default();
            claim.gone.insert(source.to_owned(), format!("{before}{}", self.gone));
        }
    }
}

/// Told by a comparison.
struct Told(watch::Sender<Seen>);

impl Waiting for Told {
    fn waiting(&mut self, trouble: &dyn fmt::Display, pause: Duration) {
        tracing::debug!(%trouble, ?pause, "The repair waits");
    }
}

impl Observer for Told {
    fn begin(&mut self, _last: Option<u64>) {}

    fn finding(&mut self, finding: &Finding) -> anyhow::Result<()> {
        if finding.kind == Kind::Gone {
            self.0.send_modify(|seen| seen.gone.add(finding.from, finding.to));
        }
        Ok(())
    }

    fn progress(&mut self, tally: &Tally) {
        self.0.send_modify(|seen| seen.next = tally.next);
    }
}
