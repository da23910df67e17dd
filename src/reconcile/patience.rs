//! Trying again what may pass by itself, but not without end.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep};

use super::Observer;
use crate::store::{Class, Error};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Why a step could not be done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may pass by itself.
    Passing(anyhow::Error),
    /// Trying again cannot help.
    Lasting(anyhow::Error),
}

impl From<stan::Error> for Trouble {
    fn from(error: stan::Error) -> Self {
        match error.kind() {
            stan::error::Kind::Permanent => Self::Lasting(error.into()),
            stan::error::Kind::Retryable | stan::error::Kind::SessionFatal => {
                Self::Passing(error.into())
            }
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error.class() {
            Class::Transient => Self::Passing(error.into()),
            Class::Configuration | Class::Content => Self::Lasting(error.into()),
        }
    }
}

/// How long one step may be tried.
pub(super) struct Patience {
    limit: Duration,
    pause: Duration,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, pause: FIRST_PAUSE }
    }

    /// Tries until it is done, tells each pause, and gives up after the limit.
    pub(super) async fn insist<T>(
        mut self,
        observer: &mut dyn Observer,
        mut attempt: impl AsyncFnMut() -> Result<T, Trouble>,
    ) -> anyhow::Result<T> {
        let began = Instant::now();
        loop {
            let error = match attempt().await {
                Ok(done) => return Ok(done),
                Err(Trouble::Lasting(error)) => return Err(error),
                Err(Trouble::Passing(error)) => error,
            };
            let pause = self.pause;
            if began.elapsed() + pause > self.limit {
                let limit = humantime::format_duration(self.limit);
                return Err(error).with_context(|| format!("given up after {limit}"));
            }
            observer.waiting(&format_args!("{error:#}"), pause);
            sleep(pause).await;
            self.pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
