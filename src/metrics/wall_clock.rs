//! The wall clock, for ages by the clock of another machine.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// How far the system's clock may go from what is expected and still be followed at once.
const STEP: Duration = Duration::from_secs(1);

/// How long a clock that was set must keep its time to be followed. One that is wrong for a while
/// would make each message hours old.
const PROBATION: Duration = Duration::from_mins(10);

/// The time since 1970 by the system's clock, which is followed slowly when it is set.
#[derive(Debug)]
pub(super) struct WallClock(Mutex<Readings>);

#[derive(Debug)]
struct Readings {
    /// The last one that was believed.
    believed: Reading,
    /// The first one since the system's clock was set.
    doubted: Option<Reading>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    /// Since 1970.
    wall: Duration,
    at: Instant,
}

impl Default for WallClock {
    fn default() -> Self {
        Self(Mutex::new(Readings { believed: Reading::now(), doubted: None }))
    }
}

impl WallClock {
    /// The time since 1970.
    pub(super) fn now(&self) -> Duration {
        // Nothing in the critical section panics half way, so poisoned readings are whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(Reading::now())
    }
}

impl Readings {
    /// The time at this reading.
    fn take(&mut self, new: Reading) -> Duration {
        if new.continues(self.believed) {
            self.doubted = None;
        } else {
            let since = *self.doubted.get_or_insert(new);
            if !new.continues(since) {
                self.doubted = Some(new);
            }
            if !new.continues(since) || new.at - since.at < PROBATION {
                return self.believed.wall + (new.at - self.believed.at);
            }
            self.doubted = None;
        }
        self.believed = new;
        new.wall
    }
}

impl Reading {
    fn now() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall, at: Instant::now() }
    }

    /// Whether the clock was not set between that reading and this one.
    fn continues(self, before: Self) -> bool {
        (before.wall + (self.at - before.at)).abs_diff(self.wall) <= STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_clock_that_is_set_is_followed_when_it_has_kept_its_time() {
        let began = Instant::now();
        let (behind, right) = (499_990 * HOUR, 500_000 * HOUR);
        let reading = |wall, seconds| Reading { wall, at: began + Duration::from_secs(seconds) };
        let mut readings = Readings { believed: reading(right, 0), doubted: None };
        let seconds = Duration::from_secs;
        let mut take = |wall, at| readings.take(reading(wall, at));
        // A little too fast, as clocks are.
        assert_eq!(take(right + seconds(11), 10), right + seconds(11));
        for (wall, at) in [
            (right + 10 * HOUR + seconds(20), 20),
            (right + 10 * HOUR + seconds(610), 610),
            (behind + seconds(630), 630),
            (right + seconds(631), 630),
            // The probation begins when it was set, and not when it was right last.
            (right + 10 * HOUR + seconds(1_000), 1_000),
            (behind + seconds(1_500), 1_500),
            (behind + seconds(2_099), 2_099),
        ] {
            assert_eq!(take(wall, at), right + seconds(at + 1), "{at}");
        }
        for at in [2_100, 2_101] {
            assert_eq!(take(behind + seconds(at), at), behind + seconds(at));
        }
        assert_eq!(take(right + seconds(2_110), 2_110), behind + seconds(2_110));
    }
}
