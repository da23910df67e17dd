//! Retrying what may pass by itself, but not without end.

use std::fmt;
use std::time::Duration;

use backon::RetryableWithContext as _;
use tokio::time::Instant;

use crate::retry;
use crate::store::{Class, Error};

const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Who is told of delays.
pub trait Waiting {
    /// Somebody who is needed is away, and will be tried again after a pause.
    fn waiting(&mut self, trouble: &dyn fmt::Display, pause: Duration);
}

/// Why a step could not be done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may pass by itself.
    Transient(anyhow::Error),
    /// It stays as it is, so that a retry cannot help.
    Permanent(anyhow::Error),
}

impl From<stan::Error> for Failure {
    fn from(error: stan::Error) -> Self {
        match error.kind() {
            stan::ErrorKind::Permanent => Self::Permanent(error.into()),
            _ => Self::Transient(error.into()),
        }
    }
}

impl From<jetstream::Error> for Failure {
    fn from(error: jetstream::Error) -> Self {
        match error.kind() {
            jetstream::ErrorKind::Permanent => Self::Permanent(error.into()),
            jetstream::ErrorKind::Retryable => Self::Transient(error.into()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.class() {
            Class::Transient => Self::Transient(error.into()),
            Class::Configuration | Class::Content => Self::Permanent(error.into()),
        }
    }
}

/// Attempts until it is done or the failure is permanent, tells each delay to `told`, and
/// gives up when `limit` has passed. Each attempt gets `context`.
pub(crate) async fn retry<'c, C, T>(
    limit: Duration,
    told: &mut dyn Waiting,
    context: &'c mut C,
    attempt: impl AsyncFn(&mut C) -> Result<T, Failure>,
) -> anyhow::Result<T> {
    let (began, attempt) = (Instant::now(), &attempt);
    let attempts = |context: &'c mut C| async move {
        let result = attempt(&mut *context).await;
        (context, result)
    };
    let (_, result) = attempts
        .retry(retry::exponential(FIRST_DELAY, LONGEST_DELAY))
        .context(context)
        .when(|failure| matches!(failure, Failure::Transient(_)) && began.elapsed() < limit)
        .notify(|(Failure::Transient(error) | Failure::Permanent(error)), delay| {
            // Whole milliseconds, for people: the delays are multiplied in floating point.
            let delay = Duration::from_millis(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
            told.waiting(&format_args!("{error:#}"), delay);
        })
        .await;
    result.map_err(|failure| match failure {
        Failure::Permanent(error) => error,
        Failure::Transient(error) => {
            error.context(format!("given up after {}", humantime::format_duration(limit)))
        }
    })
}
