//! Ranges of sequences, of which the first few are named.

use std::fmt;

/// Ranges that are kept; those after them are only known to be there.
const KEPT: usize = 10;

/// Ranges of sequences, added in rising order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    first: Vec<(u64, u64)>,
    more: bool,
    count: u64,
}

impl Ranges {
    /// Adds the sequences `from` to `to`; they are joined to those before them if they touch.
    pub(crate) fn add(&mut self, from: u64, to: u64) {
        self.count += to - from + 1;
        let full = self.first.len() == KEPT;
        match self.first.last_mut() {
            Some((_, end)) if !self.more && *end + 1 == from => *end = to,
            _ if full => self.more = true,
            _ => self.first.push((from, to)),
        }
    }

    /// How many sequences there are in all ranges.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether the set holds no sequence at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (from, to)) in self.first.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            if from == to {
                write!(formatter, "{comma}{from}")?;
            } else {
                write!(formatter, "{comma}{from}–{to}")?;
            }
        }
        if self.more { formatter.write_str(" and more") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_that_touch_are_one_range_and_the_first_few_are_named() {
        let mut ranges = Ranges::default();
        assert!(ranges.is_empty());
        for sequence in [1, 2, 3, 7, 9, 10] {
            ranges.add(sequence, sequence);
        }
        assert_eq!(ranges.to_string(), "1–3, 7, 9–10");
        for sequence in (20..60).step_by(2) {
            ranges.add(sequence, sequence);
        }
        assert_eq!(ranges.to_string(), "1–3, 7, 9–10, 20, 22, 24, 26, 28, 30, 32 and more");
        assert_eq!(ranges.count(), 26);
    }
}
