//! Axes: where a value stands, in percent of the axis, and where a label does.

use std::fmt;

/// A place on an axis, from 0 at its beginning to 100 at its end.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(super) struct Percent(pub(super) f64);

impl fmt::Display for Percent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A hundredth of a percent is less than a dot of a screen.
        write!(formatter, "{:.2}", self.0)
    }
}

/// A label of an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) at: Percent,
    pub(super) label: String,
    /// Whether it is left out where there is little room.
    pub(super) is_minor: bool,
}

impl Tick {
    /// Its place from the other end.
    pub(super) fn opposite(&self) -> Percent {
        Percent(100.0 - self.at.0)
    }
}

/// From 0 on, in even steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Linear {
    step: f64,
    end: f64,
}

impl Linear {
    /// With room for `most`.
    pub(super) fn up_to(most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let step = round_up(most / 4.0, &[1.0, 2.0, 2.5, 5.0]);
        Self { step, end: (most / step - 1e-9).ceil() * step }
    }

    pub(super) fn place(&self, value: f64) -> Percent {
        Percent((value / self.end * 100.0).clamp(0.0, 100.0))
    }

    pub(super) fn ticks(&self, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let steps = (0..=5_u32).map(|number| f64::from(number) * self.step);
        let ticks = steps.take_while(|value| *value <= self.end * 1.000_001);
        ticks
            .map(|value| Tick { at: self.place(value), label: label(value), is_minor: false })
            .collect()
    }
}

/// By powers of ten.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log {
    low: f64,
    high: f64,
}

impl Log {
    /// From 1, 2 or 5 times a power of ten to another, with room for all that is above 0.
    pub(super) fn around(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values
            .filter(|value| *value > 0.0)
            .fold((f64::MAX, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        if high == 0.0 {
            return Self { low: 1.0, high: 10.0 };
        }
        let steps = &[1.0, 2.0, 5.0];
        let high = round_up(high, steps);
        let low = 1.0 / round_up(1.0 / low, steps);
        Self { low: if low < high { low } else { high / 10.0 }, high }
    }

    pub(super) fn place(&self, value: f64) -> Percent {
        let place = (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        Percent((place * 100.0).clamp(0.0, 100.0))
    }

    pub(super) fn ticks(&self, label: impl Fn(f64) -> String) -> Vec<Tick> {
        let decades = (self.high / self.low).log10();
        let factors: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let mut power = 10_f64.powf(self.low.log10().floor());
        let mut ticks = Vec::new();
        while power <= self.high * 1.000_001 {
            for factor in factors {
                let value = power * factor;
                if (self.low * 0.999_999..=self.high * 1.000_001).contains(&value) {
                    let at = self.place(value);
                    ticks.push(Tick { at, label: label(value), is_minor: false });
                }
            }
            power *= 10.0;
        }
        ticks
    }
}

/// The smallest of `factors`, times a power of ten, that is not below `value`.
fn round_up(value: f64, factors: &[f64]) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let fits = factors.iter().map(|factor| factor * power);
    // A hair below counts as equal: the logarithm is not exact.
    fits.into_iter().find(|fit| *fit >= value * 0.999_999).unwrap_or(power * 10.0)
}

/// As many places side by side as there are stages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots {
    width: f64,
}

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        let count = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        Self { width: 100.0 / f64::from(count) }
    }

    /// The middle of a slot, counted from 0.
    pub(super) fn middle(self, slot: usize) -> Percent {
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        Percent((f64::from(slot) + 0.5) * self.width)
    }

    /// A bar in the middle of a slot that takes so much of it: its left edge and its width.
    pub(super) fn bar(self, slot: usize, share: f64) -> (Percent, Percent) {
        let width = self.width * share;
        (Percent(self.middle(slot).0 - width / 2.0), Percent(width))
    }

    /// The end of a slot.
    pub(super) fn end(self, slot: usize) -> Percent {
        Percent(self.middle(slot).0 + self.width / 2.0)
    }

    pub(super) fn ticks(self, rates: &[u32]) -> Vec<Tick> {
        let tick = |(slot, rate): (usize, &u32)| Tick {
            at: self.middle(slot),
            label: compact(*rate),
            is_minor: rates.len() > 8 && slot % 2 == 1,
        };
        rates.iter().enumerate().map(tick).collect()
    }
}

/// The time of a run, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: i64,
    pub(super) end: i64,
}

/// Steps between labels, in seconds.
const STEPS: [u64; 13] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200];

impl Span {
    fn seconds(self) -> f64 {
        crate::load::numbers::seconds(self.end.abs_diff(self.start).max(1))
    }

    pub(super) fn place(&self, time: i64) -> Percent {
        let since = crate::load::numbers::seconds(
            u64::try_from(time.saturating_sub(self.start)).unwrap_or(0),
        );
        Percent((since / self.seconds() * 100.0).clamp(0.0, 100.0))
    }

    pub(super) fn ticks(&self) -> Vec<Tick> {
        let all = self.seconds();
        let fits = |step: &u64| all / crate::load::numbers::float(*step) <= 8.0;
        let step = STEPS.into_iter().find(fits).unwrap_or(86_400);
        let number = |second: u64| crate::load::numbers::float(second);
        let seconds = (0..).map(|tick| tick * step).take_while(|second| number(*second) <= all);
        let tick = |(place, second): (usize, u64)| Tick {
            at: Percent(number(second) / all * 100.0),
            label: format!("{}:{:02}", second / 60, second % 60),
            is_minor: place % 2 == 1,
        };
        seconds.enumerate().map(tick).collect()
    }
}

/// A rate in little room: `500`, `2.5k`, `10k`.
pub(super) fn compact(rate: u32) -> String {
    match rate {
        0..=999 => rate.to_string(),
        _ if rate.is_multiple_of(1_000) => format!("{}k", rate / 1_000),
        _ => format!("{:.1}k", f64::from(rate) / 1_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<String> {
        ticks.iter().map(|tick| format!("{} {}", tick.at, tick.label)).collect()
    }

    #[test]
    fn even_steps_begin_at_0_and_have_room_for_the_most() {
        let ticks = |most| labels(&Linear::up_to(most).ticks(|value| format!("{value}")));
        assert_eq!(
            ticks(1_000.0),
            ["0.00 0", "25.00 250", "50.00 500", "75.00 750", "100.00 1000"]
        );
        assert_eq!(ticks(0.0).len(), 5);
        assert_eq!(ticks(5_200.0), ["0.00 0", "33.33 2000", "66.67 4000", "100.00 6000"]);
    }

    #[test]
    fn powers_of_ten_are_evenly_apart() {
        let log = Log::around([0.0, 0.3, 900.0].into_iter());
        assert_eq!(labels(&log.ticks(|value| format!("{value:.0}")))[0], "18.90 1");
        let near = Log::around([3.0, 3.0].into_iter());
        assert_eq!(labels(&near.ticks(|value| value.to_string())), ["0.00 2", "100.00 5"]);
        assert_eq!(Log::around([7.0].into_iter()).place(0.0), Percent(0.0));
        let same = Log::around([5.0].into_iter());
        assert!(same.low < same.high, "{same:?}");
        assert_eq!(Log::around([].into_iter()).ticks(|_| String::new()).len(), 4);
    }

    #[test]
    fn a_span_has_few_labels() {
        let span = Span { start: 5_000_000_000, end: 125_000_000_000 };
        assert_eq!(labels(&span.ticks())[..3], ["0.00 0:00", "12.50 0:15", "25.00 0:30"]);
        assert_eq!(span.place(65_000_000_000), Percent(50.0));
        assert_eq!([500, 1_000, 2_500, 10_000].map(compact), ["500", "1k", "2.5k", "10k"]);
    }
}
