//! How fast messages are sent.

use std::time::Duration;

use tokio::time::Instant;

/// How far behind its pace a slow broker may put us before what was missed is given up.
const MAX_LAG: Duration = Duration::from_secs(1);

/// When the next message may be sent.
pub(super) struct Pace {
    step: Duration,
    pub(super) next: Instant,
}

impl Pace {
    /// At most `rate` messages a second, or as many as possible.
    pub(super) fn new(rate: Option<f64>) -> Self {
        let step = rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        Self { step, next: Instant::now() }
    }

    /// Books that a message is sent `now`.
    pub(super) fn sent(&mut self, now: Instant) {
        let oldest = now.checked_sub(MAX_LAG).unwrap_or(self.next);
        self.next = (self.next + self.step).max(oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_even() {
        let mut pace = Pace::new(Some(100.0));
        let start = pace.next;
        for number in 0..500 {
            assert_eq!(pace.next - start, Duration::from_millis(10) * number);
            pace.sent(pace.next);
        }
    }

    #[test]
    fn a_slow_broker_is_not_flooded_with_what_was_missed() {
        let mut pace = Pace::new(Some(100.0));
        let late = pace.next + Duration::from_mins(1);
        let mut at_once = 0;
        while pace.next <= late {
            pace.sent(late);
            at_once += 1;
        }
        assert!((100..=102).contains(&at_once), "{at_once}");
    }
}
