//! The dead-letter queue: messages that could not become orders, while they are kept; measured,
//! shown and in the end deleted.

pub mod display;

use std::sync::Arc;
use std::time::Duration;

use indicatif::HumanBytes;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::metrics::Metrics;
use crate::store::{Error, RejectsMeasured, Store};

/// Time between two looks at the table.
const INTERVAL: Duration = Duration::from_mins(1);

/// Rejects deleted by one statement, so that none holds its locks for long.
const EXPIRED_AT_ONCE: u32 = 500;

/// How much is kept and whether that is too much, as last measured. Clones share it.
#[derive(Debug, Clone)]
pub struct RejectUsage {
    measured: Arc<watch::Sender<Option<RejectsMeasured>>>,
    alarm_bytes: u64,
}

impl RejectUsage {
    /// A level of which nothing is known until it is measured.
    #[must_use]
    pub fn new(settings: &config::Rejects) -> Self {
        let alarm_bytes = settings.alarm_bytes.bytes() as u64;
        Self { measured: Arc::new(watch::Sender::new(None)), alarm_bytes }
    }

    /// What was measured last; none if Postgres was not asked yet, or does not answer.
    #[must_use]
    pub fn measured(&self) -> Option<RejectsMeasured> {
        *self.measured.borrow()
    }

    /// Over so many bytes of payload the alarm is raised.
    #[must_use]
    pub fn alarm_bytes(&self) -> u64 {
        self.alarm_bytes
    }

    /// The usage in words; an error when it is over the alarm.
    ///
    /// # Errors
    /// What is too much, and what to do about it.
    pub fn describe(&self) -> Result<String, String> {
        let Some(measured) = self.measured() else {
            return Ok("not known: Postgres was not asked yet, or does not answer".to_owned());
        };
        let kept = format!("{} kept, {}", measured.rows, HumanBytes(measured.bytes));
        if measured.bytes > self.alarm_bytes {
            let limit = HumanBytes(self.alarm_bytes);
            return Err(format!(
                "{kept}, over rejects.alarm_bytes of {limit}; export and prune them"
            ));
        }
        Ok(kept)
    }
}

/// Measures the rejects, and deletes those past their age if the settings give them one.
#[derive(Debug, Clone)]
pub struct RejectRetention {
    /// The Postgres that keeps the rejects.
    pub store: Store,
    /// Gets what was measured, for `/readyz?verbose`.
    pub usage: RejectUsage,
    /// Gets the same, for Prometheus.
    pub metrics: Metrics,
    /// Age after which a reject is deleted; zero for never.
    pub keep_for: Duration,
}

impl RejectRetention {
    /// Looks at once, then every minute until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut looks = interval(INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            if let Some(Err(error)) = stop.run_until_cancelled(self.look()).await {
                tracing::debug!(%error, "The rejects cannot be looked after");
                self.usage.measured.send_replace(None);
                self.metrics.rejects.unknown();
            }
        }
    }

    async fn look(&self) -> Result<(), Error> {
        if !self.keep_for.is_zero() {
            self.expire().await?;
        }
        let measured = self.store.measure_rejects().await?;
        let was_over = self.usage.describe().is_err();
        self.usage.measured.send_replace(Some(measured));
        let told = self.usage.describe();
        self.metrics.rejects.set(measured, self.usage.alarm_bytes, told.is_err());
        match told {
            Err(told) if !was_over => tracing::warn!("Rejects: {told}"),
            Ok(told) if was_over => tracing::info!("Rejects: {told}"),
            _ => {}
        }
        Ok(())
    }

    /// Small batches: another replica that wants its turn, and the writers, come in between.
    async fn expire(&self) -> Result<(), Error> {
        let age_seconds = self.keep_for.as_secs_f64();
        let mut expired = 0;
        loop {
            let batch = self.store.expire_rejects(age_seconds, EXPIRED_AT_ONCE).await?;
            self.metrics.rejects.expired.inc_by(batch);
            expired += batch;
            if batch < EXPIRED_AT_ONCE.into() {
                break;
            }
        }
        if expired > 0 {
            tracing::info!(rejects = expired, "Rejects older than rejects.keep_for are deleted");
        }
        Ok(())
    }
}
