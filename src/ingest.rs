//! From the channel into Postgres: take what waits, write it, acknowledge what is committed.
//!
//! The acknowledgement travels with the message: whoever holds the [`Message`] can only let it
//! go through a [`Verdict`], and only a committed one acknowledges.

mod apply;
mod batch;
mod batch_span;
mod consume;
mod lag;
mod losses;
mod monitor_state;
mod persist;
mod recent;
mod refusal_log;
mod replay;
mod stream_watch;
mod verdict;
mod watch;

use order::Reason;
use stan::{Message, Messages};
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, Generation, Prepared};
use crate::config::Ingest;
use crate::metrics::Metrics;
use crate::source::Source;
use crate::store::{Error, NewReject, Store};
use crate::telemetry::within;
pub(crate) use apply::Applied;
pub(crate) use batch::{Batch, Candidate, Reject, rows};
pub use consume::Consumer;
pub use lag::LagWatch;
pub use losses::LossTracker;
pub use monitor_state::{MonitorReply, MonitorState};
pub use persist::WriteFailures;
pub use recent::{RecentBatches, SettledBatch, Verdicts};
pub use refusal_log::RefusalLog;
pub use replay::{Replay, Replayed, Retried};
pub use stream_watch::StreamWatch;
pub use verdict::Verdict;
pub use watch::Watch;

use recent::OpenBatch;

/// How much goes into one batch, and what may be an order.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most messages in a batch.
    pub batch_max_rows: usize,
    /// Most bytes of payload in a batch.
    pub batch_max_bytes: usize,
    /// Longest message that can be an order, in bytes.
    pub max_message_bytes: usize,
}

impl Limits {
    /// Those of the settings.
    #[must_use]
    pub fn new(settings: &Ingest) -> Self {
        Self {
            batch_max_rows: settings.batch_max_rows,
            batch_max_bytes: settings.batch_max_bytes.bytes(),
            max_message_bytes: settings.max_message_bytes.bytes(),
        }
    }
}

/// Writes batches. Clones are writers of the same channel.
#[derive(Debug, Clone)]
pub struct Writer {
    /// The messages of the channel.
    pub messages: Messages,
    /// The channel or stream they come from.
    pub source: Source,
    /// The Postgres that orders and rejects are written to.
    pub store: Store,
    /// Where new orders are kept in memory.
    pub cache: Cache,
    /// Counts batches, verdicts and errors.
    pub metrics: Metrics,
    /// How much is written with one statement, and what may be an order.
    pub limits: Limits,
    /// What the log says of writes that fail.
    pub failures: WriteFailures,
    /// What the log says of messages that are refused.
    pub refusals: RefusalLog,
    /// The batches that were settled last.
    pub recent: RecentBatches,
}

impl Writer {
    /// Writes until `stop` or the end of the session; the current batch is finished, unless
    /// Postgres is away.
    ///
    /// There is no timer: a writer that is free takes all that waits. With little to do batches
    /// are small and quick; with much to do they are full.
    pub async fn run(self, stop: CancellationToken) {
        let (rows, bytes) = (self.limits.batch_max_rows, self.limits.batch_max_bytes);
        let take = || self.messages.recv_batch(rows, bytes);
        while let Some(messages) = stop.run_until_cancelled(take()).await {
            if messages.is_empty() {
                return;
            }
            let span = batch_span::batch(self.source.name(), &messages);
            let mut batch = OpenBatch::begin();
            within(span, self.write(messages, &mut batch, &stop)).await;
            self.recent.add(&batch);
        }
    }

    async fn write(&self, messages: Vec<Message>, batch: &mut OpenBatch, stop: &CancellationToken) {
        let timer = self.metrics.ingest.start_batch(self.source.kind(), messages.len());
        let redelivered = messages.iter().filter(|message| message.redelivered).count();
        self.metrics.ingest.redelivered.inc_by(redelivered as u64);
        let parsing = batch_span::step("parse");
        let Batch { orders, mut rejects } = Batch::parse(messages, self.limits.max_message_bytes);
        drop(parsing);
        let rows = rows(&orders, |_| self.source.column());
        let generation = self.cache.generation();
        let inserted = within(batch_span::step("write"), async {
            match redelivered {
                0 => self.persist(stop, || self.store.insert_orders(&rows)).await,
                _ => self.persist(stop, || self.store.insert_orders_again(&rows)).await,
            }
        })
        .await;
        let Some(outcomes) = inserted else {
            let kept = orders.into_iter().map(|(message, _)| message);
            let kept = kept.chain(rejects.into_iter().map(|reject| reject.message));
            return kept.for_each(|message| self.settle(message, Verdict::Keep, batch));
        };
        drop(rows);
        let mut applied = Applied::new(orders, outcomes);
        rejects.append(&mut applied.rejects);
        self.insert_into_cache(generation, &applied);
        self.acknowledge(applied, batch);
        self.reject(rejects, batch, stop).await;
        timer.observe_duration();
    }

    fn insert_into_cache(&self, generation: Generation, applied: &Applied<Message>) {
        let _span = batch_span::step("cache");
        for (_, order) in &applied.stored {
            self.cache.insert_of(generation, &Prepared::new(order.uid(), order.document()));
        }
        for (_, order) in &applied.erased {
            self.cache.erase_one(order.uid().as_str());
        }
        for (uid, document) in &applied.winners {
            self.cache.insert_of(generation, &Prepared::new(uid, document));
        }
    }

    fn acknowledge(&self, applied: Applied<Message>, batch: &mut OpenBatch) {
        let settled = applied.stored.len() + applied.duplicates.len() + applied.erased.len();
        let _span = batch_span::acknowledge(self.source.name(), settled);
        for (orders, verdict, key) in [
            (applied.stored, Verdict::Stored, batch_span::STORED),
            (applied.duplicates, Verdict::Duplicate, batch_span::DUPLICATE),
            (applied.erased, Verdict::Erased, batch_span::ERASED),
            (applied.indeterminate, Verdict::Keep, batch_span::KEPT),
        ] {
            batch_span::note(key, orders.len());
            for (message, _) in orders {
                self.settle(message, verdict, batch);
            }
        }
    }

    /// Keeps what is no order, whole, and only then acknowledges it.
    async fn reject(&self, rejects: Vec<Reject>, batch: &mut OpenBatch, stop: &CancellationToken) {
        if rejects.is_empty() {
            return;
        }
        let rows: Vec<NewReject<'_>> =
            rejects.iter().map(|reject| reject.row(self.source.name())).collect();
        let kept = within(
            batch_span::step("write rejects"),
            self.persist(stop, || self.store.insert_rejects(&rows)),
        )
        .await;
        drop(rows);
        let erased = kept.as_ref().map_or(0, |erased| erased.iter().filter(|it| **it).count());
        if kept.is_some() {
            batch_span::note(batch_span::REJECTED, rejects.len() - erased);
        }
        let _span = batch_span::acknowledge(self.source.name(), rejects.len());
        for (place, Reject { message, reason, .. }) in rejects.into_iter().enumerate() {
            let verdict = match (kept.as_ref().map(|erased| erased[place]), reason) {
                (None, _) => Verdict::Keep,
                (Some(true), _) => Verdict::Erased,
                (Some(false), Reason::Conflict) => Verdict::Conflict,
                (Some(false), reason) => Verdict::Refused(reason),
            };
            if verdict.reason().is_some() {
                self.refusals.refused(reason, message.sequence);
            }
            self.settle(message, verdict, batch);
        }
    }

    /// Gives the verdict: the only place where a message is acknowledged or left to the broker.
    fn settle(&self, message: Message, verdict: Verdict, batch: &mut OpenBatch) {
        batch.count(verdict);
        self.metrics.ingest.count(verdict.as_str(), verdict.reason());
        if verdict.is_committed() {
            self.metrics.ingest.observe_age(message.timestamp);
            message.ack();
        }
    }

    /// Retries until Postgres has done it, however long it is away; `None` when `stop` came first.
    async fn persist<T, F>(&self, stop: &CancellationToken, attempt: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, Error>>,
    {
        persist::until_done(&self.metrics, &self.failures, stop, attempt).await
    }
}
