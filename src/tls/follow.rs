//! Looks at the files again and again, and at the clock.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::port::ServerTls;
use super::validity::{self, Standing, Validity};
use crate::metrics::Metrics;

/// Time between two looks at the files, which lie in memory or on a local disk.
const INTERVAL: Duration = Duration::from_secs(1);

/// Time between two warnings of the same certificate.
const REMINDER: Duration = Duration::from_hours(24);

/// One port's files.
#[derive(Debug)]
pub(super) struct Follower {
    tls: ServerTls,
    /// Why the files could not be used when they were looked at last, and whether it was told.
    trouble: Option<(String, bool)>,
    /// Which certificate was warned of last, and when.
    warned: Option<(Validity, Instant)>,
}

/// Looks once a second, until `stop`.
pub(super) async fn run(mut followers: Vec<Follower>, metrics: Metrics, stop: CancellationToken) {
    loop {
        for follower in &mut followers {
            follower.look();
            follower.warn();
            let validity = follower.tls.validity();
            metrics.tls.set_validity(follower.tls.port(), validity.not_before, validity.not_after);
        }
        if stop.run_until_cancelled(sleep(INTERVAL)).await.is_none() {
            return;
        }
    }
}

impl Follower {
    pub(super) fn new(tls: ServerTls) -> Self {
        Self { tls, trouble: None, warned: None }
    }

    fn look(&mut self) {
        let (trouble, port) = (self.trouble.take(), self.tls.port());
        match self.tls.reload() {
            Ok(false) => {}
            Ok(true) => {
                let valid_until = self.tls.validity().end();
                tracing::info!(port, valid_until, "New connections get the new certificate");
            }
            Err(error) => {
                // Of files that are being replaced some may be new and some not yet: it is told
                // when it is still so a second later, and then once.
                let told = match trouble {
                    Some((before, told)) if before == error => {
                        if !told {
                            tracing::warn!(
                                port,
                                error,
                                "The certificate known stays in force; the new one cannot be used"
                            );
                        }
                        true
                    }
                    _ => false,
                };
                self.trouble = Some((error, told));
            }
        }
    }

    fn warn(&mut self) {
        let (validity, port) = (self.tls.validity(), self.tls.port());
        let standing = validity.standing(validity::now());
        let is_told = |(of, at): &(Validity, Instant)| *of == validity && at.elapsed() < REMINDER;
        if standing == Standing::Valid || self.warned.as_ref().is_some_and(is_told) {
            return;
        }
        self.warned = Some((validity, Instant::now()));
        let valid = validity.span();
        if standing == Standing::Expiring {
            tracing::warn!(port, valid, "The certificate expires soon and has not been renewed");
        } else {
            tracing::warn!(port, valid, "The certificate is not valid now; clients refuse it");
        }
    }
}
