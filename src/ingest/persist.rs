//! Writing until Postgres has done it, and what the log says meanwhile.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::BackoffBuilder as _;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::log_limit::LogLimit;
use crate::metrics::Metrics;
use crate::retry;
use crate::store::{Class, Error};

/// Delays while Postgres is away, to which jitter adds up to as much again.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_millis(400);

/// Delay after what only an operator can mend.
const SLOW: Duration = Duration::from_secs(10);

/// How long the attempt under way may go on once a stop is asked for: much longer than a commit
/// takes, and short enough that the rest of the stop has its time.
const LAST_ATTEMPT: Duration = Duration::from_secs(5);

/// Retries until Postgres has done it, however long it is away; `None` when `stop` came and the
/// attempt under way failed or did not end. The same batch may be sent again: what is stored stays
/// stored.
pub(super) async fn until_done<T, F>(
    metrics: &Metrics,
    failures: &WriteFailures,
    stop: &CancellationToken,
    attempt: impl Fn() -> F,
) -> Option<T>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut delays = retry::exponential(FIRST_DELAY, LONGEST_DELAY).with_jitter().build();
    loop {
        let outcome = tokio::select! {
            outcome = attempt() => outcome,
            () = overdue(stop) => return None,
        };
        let error = match outcome {
            Ok(done) => {
                failures.over();
                return Some(done);
            }
            Err(error) => error,
        };
        metrics.ingest.count_error(error.class());
        let delay = match error.class() {
            Class::Transient => delays.next().unwrap_or(LONGEST_DELAY),
            Class::Configuration | Class::Content => SLOW,
        };
        failures.log(&error, delay);
        stop.run_until_cancelled(sleep(delay)).await?;
    }
}

/// Ends when `stop` came so long ago that an attempt is not waited for any more. Whether it was
/// committed is not known then; its messages come again and turn out to be there, or not.
async fn overdue(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(LAST_ATTEMPT).await;
}

/// What was logged of writes that failed, by all writers together: an outage of an hour is 60
/// lines, not one for each of tens of thousands of attempts. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct WriteFailures(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    transient: LogLimit,
    lasting: LogLimit,
    /// Since when writes fail, as the log tells it; none while they do not.
    since: Mutex<Option<Instant>>,
}

impl WriteFailures {
    fn log(&self, error: &Error, delay: Duration) {
        let is_transient = error.class() == Class::Transient;
        let limit = if is_transient { &self.0.transient } else { &self.0.lasting };
        let Some(held_back) = limit.due() else { return };
        if is_transient {
            tracing::warn!(%error, ?delay, held_back, "A batch is not written yet");
        } else {
            tracing::error!(
                %error,
                ?delay,
                held_back,
                "A batch is not written; an operator has to act"
            );
        }
        self.since().get_or_insert_with(Instant::now);
    }

    /// Logs the end of the failure that was logged last, if its end was not.
    fn over(&self) {
        if let Some(since) = self.since().take() {
            let after_seconds = since.elapsed().as_secs_f64();
            tracing::info!(after_seconds, "Batches are written again");
        }
    }

    fn since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        // Nothing in the critical sections panics half way, so a poisoned state is whole.
        self.0.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;
    use crate::log_limit::tests::LoggedLines;

    const HOUR: Duration = Duration::from_hours(1);

    /// An hour in which `writers` try to write and get `error`; then Postgres is back.
    async fn outage(writers: usize, error: fn() -> Error) -> (Vec<String>, u64) {
        let logged = LoggedLines::collect();
        let (metrics, failures) = (Metrics::new(), WriteFailures::default());
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..writers {
            let (metrics, failures) = (metrics.clone(), failures.clone());
            tasks.spawn(async move {
                let attempt = async || if began.elapsed() < HOUR { Err(error()) } else { Ok(()) };
                let stop = CancellationToken::new();
                until_done(&metrics, &failures, &stop, attempt).await.expect("no stop");
            });
        }
        tasks.join_all().await;
        let class = error().class().as_str();
        let series = format!("waybill_ingest_errors_total{{class=\"{class}\"}} ");
        let text = metrics.render();
        let count = text.lines().find_map(|line| line.strip_prefix(&series)).expect("a counter");
        (logged.take(), count.parse().expect("a number"))
    }

    #[tokio::test(start_paused = true)]
    async fn an_hour_without_postgres_is_a_line_a_minute_and_every_attempt_is_counted() {
        let (lines, attempts) = outage(4, || Error::Retry(sqlx::Error::PoolTimedOut)).await;
        // 4 writers with pauses of 400 to 800 ms.
        assert!((18_000..36_500).contains(&attempts), "{attempts} attempts");
        let (last, waiting) = lines.split_last().expect("lines");
        assert!((59..=60).contains(&waiting.len()), "{} lines", waiting.len());
        let is_one = |line: &String| line.starts_with("WARN A batch is not written yet error=");
        assert!(waiting.iter().all(is_one), "{waiting:#?}");
        assert!(last.starts_with("INFO Batches are written again after_seconds=3600."), "{last}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_operator_has_to_mend_is_an_error_a_minute() {
        let (lines, attempts) = outage(4, || Error::SharedSession).await;
        assert!((1_400..=1_440).contains(&attempts), "{attempts} attempts");
        let (last, waiting) = lines.split_last().expect("lines");
        assert!((59..=60).contains(&waiting.len()), "{} lines", waiting.len());
        assert!(waiting.iter().all(|line| line.starts_with("ERROR ")), "{waiting:#?}");
        assert!(last.starts_with("INFO "), "{last}");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_that_come_and_go_are_bounded_too() {
        let logged = LoggedLines::collect();
        let failures = WriteFailures::default();
        for _ in 0..36_000 {
            failures.log(&Error::CutShort, FIRST_DELAY);
            failures.over();
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        let lines = logged.take();
        assert_eq!(lines.len(), 2 * 60, "one of each a minute");
        assert!(lines[2].contains("held_back=599"), "{}", lines[2]);
    }
}
