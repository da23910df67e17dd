//! Objectives: what a stage must keep to, such as `success>=0.999,p99<=50ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::numbers;
use super::statistics::Latencies;

/// All that must hold.
#[derive(Debug, Clone)]
pub struct Slo(Vec<Term>);

/// One of its terms.
#[derive(Debug, Clone)]
pub struct Term {
    measure: Measure,
    comparison: Comparison,
    bound: Bound,
    text: String,
}

#[derive(Debug, Clone, Copy)]
enum Measure {
    Success,
    Latency(&'static str, fn(&Latencies) -> u64),
}

/// The latencies that may be bounded, by their names.
const LATENCIES: [Measure; 7] = [
    Measure::Latency("p50", |latencies| latencies.p50),
    Measure::Latency("p90", |latencies| latencies.p90),
    Measure::Latency("p95", |latencies| latencies.p95),
    Measure::Latency("p99", |latencies| latencies.p99),
    Measure::Latency("p99.9", |latencies| latencies.p999),
    Measure::Latency("max", |latencies| latencies.max),
    Measure::Latency("mean", |latencies| latencies.mean),
];

impl Measure {
    fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Latency(name, _) => name,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    AtMost,
    Above,
    Below,
}

impl Comparison {
    /// With the longer ones first, for `>` begins `>=`.
    const ALL: [(Self, &'static str); 4] =
        [(Self::AtLeast, ">="), (Self::AtMost, "<="), (Self::Above, ">"), (Self::Below, "<")];

    fn holds<T: PartialOrd>(self, value: &T, bound: &T) -> bool {
        match self {
            Self::AtLeast => value >= bound,
            Self::AtMost => value <= bound,
            Self::Above => value > bound,
            Self::Below => value < bound,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    Share(f64),
    Nanoseconds(u64),
}

const MUST_BE: &str = "must be terms such as success>=0.999,p99<=50ms: one of success, p50, p90, \
                       p95, p99, p99.9, max and mean, then >=, <=, > or <, then a share from 0 to \
                       1 for success and a duration for the others";

impl Slo {
    /// The terms.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.0
    }

    /// The longest p99 that is allowed, in nanoseconds, if that is bounded.
    #[must_use]
    pub fn p99(&self) -> Option<u64> {
        let bound = |term: &Term| match (term.measure.name(), term.comparison, term.bound) {
            ("p99", Comparison::AtMost | Comparison::Below, Bound::Nanoseconds(bound)) => {
                Some(bound)
            }
            _ => None,
        };
        self.0.iter().filter_map(bound).min()
    }
}

impl Term {
    /// What it bounds, such as `p99`.
    #[must_use]
    pub fn measure(&self) -> &'static str {
        self.measure.name()
    }

    /// Says how this term is broken by so many successes of so many requests and these latencies,
    /// such as `p99 is 61.2 ms, must be <=50ms`; none if it is kept.
    #[must_use]
    pub fn breach(
        &self,
        (successes, requests): (u64, u64),
        latencies: &Latencies,
    ) -> Option<String> {
        let (holds, value) = match (self.measure, self.bound) {
            (Measure::Success, Bound::Share(bound)) => {
                let success = numbers::ratio(successes, requests);
                (self.comparison.holds(&success, &bound), numbers::share(successes, requests))
            }
            (Measure::Latency(_, latency), Bound::Nanoseconds(bound)) => {
                let latency = latency(latencies);
                (self.comparison.holds(&latency, &bound), numbers::duration(latency))
            }
            // The parser pairs them.
            _ => (true, String::new()),
        };
        let must_be = &self.text[self.measure().len()..];
        (!holds).then(|| format!("{} is {value}, must be {must_be}", self.measure()))
    }
}

impl FromStr for Slo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Term {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text: String = text.split_whitespace().collect();
        let wrong = |what: &str| format!("`{text}` {what}; {MUST_BE}");
        let place = text.find(['<', '>']).ok_or_else(|| wrong("compares nothing"))?;
        let (name, rest) = text.split_at(place);
        let known = [Measure::Success].into_iter().chain(LATENCIES);
        let measure = known.into_iter().find(|measure| measure.name() == name);
        let measure = measure.ok_or_else(|| wrong("bounds nothing that is measured"))?;
        let comparison = Comparison::ALL.into_iter().find_map(|(comparison, sign)| {
            rest.strip_prefix(sign).map(|bound| (comparison, bound))
        });
        // What was found is one of the two.
        let (comparison, bound) = comparison.ok_or_else(|| wrong("compares nothing"))?;
        let bound = match measure {
            Measure::Success => {
                let share = bound.parse().ok().filter(|share| (0.0..=1.0).contains(share));
                Bound::Share(share.ok_or_else(|| wrong("has no share from 0 to 1"))?)
            }
            Measure::Latency(..) => {
                let duration = humantime::parse_duration(bound).ok();
                let nanoseconds = duration.as_ref().map(Duration::as_nanos);
                let nanoseconds = nanoseconds.and_then(|bound| u64::try_from(bound).ok());
                Bound::Nanoseconds(nanoseconds.ok_or_else(|| wrong("has no duration"))?)
            }
        };
        Ok(Self { measure, comparison, bound, text })
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, term) in self.0.iter().enumerate() {
            write!(formatter, "{}{}", if place == 0 { "" } else { ", " }, term.text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATENCIES: Latencies = Latencies {
        mean: 2_000_000,
        p50: 1_000_000,
        p90: 5_000_000,
        p95: 10_000_000,
        p99: 50_000_000,
        p999: 60_000_000,
        max: 1_200_000_000,
    };

    fn breaches(slo: &str) -> Vec<String> {
        let slo: Slo = slo.parse().unwrap();
        slo.terms().iter().filter_map(|term| term.breach((999, 1_000), &LATENCIES)).collect()
    }

    #[test]
    fn each_comparison_means_what_it_says() {
        assert_eq!(breaches("success>=0.999,p99<=50ms, max < 2s"), [""; 0]);
        assert_eq!(breaches("success > 0.999"), ["success is 0.9990, must be >0.999"]);
        assert_eq!(breaches("p99<50ms"), ["p99 is 50.0 ms, must be <50ms"]);
        assert_eq!(breaches("max<=1s"), ["max is 1.20 s, must be <=1s"]);
        assert_eq!(
            breaches("p50<=999us,p90>=6ms,p95>10ms,p99.9<1ms,mean<=1ms"),
            [
                "p50 is 1.00 ms, must be <=999us",
                "p90 is 5.00 ms, must be >=6ms",
                "p95 is 10.0 ms, must be >10ms",
                "p99.9 is 60.0 ms, must be <1ms",
                "mean is 2.00 ms, must be <=1ms",
            ]
        );
    }

    #[test]
    fn what_is_no_objective_is_named_with_what_must_be() {
        for (slo, said) in [
            ("", "`` compares nothing"),
            ("p99", "`p99` compares nothing"),
            ("p99=5ms", "`p99=5ms` compares nothing"),
            ("p98<=5ms", "`p98<=5ms` bounds nothing that is measured"),
            ("success>=99", "`success>=99` has no share from 0 to 1"),
            ("success>=NaN", "`success>=NaN` has no share from 0 to 1"),
            ("p99<=5", "`p99<=5` has no duration"),
            ("p99<=", "`p99<=` has no duration"),
            ("success>=1,,", "`` compares nothing"),
        ] {
            let error = slo.parse::<Slo>().unwrap_err();
            assert!(error.starts_with(said) && error.ends_with(MUST_BE), "{slo}: {error}");
        }
    }

    #[test]
    fn the_bound_of_p99_is_known() {
        let p99 = |slo: &str| slo.parse::<Slo>().unwrap().p99();
        assert_eq!(p99("success>=0.999,p99<=50ms"), Some(50_000_000));
        assert_eq!(p99("p99>=50ms,max<1s"), None);
        let slo: Slo = "success >= 1,p99<=2s".parse().unwrap();
        assert_eq!(slo.to_string(), "success>=1, p99<=2s");
    }
}
