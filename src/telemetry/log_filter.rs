//! What is logged, and changing it while the service runs.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;
use tracing_subscriber::reload;

/// The filter of the log, in the notation of [`EnvFilter`]. Clones share it.
#[derive(Clone)]
pub struct LogFilter(Arc<Inner>);

struct Inner {
    directives: Mutex<String>,
    apply: Box<Apply>,
}

type Apply = dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync;

/// Why a filter is not in force.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// There is no directive in it.
    #[error("it is empty; `off` is the filter that lets nothing through")]
    Empty,
    /// One of its directives is none.
    #[error(
        "`{0}` is not a directive; it must be a level (error, warn, info, debug, trace, off), \
         or one for a module such as `waybill::ingest=debug`"
    )]
    Directive(String),
    /// The log cannot be changed any more.
    #[error("the log has ended")]
    Ended,
}

impl LogFilter {
    /// `directives` are in force; `apply` puts others in their place.
    pub(super) fn new(
        directives: &str,
        apply: impl Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync + 'static,
    ) -> Self {
        let (directives, apply) = (Mutex::new(directives.to_owned()), Box::new(apply));
        Self(Arc::new(Inner { directives, apply }))
    }

    /// The directives in force, as they were given.
    #[must_use]
    pub fn directives(&self) -> String {
        self.lock().clone()
    }

    /// Puts others in force, until the next change or the end of the process, and logs that.
    ///
    /// # Errors
    /// What is wrong with them; then nothing has changed.
    pub fn change(&self, directives: &str) -> Result<(), InvalidFilter> {
        let filter = parse(directives)?;
        let mut present = self.lock();
        let log = |before: &str| {
            tracing::info!(from = before, to = directives, "The log filter is changed");
        };
        // Under the one of the two filters that lets it through.
        let is_seen = tracing::enabled!(Level::INFO);
        if is_seen {
            log(&present);
        }
        (self.0.apply)(filter).map_err(|_| InvalidFilter::Ended)?;
        if !is_seen {
            log(&present);
        }
        directives.clone_into(&mut present);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        // Nothing in the critical sections panics half way, so a poisoned text is whole.
        self.0.directives.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LogFilter({})", self.directives())
    }
}

/// At `INFO` this crate logs each of the attempts to connect that an outage is full of, and
/// nothing that `stan` does not log with a bound.
const CHATTY: &str = "async_nats";

/// Reads each directive by itself: the error of them all does not name the one at fault. What is
/// chatty logs warnings only, unless it is named.
pub(super) fn parse(directives: &str) -> Result<EnvFilter, InvalidFilter> {
    let parts = directives.split(',').map(str::trim).filter(|part| !part.is_empty());
    let mut parts: Vec<&str> = parts.collect();
    if parts.is_empty() {
        return Err(InvalidFilter::Empty);
    }
    if let Some(wrong) = parts.iter().find(|part| part.parse::<Directive>().is_err()) {
        return Err(InvalidFilter::Directive((*wrong).to_owned()));
    }
    // Where nothing else would be logged, neither is this.
    if !directives.contains(CHATTY) && parts != ["off"] && parts != ["error"] {
        parts.push("async_nats=warn");
    }
    EnvFilter::try_new(parts.join(",")).map_err(|_| InvalidFilter::Directive(parts.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chatty_is_asked_for_by_name() {
        let shown = |filter: &str| parse(filter).expect(filter).to_string();
        assert_eq!(shown("info"), "async_nats=warn,info");
        assert_eq!(shown("info,async_nats=debug"), "async_nats=debug,info");
        assert_eq!(shown("off"), "off");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for right in
            ["info", "off", "info,waybill::ingest=debug, stan=trace,", "waybill[batch]=debug"]
        {
            assert!(parse(right).is_ok(), "{right}");
        }
        for (wrong, part) in
            [("info,waybill=loud", "waybill=loud"), ("a=b=c", "a=b=c"), ("info,[", "[")]
        {
            assert_eq!(parse(wrong).err(), Some(InvalidFilter::Directive(part.to_owned())));
        }
        for empty in ["", " , "] {
            assert_eq!(parse(empty).err(), Some(InvalidFilter::Empty));
        }
    }
}
