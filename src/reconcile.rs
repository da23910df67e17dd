//! Reads the channel, or a stream, again and compares it with what Postgres keeps; puts back what
//! is missing.
//!
//! The channel is read by a plain subscription under a client id of its own, a stream by looking
//! up its messages, so the position of the group is not touched and no replica is replaced. Messages are looked at strictly in the
//! order of their sequences: what comes before [`Tally::next`] is settled, and a later run may go
//! on from there.

mod extent;
mod finding;
mod judge;
pub(crate) mod reader;
pub(crate) mod retry;

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::config::Broker;
use crate::ingest::{Batch, Limits};
use crate::source::Source;
use crate::store::Store;
pub use finding::{Finding, Kind, Repair};
use judge::Judge;
use reader::{Read, Reader, Step};
pub use retry::Waiting;
use retry::retry;

/// What is read again, and how to get there.
#[derive(Debug)]
pub enum Origin {
    /// A channel.
    Channel(Box<ChannelOrigin>),
    /// A stream.
    Stream(Box<StreamOrigin>),
}

/// A channel that is read again.
#[derive(Debug)]
pub struct ChannelOrigin {
    /// How to register with the broker; a client id is made of this one for each registration.
    pub options: stan::Options,
    /// The channel, and the monitor to ask for its end.
    pub broker: Broker,
}

/// A stream that is read again.
#[derive(Debug)]
pub struct StreamOrigin {
    /// How to connect to its servers.
    pub options: jetstream::Options,
    /// Its name.
    pub name: String,
    /// The subject of the messages that count; none if all do.
    pub subject: Option<String>,
    /// Whose sequences it has: its own, or the channel's that it is an archive of.
    pub source: Source,
}

impl Origin {
    /// Whose orders and rejects it is compared with.
    pub(crate) fn source(&self) -> Source {
        match self {
            Self::Channel(channel) => Source::channel(&channel.broker.channel),
            Self::Stream(stream) => stream.source.clone(),
        }
    }
}

/// What to look at, and what to do about it.
#[derive(Debug)]
pub struct Reconcile {
    /// What is read again.
    pub origin: Origin,
    /// What should hold its orders and rejects.
    pub store: Store,
    /// The size of batches, and what may be an order.
    pub limits: Limits,
    /// Bytes of messages that may wait to be looked at.
    pub queue_max_bytes: usize,
    /// The first sequence to look at.
    pub from: u64,
    /// The last sequence to look at, if it is before the end.
    pub to: Option<u64>,
    /// Whether what is missing is put back.
    pub repair: bool,
    /// Whether Postgres gets as much time for others after each batch as that took.
    pub gentle: bool,
    /// How long the server or Postgres may be away before this gives up.
    pub patience: Duration,
}

/// Who is told what happens, as it happens.
pub trait Observer: Waiting {
    /// The last sequence that will be looked at; none if there is nothing to look at.
    fn begin(&mut self, last: Option<u64>);
    /// Something is not as it should be, or was put right just now.
    fn finding(&mut self, finding: &Finding) -> anyhow::Result<()>;
    /// Everything before [`Tally::next`] is settled.
    fn progress(&mut self, tally: &Tally);
}

/// How many messages were found how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// The first sequence that is not settled.
    pub next: u64,
    /// Messages whose order or reject is kept.
    pub present: u64,
    /// Messages whose order was erased, which are not put back.
    pub erased: u64,
    /// Messages of which there was no trace.
    pub missing: u64,
    /// Messages under whose uid other bytes are stored, and of which no reject was kept.
    pub differing: u64,
    /// Sequences that are not in the channel or stream any more.
    pub gone: u64,
    /// Orders that were missing and are stored now.
    pub stored: u64,
    /// Orders that somebody else had stored when they were to be put back.
    pub duplicates: u64,
    /// Messages that were missing and are kept as rejects now.
    pub rejected: u64,
    /// Orders that somebody had erased when they were to be put back.
    pub erased_meanwhile: u64,
}

impl Tally {
    /// Whether everything looked at is kept, by now.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let settled = self.stored + self.duplicates + self.rejected + self.erased_meanwhile;
        self.missing + self.differing == settled
    }

    fn count(&mut self, finding: &Finding) {
        match finding.kind {
            Kind::Missing => self.missing += 1,
            Kind::Differing => self.differing += 1,
            Kind::Gone => self.gone += finding.to - finding.from + 1,
        }
        match finding.repair {
            Some(Repair::Stored) => self.stored += 1,
            Some(Repair::Duplicate) => self.duplicates += 1,
            Some(Repair::Rejected) => self.rejected += 1,
            Some(Repair::Erased) => self.erased_meanwhile += 1,
            None => {}
        }
    }
}

/// How a run ended; what it found until then is in the tally.
#[derive(Debug)]
pub enum End {
    /// Everything asked for was looked at.
    Complete,
    /// Somebody wanted it to stop.
    Interrupted,
    /// It cannot go on, for this reason; a later run may start at [`Tally::next`].
    Failed(anyhow::Error),
}

impl Reconcile {
    /// Looks at everything asked for, until `stop`. What is in the tally is settled either way.
    pub async fn run(self, stop: &CancellationToken, observer: &mut dyn Observer) -> (Tally, End) {
        let mut tally = Tally { next: self.from, ..Tally::default() };
        let mut reader = Reader::new(&self);
        let work = Box::pin(self.work(&mut reader, &mut tally, observer));
        let end = match stop.run_until_cancelled(work).await {
            None => End::Interrupted,
            Some(Ok(())) => End::Complete,
            Some(Err(error)) => End::Failed(error),
        };
        reader.close().await;
        (tally, end)
    }

    async fn work(
        &self,
        reader: &mut Reader,
        tally: &mut Tally,
        observer: &mut dyn Observer,
    ) -> anyhow::Result<()> {
        let find_last = async |reader: &mut Reader| reader.last_sequence().await;
        let last = retry(self.patience, observer, reader, find_last).await?;
        let last = self.to.map_or(last, |to| to.min(last));
        observer.begin((self.from <= last).then_some(last));
        let source = self.origin.source();
        let judge = Judge { store: &self.store, source: &source, patience: self.patience };
        reader.read(self.from, last);
        while tally.next <= last {
            let step = async |reader: &mut Reader| reader.step().await;
            match retry(self.patience, observer, reader, step).await? {
                Step::Gone { from, to } => {
                    let finding = Finding::gone(from, to);
                    tally.count(&finding);
                    observer.finding(&finding)?;
                    tally.next = to + 1;
                }
                Step::Messages(messages) => {
                    let (count, began) = (messages.len() as u64, Instant::now());
                    let batch = Batch::parse(messages, self.limits.max_message_bytes);
                    let (mut findings, erased) = judge.look_at(&batch, observer).await?;
                    if self.repair {
                        findings = judge::one_by_one(findings);
                    }
                    let settled = if self.repair && !findings.is_empty() {
                        judge.repair(batch, &mut findings, observer).await?
                    } else {
                        batch.into_messages().collect()
                    };
                    tally.erased += erased;
                    tally.present += count - erased - findings.len() as u64;
                    for finding in &findings {
                        tally.count(finding);
                        observer.finding(finding)?;
                    }
                    tally.next += count;
                    settled.into_iter().for_each(Read::settle);
                    if self.gentle {
                        sleep(began.elapsed()).await;
                    }
                }
                Step::Others { to } => tally.next = to + 1,
            }
            observer.progress(tally);
        }
        Ok(())
    }
}
