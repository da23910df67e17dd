//! Copies the channel into a stream of JetStream under the same sequences, and proves that it did.
//!
//! Each message is published with the sequence that the stream must end with until then, so that
//! it is stored under its own or not at all: it cannot be there twice, and nobody can write in
//! between unnoticed. Where to go on is what the stream ends with; nothing else is remembered.

mod archive;
mod compare;
mod copy;
mod window;

use std::fmt;
use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::config::Broker;
use crate::reconcile::Waiting;
use crate::reconcile::reader::channel::{ChannelReader, ReaderOptions};
use crate::reconcile::retry::retry;
use archive::Archive;
pub use compare::Comparison;
use compare::compare;
use copy::Copier;
use window::{MOST_MESSAGES, Window};

/// How long a copy that is to end waits for a server that is away.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long one that is interrupted waits for what is on its way: longer than for an
/// acknowledgement, and less than the time after which it is ended by force.
const CONFIRM_WITHIN: Duration = Duration::from_secs(5);

/// What to copy, and where to.
#[derive(Debug)]
pub struct Bridge {
    /// How to register with the broker; a client id is made of this one for each registration.
    pub options: stan::Options,
    /// The channel, and the monitor to ask for its end.
    pub broker: Broker,
    /// Messages that are read at a time.
    pub batch_max_rows: usize,
    /// Bytes that are read at a time.
    pub batch_max_bytes: usize,
    /// Bytes of messages that may wait to be copied.
    pub queue_max_bytes: usize,
    /// How to connect to the servers of the stream.
    pub servers: jetstream::Options,
    /// The stream, which is made if it is absent.
    pub stream: String,
    /// Of a stream that is made: how many servers store it.
    pub replicas: usize,
    /// Whether to end with what was in the channel at the start, and to compare both sides then.
    pub once: bool,
}

/// Who is told what happens, as it happens.
pub trait Observer {
    /// Sequences are copied or compared from here on, to a last one or without an end.
    fn begin(&self, stage: Stage, first: u64, last: Option<u64>);
    /// Everything before this sequence is settled.
    fn progress(&self, next: u64);
    /// A server is away, and will be tried again after a pause.
    fn waiting(&self, trouble: &dyn fmt::Display, pause: Duration);
}

impl Waiting for &dyn Observer {
    fn waiting(&mut self, trouble: &dyn fmt::Display, pause: Duration) {
        Observer::waiting(*self, trouble, pause);
    }
}

/// What is done with the sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// They are copied into the stream.
    Copy,
    /// Both sides are read and compared.
    Compare,
}

/// What was done.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The channel.
    pub channel: String,
    /// The stream.
    pub stream: String,
    /// Messages that were copied.
    pub copied: u64,
    /// Sequences of which the channel has no message, and now the stream neither.
    pub gaps: u64,
    /// The last sequence that was settled; 0 if none was.
    pub last: u64,
    /// Whether both sides are equal; none if they were not compared to the end.
    pub comparison: Option<Comparison>,
}

/// How a run ended.
#[derive(Debug)]
pub enum End {
    /// Everything asked for was done.
    Complete,
    /// Somebody wanted it to stop. A later run goes on from where it was.
    Interrupted,
    /// It cannot go on, for this reason.
    Failed(anyhow::Error),
}

impl Bridge {
    /// Copies, and compares at the end if there is one, until `stop`.
    pub async fn run(self, stop: &CancellationToken, observer: &dyn Observer) -> (Report, End) {
        let mut reader = self.reader();
        let (mut window, mut comparison) = (None, None);
        let work = Box::pin(self.work(&mut reader, &mut window, &mut comparison, observer));
        let end = match stop.run_until_cancelled(work).await {
            None => End::Interrupted,
            Some(Ok(())) => End::Complete,
            Some(Err(error)) => End::Failed(error),
        };
        if let (End::Interrupted, Some(window)) = (&end, &mut window) {
            // What is not settled by then a later run finds, or sends again.
            let _ = timeout(CONFIRM_WITHIN, window.settle()).await;
        }
        reader.close().await;
        let report = Report {
            channel: self.broker.channel,
            stream: self.stream,
            copied: window.as_ref().map_or(0, |window| window.copied),
            gaps: window.as_ref().map_or(0, |window| window.gaps),
            last: window.as_ref().map_or(0, |window| window.next() - 1),
            comparison,
        };
        (report, end)
    }

    fn reader(&self) -> ChannelReader {
        ChannelReader::new(ReaderOptions {
            registration: self.options.clone(),
            broker: &self.broker,
            batch_max_rows: self.batch_max_rows,
            batch_max_bytes: self.batch_max_bytes,
            queue_max_bytes: self.queue_max_bytes,
            patience: self.patience(),
        })
    }

    /// One that follows the channel waits for as long as it takes.
    fn patience(&self) -> Duration {
        if self.once { PATIENCE } else { Duration::MAX }
    }

    async fn work(
        &self,
        reader: &mut ChannelReader,
        window: &mut Option<Window>,
        comparison: &mut Option<Comparison>,
        observer: &dyn Observer,
    ) -> anyhow::Result<()> {
        let (patience, told) = (self.patience(), &mut { observer });
        let connect = async |(): &mut ()| {
            Archive::connect(self.servers.clone(), &self.stream, self.replicas).await
        };
        let mut archive = retry(patience, told, &mut (), connect).await?;
        let last = if self.once {
            let find_last = async |reader: &mut ChannelReader| reader.last_sequence().await;
            Some(retry(patience, told, reader, find_last).await?)
        } else {
            None
        };
        let find = async |archive: &mut Archive| archive.find().await;
        let found = retry(patience, told, &mut archive, find).await?;
        if let (Some(found), Some(last)) = (&found, last) {
            ensure!(
                found.last_sequence <= last,
                "stream {} ends with sequence {}, but the channel with {last}: the channel began \
                 anew, or somebody else writes to the stream",
                self.stream,
                found.last_sequence
            );
        }
        let is_made = found.is_some();
        let (messages, stored) = found.map_or((0, 0), |it| (it.messages, it.last_sequence));
        if messages > 0 {
            retry(patience, told, &mut archive, async |it| it.delete_left_fillers().await).await?;
            self.check(&archive, reader, stored, observer).await?;
        }
        reader.read(stored + 1, last);
        observer.begin(Stage::Copy, stored + 1, last);
        let window = window.insert(Window::new(archive, stored));
        Copier { reader, window, observer, patience }.copy(stored + 1, last, is_made).await?;
        if let Some(last) = last {
            let compared = compare(&window.archive, reader, 1..=last, patience, observer).await?;
            *comparison = Some(compared);
        }
        Ok(())
    }

    /// Looks whether the stream is a copy of this channel, by as many of its last messages as are
    /// on their way at a time: when somebody else has written, what was on its way behind that is
    /// stored, and no more. Messages that were deleted from the stream since are no reason to stop.
    async fn check(
        &self,
        archive: &Archive,
        reader: &mut ChannelReader,
        last: u64,
        observer: &dyn Observer,
    ) -> anyhow::Result<()> {
        let first = last.saturating_sub(MOST_MESSAGES as u64) + 1;
        let comparison = compare(archive, reader, first..=last, self.patience(), observer).await?;
        ensure!(
            comparison.differing == 0,
            "stream {} has other messages than the channel under sequences {}; it must be a copy \
             of this channel that nobody else writes to",
            self.stream,
            comparison.at
        );
        Ok(())
    }
}
