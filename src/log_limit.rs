//! A bound on how often a line is logged, whatever happens how often.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time in which a line is logged once at the most.
pub(crate) const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Lets a line be logged once a minute at the most, and counts how often it was not.
#[derive(Debug, Default)]
pub(crate) struct LogLimit(Mutex<Option<Logged>>);

#[derive(Debug)]
struct Logged {
    at: Instant,
    held_back: u64,
}

impl LogLimit {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Whether the line is to be logged now: then, how often it was held back since the last time.
    pub(crate) fn due(&self) -> Option<u64> {
        // Nothing in the critical section panics half way, so a poisoned state is whole.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(logged) = &mut *last
            && logged.at.elapsed() < LOG_INTERVAL
        {
            logged.held_back += 1;
            return None;
        }
        let before = last.replace(Logged { at: Instant::now(), held_back: 0 });
        Some(before.map_or(0, |before| before.held_back))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fmt::{self, Write as _};
    use std::sync::Arc;

    use tracing::field::{Field, Visit};
    use tracing::subscriber::DefaultGuard;
    use tracing::{Event, Level, Subscriber};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

    use super::*;

    /// The lines that this thread logs, from `INFO` on, while it is kept.
    pub(crate) struct LoggedLines {
        lines: Arc<Mutex<Vec<String>>>,
        _default: DefaultGuard,
    }

    struct Collect(Arc<Mutex<Vec<String>>>);

    /// `LEVEL message field=value …`.
    struct Line(String);

    impl LoggedLines {
        pub(crate) fn collect() -> Self {
            let lines = Arc::default();
            let layer = Collect(Arc::clone(&lines));
            let default = tracing_subscriber::registry().with(layer);
            Self { lines, _default: tracing::subscriber::set_default(default) }
        }

        /// What was logged since the last call.
        pub(crate) fn take(&self) -> Vec<String> {
            std::mem::take(&mut *self.lines.lock().unwrap())
        }
    }

    impl<S: Subscriber> Layer<S> for Collect {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            // Only of this crate: an HTTP client has a log of its own.
            let is_ours = event.metadata().target().starts_with("waybill");
            if is_ours && *event.metadata().level() <= Level::INFO {
                let mut line = Line(event.metadata().level().to_string());
                event.record(&mut line);
                self.0.lock().unwrap().push(line.0);
            }
        }
    }

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            let field = field.name();
            // Writing to a string cannot fail.
            let _ = match field {
                "message" => write!(self.0, " {value:?}"),
                _ => write!(self.0, " {field}={value:?}"),
            };
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_due_once_a_minute_and_tells_how_often_it_was_not() {
        let limit = LogLimit::default();
        assert_eq!([limit.due(), limit.due(), limit.due()], [Some(0), None, None]);
        tokio::time::advance(LOG_INTERVAL).await;
        assert_eq!([limit.due(), limit.due()], [Some(2), None]);
        tokio::time::advance(LOG_INTERVAL * 2).await;
        assert_eq!(limit.due(), Some(1));
    }
}
