//! Which part of the requests is of which kind.

use std::fmt;
use std::str::FromStr;

/// What a request asks for, and which answer is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An order by its id: 200.
    Hit,
    /// An order that nobody has: 404.
    Miss,
    /// The page of an order: 200.
    Page,
    /// An order whose present entity tag the client has: 304.
    Unchanged,
    /// Many orders by their ids in one request: 200.
    Many,
}

impl Kind {
    /// All of them, in the order in which a mix is written.
    pub const ALL: [Self; 5] = [Self::Hit, Self::Miss, Self::Page, Self::Unchanged, Self::Many];

    /// Its name in a mix.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hits",
            Self::Miss => "misses",
            Self::Page => "pages",
            Self::Unchanged => "unchanged",
            Self::Many => "many",
        }
    }
}

/// The weights of the kinds, as in `hits=80,misses=20`: their ratio counts, not their sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix([u32; Kind::ALL.len()]);

impl Mix {
    /// How many of `count` requests are of each kind, in the order of [`Kind::ALL`].
    ///
    /// The sum is `count`: what rounding down leaves goes to the kinds that it took most from.
    ///
    /// # Panics
    /// Never: a mix has a weight above 0, and no part is more than `count`.
    #[must_use]
    pub fn divide(&self, count: u32) -> [u32; Kind::ALL.len()] {
        let total: u64 = self.0.iter().copied().map(u64::from).sum();
        let share = |weight: u32| u64::from(count) * u64::from(weight);
        let mut parts = self.0.map(|weight| {
            u32::try_from(share(weight) / total).expect("no part is more than the count")
        });
        let mut by_remainder: Vec<usize> = (0..parts.len()).collect();
        by_remainder.sort_by_key(|&kind| std::cmp::Reverse(share(self.0[kind]) % total));
        let left = count - parts.iter().sum::<u32>();
        for kind in by_remainder.into_iter().cycle().take(left as usize) {
            parts[kind] += 1;
        }
        parts
    }
}

const MUST_BE: &str = "must be weights such as hits=80,misses=10,pages=4,unchanged=4,many=2";

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut weights = [None; Kind::ALL.len()];
        for part in text.split(',') {
            let (name, weight) =
                part.split_once('=').ok_or_else(|| format!("`{part}` has no `=`; {MUST_BE}"))?;
            let place = Kind::ALL.iter().position(|kind| kind.as_str() == name.trim());
            let place =
                place.ok_or_else(|| format!("`{name}` is no kind of request; {MUST_BE}"))?;
            let weight: u32 = weight
                .trim()
                .parse()
                .map_err(|_| format!("`{part}` has no whole number as its weight; {MUST_BE}"))?;
            if weights[place].replace(weight).is_some() {
                return Err(format!("`{name}` is given twice; {MUST_BE}"));
            }
        }
        let weights = weights.map(Option::unwrap_or_default);
        if weights == [0; Kind::ALL.len()] {
            return Err(format!("all weights are 0; {MUST_BE}"));
        }
        Ok(Self(weights))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, weight) in Kind::ALL.iter().zip(self.0) {
            let separator = if *kind == Kind::ALL[0] { "" } else { "," };
            write!(formatter, "{separator}{}={weight}", kind.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(text: &str) -> Mix {
        text.parse().unwrap()
    }

    #[test]
    fn the_parts_are_as_the_weights_and_sum_up() {
        let all = mix("hits=80,misses=10,pages=4,unchanged=4,many=2");
        assert_eq!(all.divide(10_000), [8_000, 1_000, 400, 400, 200]);
        assert_eq!(all.divide(7), [6, 1, 0, 0, 0]);
        assert_eq!(mix("hits=1,misses=1,pages=1").divide(100), [34, 33, 33, 0, 0]);
        assert_eq!(mix("hits=4294967295,many=4294967295").divide(u32::MAX)[4], u32::MAX / 2);
        for count in 0..50 {
            assert_eq!(all.divide(count).iter().sum::<u32>(), count);
        }
    }

    #[test]
    fn a_mix_is_read_as_it_is_written() {
        let text = "hits=80,misses=10,pages=4,unchanged=4,many=2";
        assert_eq!(mix(text).to_string(), text);
        assert_eq!(mix("many=1, hits=0").to_string(), "hits=0,misses=0,pages=0,unchanged=0,many=1");
    }

    #[test]
    fn what_is_no_mix_is_named() {
        for (text, said) in [
            ("", "`` has no `=`"),
            ("hits", "`hits` has no `=`"),
            ("hit=1", "`hit` is no kind of request"),
            ("hits=-1", "`hits=-1` has no whole number"),
            ("hits=0.5", "`hits=0.5` has no whole number"),
            ("hits=1,hits=2", "`hits` is given twice"),
            ("hits=0,many=0", "all weights are 0"),
        ] {
            let error = text.parse::<Mix>().unwrap_err();
            assert!(error.starts_with(said) && error.ends_with(MUST_BE), "{text}: {error}");
        }
    }
}
