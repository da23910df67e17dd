//! How many orders a second, and for how long.

use std::time::Duration;

/// One rate, held for some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stage {
    /// Orders a second, at least one.
    pub(crate) rate: u32,
    pub(crate) duration: Duration,
}

impl Stage {
    /// When each order is to be sent, from the start of the stage.
    pub(crate) fn due(self) -> impl Iterator<Item = Duration> {
        let Self { rate, duration } = self;
        let nanoseconds =
            move |number| Duration::from_nanos(number * 1_000_000_000 / u64::from(rate));
        (0_u64..).map(nanoseconds).take_while(move |due| *due < duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_due_evenly_and_before_the_end() {
        let stage = Stage { rate: 3, duration: Duration::from_secs(2) };
        let due: Vec<u128> = stage.due().map(|due| due.as_millis()).collect();
        assert_eq!(due, [0, 333, 666, 1000, 1333, 1666]);
        let day = Stage { rate: 10_000, duration: Duration::from_millis(1) };
        assert_eq!(day.due().count(), 10);
    }
}
