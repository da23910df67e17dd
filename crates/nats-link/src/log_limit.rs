//! A bound on how often a line is logged, whatever happens how often.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often a line is logged in an [`INTERVAL`] at the most.
const LINES: u32 = 5;
const INTERVAL: Duration = Duration::from_mins(1);

/// Lets a line be logged five times a minute at the most, and counts how often it was not.
#[derive(Debug, Default)]
pub struct LogLimit(Mutex<Logged>);

#[derive(Debug, Default)]
struct Logged {
    since: Option<Instant>,
    lines: u32,
    held_back: u64,
}

impl LogLimit {
    /// Whether the line is to be logged now: then, how often it was held back since the last time.
    pub fn due(&self) -> Option<u64> {
        // Nothing in the critical section panics half way, so a poisoned state is whole.
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.since.is_none_or(|since| since.elapsed() >= INTERVAL) {
            logged.since = Some(Instant::now());
            logged.lines = 0;
        }
        if logged.lines == LINES {
            logged.held_back += 1;
            return None;
        }
        logged.lines += 1;
        Some(std::mem::take(&mut logged.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_is_due_five_times_a_minute_and_tells_how_often_it_was_not() {
        let limit = LogLimit::default();
        let due = |times: usize| (0..times).filter_map(|_| limit.due()).collect::<Vec<_>>();
        assert_eq!(due(100), [0; 5]);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(due(100), [95, 0, 0, 0, 0]);
    }
}
