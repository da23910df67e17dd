//! The loop between input and broker: sends at the pace asked for and books every outcome.

use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use stan::PublishError;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::input::{Message, Origin};
use super::receipt::{Entry, Receipt};
use crate::cli::progress::Progress;

/// How far behind its pace a slow broker may put us before what was missed is given up.
const MAX_LAG: Duration = Duration::from_secs(1);

/// How long to wait before a message that could not even be sent is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// What became of everything.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) confirmed: u64,
    pub(super) failed: u64,
    /// Why not everything was sent, if it was not.
    pub(super) stopped: Option<String>,
}

/// Where outcomes are told.
pub(super) struct Report<'a, W: Write> {
    pub(super) progress: &'a Progress,
    pub(super) receipt: Option<&'a mut Receipt<W>>,
}

/// When the next message may be sent.
pub(super) struct Pace {
    step: Duration,
    next: Instant,
}

impl Pace {
    /// At most `rate` messages a second, or as many as possible.
    pub(super) fn new(rate: Option<f64>) -> Self {
        let step = rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        Self { step, next: Instant::now() }
    }

    /// Books that a message is sent `now`.
    fn sent(&mut self, now: Instant) {
        let oldest = now.checked_sub(MAX_LAG).unwrap_or(self.next);
        self.next = (self.next + self.step).max(oldest);
    }
}

/// Sends every message, until `interrupted` is ready or the connection is lost, and waits for
/// the outcome of each that was sent.
///
/// Fails only if an outcome cannot be told.
pub(super) async fn deliver<Ack, W>(
    mut messages: mpsc::Receiver<Message>,
    mut pace: Pace,
    publish: impl AsyncFn(Bytes) -> Result<Ack, PublishError>,
    interrupted: impl Future<Output = ()>,
    report: &mut Report<'_, W>,
) -> anyhow::Result<Tally>
where
    Ack: Future<Output = Result<(), PublishError>>,
    W: Write,
{
    let mut tally = Tally::default();
    let mut in_flight = FuturesUnordered::new();
    let mut interrupted = pin!(interrupted);
    while tally.stopped.is_none() {
        let next = async {
            sleep_until(pace.next).await;
            messages.recv().await
        };
        let message = tokio::select! {
            Some((origin, entry, outcome)) = in_flight.next() => {
                report.outcome(&mut tally, &origin, entry, outcome)?;
                continue;
            }
            () = &mut interrupted => {
                tally.stopped = Some("interrupted".to_owned());
                continue;
            }
            message = next => message,
        };
        let Some(message) = message else { break };
        pace.sent(Instant::now());
        let payload = match &message.payload {
            Ok(payload) => payload.clone(),
            Err(error) => {
                report.failure(&mut tally, &message.origin, error)?;
                continue;
            }
        };
        // The line is made before, so that the message itself need not be kept.
        let entry = report.receipt.as_ref().map(|receipt| receipt.entry(&message, &payload));
        let origin = message.origin;
        match send(&publish, payload).await {
            Ok(ack) => in_flight.push(async move { (origin, entry, ack.await) }),
            Err(error) => {
                report.failure(&mut tally, &origin, &error)?;
                if error == PublishError::ConnectionClosed {
                    tally.stopped = Some(format!("the connection was lost at {origin}"));
                }
            }
        }
    }
    while let Some((origin, entry, outcome)) = in_flight.next().await {
        report.outcome(&mut tally, &origin, entry, outcome)?;
    }
    Ok(tally)
}

/// Sends a message as soon as the broker can be reached; while it cannot, the message was not
/// sent and no harm is done by trying again. A broker that stays away ends the connection.
async fn send<Ack>(
    publish: &impl AsyncFn(Bytes) -> Result<Ack, PublishError>,
    payload: Bytes,
) -> Result<Ack, PublishError> {
    loop {
        match publish(payload.clone()).await {
            Err(PublishError::Disconnected) => sleep(RETRY_DELAY).await,
            outcome => return outcome,
        }
    }
}

impl<W: Write> Report<'_, W> {
    fn outcome(
        &mut self,
        tally: &mut Tally,
        origin: &Origin,
        entry: Option<Entry>,
        outcome: Result<(), PublishError>,
    ) -> anyhow::Result<()> {
        if let Err(error) = outcome {
            return self.failure(tally, origin, &error);
        }
        tally.confirmed += 1;
        self.progress.advance();
        match (&mut self.receipt, entry) {
            (Some(receipt), Some(entry)) => receipt.confirm(&entry),
            _ => Ok(()),
        }
    }

    fn failure(
        &mut self,
        tally: &mut Tally,
        origin: &Origin,
        error: &dyn std::error::Error,
    ) -> anyhow::Result<()> {
        tally.failed += 1;
        self.progress.advance();
        self.progress.write_line(format_args!("failed: {origin}: {error}"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::{Ready, pending, ready};
    use std::io;

    use super::*;

    type Outcome = Result<(), PublishError>;

    fn queue(
        payloads: impl IntoIterator<Item = io::Result<&'static str>>,
    ) -> mpsc::Receiver<Message> {
        let (sender, receiver) = mpsc::channel(1000);
        for payload in payloads {
            let payload = payload.map(|text| Bytes::from_static(text.as_bytes()));
            sender.try_send(Message::from_file("x".as_ref(), payload)).unwrap();
        }
        receiver
    }

    async fn run(
        messages: mpsc::Receiver<Message>,
        rate: Option<f64>,
        publish: impl AsyncFn(Bytes) -> Result<Ready<Outcome>, PublishError>,
    ) -> Tally {
        let progress = Progress::start(None);
        let mut report = Report::<Vec<u8>> { progress: &progress, receipt: None };
        deliver(messages, Pace::new(rate), publish, pending(), &mut report).await.unwrap()
    }

    #[tokio::test]
    async fn every_message_is_sent_as_it_is_and_booked() {
        let sent = RefCell::new(Vec::new());
        let tally = run(queue([Ok("a"), Ok("b"), Ok("c")]), None, async |payload| {
            sent.borrow_mut().push(payload);
            Ok(ready(Ok(())))
        })
        .await;
        assert_eq!(*sent.borrow(), ["a", "b", "c"]);
        assert_eq!((tally.confirmed, tally.failed), (3, 0));
        assert!(tally.stopped.is_none());
    }

    #[tokio::test]
    async fn what_fails_is_booked_and_the_others_still_go() {
        let messages =
            [Ok("ok"), Err(io::Error::other("unreadable")), Ok("large"), Ok("refused"), Ok("ok")];
        let tally = run(queue(messages), None, async |payload| match &payload[..] {
            b"large" => Err(PublishError::TooLarge { size_bytes: 2, limit_bytes: 1 }),
            b"refused" => Ok(ready(Err(PublishError::Refused("no".into())))),
            _ => Ok(ready(Ok(()))),
        })
        .await;
        assert_eq!((tally.confirmed, tally.failed), (2, 3));
        assert!(tally.stopped.is_none());
    }

    #[tokio::test]
    async fn a_message_that_was_not_sent_is_tried_again() {
        let attempts = Cell::new(0);
        let tally = run(queue([Ok("a"), Ok("b")]), None, async |_| {
            attempts.set(attempts.get() + 1);
            if attempts.get() < 3 { Err(PublishError::Disconnected) } else { Ok(ready(Ok(()))) }
        })
        .await;
        assert_eq!((tally.confirmed, tally.failed), (2, 0));
    }

    #[tokio::test]
    async fn a_lost_connection_stops_the_rest() {
        let attempts = Cell::new(0);
        let tally = run(queue([Ok("a"), Ok("b"), Ok("c"), Ok("d")]), None, async |payload| {
            attempts.set(attempts.get() + 1);
            if payload == "b" { Err(PublishError::ConnectionClosed) } else { Ok(ready(Ok(()))) }
        })
        .await;
        assert_eq!((attempts.get(), tally.confirmed, tally.failed), (2, 1, 1));
        assert_eq!(tally.stopped.as_deref(), Some("the connection was lost at x"));
    }

    #[tokio::test]
    async fn an_interruption_stops_reading_but_not_the_wait_for_what_was_sent() {
        let (sender, messages) = mpsc::channel(10);
        sender.try_send(Message::from_file("x".as_ref(), Ok("a".into()))).unwrap();
        let (interrupt, interrupted) = tokio::sync::oneshot::channel();
        let (acknowledge, acknowledged) = tokio::sync::oneshot::channel();
        let ack = Cell::new(Some(acknowledged));
        let interrupt = Cell::new(Some(interrupt));
        let publish = async |_| {
            interrupt.take().unwrap().send(()).unwrap();
            let acknowledged = ack.take().unwrap();
            Ok(async { acknowledged.await.unwrap() })
        };
        let progress = Progress::start(None);
        let mut report = Report::<Vec<u8>> { progress: &progress, receipt: None };
        let interrupted = async { interrupted.await.unwrap() };
        let delivery = deliver(messages, Pace::new(None), publish, interrupted, &mut report);
        let (tally, ()) = tokio::join!(delivery, async {
            acknowledge.send(Ok(())).unwrap();
        });
        let tally = tally.unwrap();
        assert_eq!((tally.confirmed, tally.failed), (1, 0));
        assert_eq!(tally.stopped.as_deref(), Some("interrupted"));
        drop(sender);
    }

    #[test]
    fn the_pace_is_even() {
        let mut pace = Pace::new(Some(100.0));
        let start = pace.next;
        for number in 0..500 {
            assert_eq!(pace.next - start, Duration::from_millis(10) * number);
            pace.sent(pace.next);
        }
    }

    #[test]
    fn a_slow_broker_is_not_flooded_with_what_was_missed() {
        let mut pace = Pace::new(Some(100.0));
        let late = pace.next + Duration::from_mins(1);
        let mut at_once = 0;
        while pace.next <= late {
            pace.sent(late);
            at_once += 1;
        }
        assert!((100..=102).contains(&at_once), "{at_once}");
    }

    #[tokio::test]
    async fn nothing_is_sent_before_its_time() {
        let started = Instant::now();
        let tally =
            run(queue((0..6).map(|_| Ok("a"))), Some(50.0), async |_| Ok(ready(Ok(())))).await;
        assert_eq!(tally.confirmed, 6);
        assert!(started.elapsed() >= Duration::from_millis(100));
    }

    #[tokio::test]
    async fn only_what_is_confirmed_is_in_the_receipt() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("receipt.ndjson");
        let mut receipt = Receipt::create(&path, 1000).unwrap();
        let progress = Progress::start(None);
        let mut report = Report { progress: &progress, receipt: Some(&mut receipt) };
        let publish = async |payload: Bytes| {
            let outcome = if payload == "bad" { Err(PublishError::NoResponders) } else { Ok(()) };
            Ok(ready(outcome))
        };
        let messages = queue([Ok("good"), Ok("bad"), Ok("{}")]);
        deliver(messages, Pace::new(None), publish, pending(), &mut report).await.unwrap();
        receipt.finish().unwrap();
        let lines = std::fs::read_to_string(&path).unwrap();
        assert_eq!(lines.lines().count(), 2, "{lines}");
        assert!(lines.contains("refused:not_json") && lines.contains("refused:missing_field"));
    }
}
