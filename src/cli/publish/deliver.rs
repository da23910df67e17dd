//! The loop between input and broker: sends at the pace asked for and books every outcome.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io::Write;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::input::{Message, Origin};
use super::outage::{Failure, Outage};
use super::pace::Pace;
use super::receipt::{Entry, Receipt};
use crate::broker::link::PublishError;
use crate::cli::progress::Progress;
use crate::signals::Signal;

/// Messages that may be on their way to the broker and back.
pub(super) const WINDOW: usize = 1024;

/// How long an interrupted command waits for what the broker may still confirm: less than the
/// time after which it is ended by force.
const CONFIRM_WITHIN: Duration = Duration::from_secs(5);

/// How long an interrupted command goes on sending the message that it was sending: with a
/// connection that takes no time, without one it would not end.
const SEND_WITHIN: Duration = Duration::from_secs(1);

/// How many messages were confirmed and how many failed.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) confirmed: u64,
    pub(super) failed: u64,
    /// Why not everything was sent, if it was not.
    pub(super) stopped: Option<Stop>,
}

/// Why no more is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    Interrupted(Signal),
    /// Messages were not taken for as long as they may be sent again; this was the first.
    GivenUp(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted(signal) => write!(formatter, "interrupted by {signal}"),
            Self::GivenUp(origin) => write!(formatter, "given up at {origin}"),
        }
    }
}

/// Where the outcome of each message is written.
pub(super) struct Report<'a, W: Write> {
    pub(super) progress: &'a Progress,
    pub(super) receipt: Option<&'a mut Receipt<W>>,
    pub(super) tally: Tally,
}

/// A message that was sent, and what came of it.
struct Done {
    origin: Origin,
    entry: Option<Entry>,
    outcome: Result<(), Failure>,
}

/// Sends every message, until `interrupted` is ready or the broker takes none for too long, and
/// waits for the outcome of each that was sent.
///
/// Fails only if an outcome cannot be told.
pub(super) async fn deliver<Ack, W>(
    mut messages: mpsc::Receiver<Message>,
    mut pace: Pace,
    publish: impl AsyncFn(Bytes) -> Result<Ack, PublishError>,
    outage: &Outage<'_>,
    interrupted: impl Future<Output = Signal>,
    report: &mut Report<'_, W>,
) -> anyhow::Result<()>
where
    Ack: Future<Output = Result<(), PublishError>>,
    W: Write,
{
    let give_up = CancellationToken::new();
    let mut in_flight = FuturesUnordered::new();
    let mut interrupted = pin!(interrupted);
    while report.tally.stopped.is_none() {
        let next = async {
            sleep_until(pace.next).await;
            outage.over().await;
            messages.recv().await
        };
        let has_room = in_flight.len() < WINDOW;
        let message = tokio::select! {
            Some(done) = in_flight.next() => {
                report.book(done)?;
                continue;
            }
            signal = &mut interrupted => {
                report.tally.stopped = Some(Stop::Interrupted(signal));
                continue;
            }
            message = next, if has_room => message,
        };
        let Some(message) = message else { break };
        pace.sent(Instant::now());
        let Some((flight, payload)) = report.prepare(message)? else { continue };
        // One after the other, so that they arrive in the order of the input.
        let sending = pin!(publish(payload.clone()));
        let Some(sent) = report.send(sending, &mut in_flight, interrupted.as_mut()).await? else {
            report.book(flight.done(Err(Failure::Interrupted)))?;
            continue;
        };
        let (confirmed, give_up) = (outage.confirm(sent, payload, &publish), &give_up);
        in_flight.push(async move {
            let outcome = give_up.run_until_cancelled(confirmed).await;
            flight.done(outcome.unwrap_or(Err(Failure::Interrupted)))
        });
    }
    let overdue = overdue(report.tally.stopped.clone(), interrupted);
    report.drain(in_flight, overdue, &give_up).await
}

/// Ready when no more confirmations are waited for: some time after the interruption, which may
/// come only now.
async fn overdue(stopped: Option<Stop>, interrupted: impl Future<Output = Signal>) -> Signal {
    let signal = match stopped {
        Some(Stop::Interrupted(signal)) => signal,
        _ => interrupted.await,
    };
    sleep(CONFIRM_WITHIN).await;
    signal
}

/// A message on its way.
struct Flight {
    origin: Origin,
    entry: Option<Entry>,
}

impl Flight {
    fn done(self, outcome: Result<(), Failure>) -> Done {
        Done { origin: self.origin, entry: self.entry, outcome }
    }
}

impl<W: Write> Report<'_, W> {
    /// What is to be sent, unless it cannot be read. The line of the receipt is made here, so
    /// that a message that is confirmed need not be looked at again.
    fn prepare(&mut self, message: Message) -> anyhow::Result<Option<(Flight, Bytes)>> {
        match &message.payload {
            Ok(payload) => {
                let payload = payload.clone();
                let entry = self.receipt.as_ref().map(|receipt| receipt.entry(&message, &payload));
                Ok(Some((Flight { origin: message.origin, entry }, payload)))
            }
            Err(error) => self.failure(&message.origin, error).map(|()| None),
        }
    }

    /// What came of `sending`, unless an interruption gave it up.
    ///
    /// Those in flight go on meanwhile: one that is sent again may hold what `sending` waits for,
    /// the lock of the connection or a place in the client's window.
    async fn send<Sent>(
        &mut self,
        mut sending: Pin<&mut impl Future<Output = Sent>>,
        in_flight: &mut (impl Stream<Item = Done> + Unpin),
        interrupted: Pin<&mut impl Future<Output = Signal>>,
    ) -> anyhow::Result<Option<Sent>> {
        let signal = Cell::new(None);
        let mut overdue = pin!(async {
            signal.set(Some(interrupted.await));
            sleep(SEND_WITHIN).await;
        });
        let sent = loop {
            tokio::select! {
                sent = &mut sending => break Some(sent),
                Some(done) = in_flight.next() => self.book(done)?,
                () = &mut overdue => break None,
            }
        };
        if let Some(signal) = signal.get() {
            self.tally.stopped = Some(Stop::Interrupted(signal));
        }
        Ok(sent)
    }

    /// Waits for the messages that are on their way; after `overdue` they are given up. Every
    /// line of the receipt is written at once, should the process be ended meanwhile.
    async fn drain(
        &mut self,
        mut in_flight: impl Stream<Item = Done> + Unpin,
        overdue: impl Future<Output = Signal>,
        give_up: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut overdue = pin!(overdue);
        loop {
            if let Some(receipt) = &mut self.receipt {
                receipt.flush()?;
            }
            tokio::select! {
                done = in_flight.next() => match done {
                    Some(done) => self.book(done)?,
                    None => return Ok(()),
                },
                signal = &mut overdue, if !give_up.is_cancelled() => {
                    self.tally.stopped.get_or_insert(Stop::Interrupted(signal));
                    give_up.cancel();
                }
            }
        }
    }

    fn book(&mut self, Done { origin, entry, outcome }: Done) -> anyhow::Result<()> {
        if let Err(error) = outcome {
            if matches!(error, Failure::GivenUp { .. }) {
                self.tally.stopped.get_or_insert_with(|| Stop::GivenUp(origin.to_string()));
            }
            return self.failure(&origin, &error);
        }
        self.tally.confirmed += 1;
        self.progress.advance();
        match (&mut self.receipt, entry) {
            (Some(receipt), Some(entry)) => receipt.confirm(&entry),
            _ => Ok(()),
        }
    }

    fn failure(&mut self, origin: &Origin, error: &dyn std::error::Error) -> anyhow::Result<()> {
        self.tally.failed += 1;
        self.progress.advance();
        self.progress.write_line(format_args!("failed: {origin}: {error}"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
