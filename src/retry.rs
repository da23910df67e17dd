//! How attempts are repeated: the crate `backon` does it, with the delays that are made here.

use std::time::Duration;

use backon::{BackoffBuilder, ConstantBuilder, ExponentialBuilder, Retryable as _};

/// The same `delay` after each attempt, without end.
pub(crate) fn every(delay: Duration) -> ConstantBuilder {
    ConstantBuilder::default().with_delay(delay).without_max_times()
}

/// A delay that doubles from `first` to `longest`, without end. Who is one of many adds jitter,
/// so that not all come at once.
pub(crate) fn exponential(first: Duration, longest: Duration) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_factor(2.0)
        .without_max_times()
}

/// Repeats `attempt` with `delays` until it succeeds; `notify` is told of each failure.
pub(crate) async fn until_done<T, E, F>(
    delays: impl BackoffBuilder + Clone,
    mut attempt: impl FnMut() -> F,
    mut notify: impl FnMut(&E),
) -> T
where
    F: Future<Output = Result<T, E>>,
{
    loop {
        let attempts = (&mut attempt).retry(delays.clone());
        // Delays that come to an end begin anew.
        if let Ok(done) = attempts.notify(|error, _| notify(error)).await {
            return done;
        }
    }
}

/// Tells an error that is new from one that was reported before, and still lasts.
#[derive(Debug, Default)]
pub(crate) struct LastError(Option<String>);

impl LastError {
    /// Whether `text` is another than that of the attempt before.
    pub(crate) fn changes_to(&mut self, text: &str) -> bool {
        let is_new = self.0.as_deref() != Some(text);
        if is_new {
            self.0 = Some(text.to_owned());
        }
        is_new
    }

    /// It is over: the same error is a new one the next time. Whether there was one.
    pub(crate) fn ends(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_never_end() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_millis(800));
        let delays: Vec<_> = exponential(first, longest).build().take(1000).collect();
        assert_eq!(delays.len(), 1000);
        // The crate multiplies in floating point.
        let rounded: Vec<_> = delays[..6].iter().map(Duration::as_millis).collect();
        assert_eq!(rounded, [100, 200, 400, 800, 800, 800]);
        assert_eq!(every(first).build().take(1000).last(), Some(first));
    }

    #[test]
    fn an_error_is_reported_once_while_it_lasts() {
        let mut last = LastError::default();
        let changes = ["a", "a", "b", "b", "a"].map(|text| last.changes_to(text));
        assert_eq!(changes, [true, false, true, false, true]);
        assert_eq!([last.ends(), last.ends()], [true, false]);
        assert!(last.changes_to("a"));
    }
}
