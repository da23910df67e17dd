//! Sending a message again that the broker did not take, for as long as that is allowed.

use std::cell::Cell;
use std::time::Duration;

use backon::BackoffBuilder as _;
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::broker::link::PublishError;
use crate::cli::progress::Progress;
use crate::retry;

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// Why a message is not known to be stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Final(PublishError),
    #[error("{error}; given up after {}", humantime::format_duration(*.after))]
    GivenUp { error: PublishError, after: Duration },
    #[error("interrupted before the acknowledgement came; the message may or may not be stored")]
    Interrupted,
}

/// The time in which the broker takes no message, and what was done about it.
pub(super) struct Outage<'a> {
    began: Cell<Option<Instant>>,
    ended: Notify,
    retry_for: Duration,
    progress: &'a Progress,
    doubtful: Cell<u64>,
}

impl<'a> Outage<'a> {
    pub(super) fn new(retry_for: Duration, progress: &'a Progress) -> Self {
        let (began, ended, doubtful) = (Cell::default(), Notify::new(), Cell::default());
        Self { began, ended, retry_for, progress, doubtful }
    }

    /// Whether the last that was heard of the broker is that it took no message.
    fn is_on(&self) -> bool {
        self.began.get().is_some()
    }

    /// Waits until the broker takes messages again; at once when it does.
    pub(super) async fn over(&self) {
        while self.is_on() {
            self.ended.notified().await;
        }
    }

    /// Messages that were sent again though the broker may have stored them.
    pub(super) fn doubtful(&self) -> u64 {
        self.doubtful.get()
    }

    /// How long messages may still be sent again, now that one was not taken.
    fn time_left(&self, error: &PublishError) -> Duration {
        let began = self.began.get().unwrap_or_else(|| {
            let allowed = humantime::format_duration(self.retry_for);
            // Who does not listen misses nothing that counts.
            let _ = self.progress.write_line(format_args!("{error}; retrying for {allowed}"));
            Instant::now()
        });
        self.began.set(Some(began));
        self.retry_for.saturating_sub(began.elapsed())
    }

    /// Waits for the outcome of a message that was `sent`, and sends it again while the broker
    /// does not take it.
    pub(super) async fn confirm<Ack>(
        &self,
        mut sent: Result<Ack, PublishError>,
        payload: Bytes,
        publish: &impl AsyncFn(Bytes) -> Result<Ack, PublishError>,
    ) -> Result<(), Failure>
    where
        Ack: Future<Output = Result<(), PublishError>>,
    {
        let mut delays = retry::exponential(FIRST_DELAY, LONGEST_DELAY).build();
        let (mut is_doubtful, began) = (false, Instant::now());
        loop {
            let outcome = match sent {
                Ok(ack) => ack.await,
                Err(error) => Err(error),
            };
            let Err(error) = outcome else {
                self.began.set(None);
                self.ended.notify_waiters();
                return Ok(());
            };
            if error.is_permanent() {
                return Err(Failure::Final(error));
            }
            // Others need not wait for it, unless it never ends.
            if error.is_about_this_message() && began.elapsed() < self.retry_for {
                sleep(FIRST_DELAY).await;
                sent = publish(payload.clone()).await;
                continue;
            }
            let delay = delays.next().unwrap_or(LONGEST_DELAY);
            if self.time_left(&error) < delay {
                return Err(Failure::GivenUp { error, after: self.retry_for });
            }
            if error.may_be_stored() && !is_doubtful {
                is_doubtful = true;
                self.doubtful.set(self.doubtful.get() + 1);
            }
            sleep(delay).await;
            sent = publish(payload.clone()).await;
        }
    }
}
