//! Numbers of a report: ratios, rates, and durations as people read them.

/// One second, in nanoseconds.
pub const SECOND: u64 = 1_000_000_000;

/// A count as a number with a fraction.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of a run are below 2^53")]
pub fn float(count: u64) -> f64 {
    count as f64
}

/// `part` of `whole`; 0 of nothing.
#[must_use]
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { float(part) / float(whole) }
}

/// Nanoseconds as seconds.
#[must_use]
pub fn seconds(nanoseconds: u64) -> f64 {
    float(nanoseconds) / 1e9
}

/// How many a second, if the last began `nanoseconds` after the first: of so many there are one
/// fewer distances. What is alone, or all at once, counts as within a second.
#[must_use]
pub fn per_second(count: u64, nanoseconds: u64) -> f64 {
    match (count, nanoseconds) {
        (0 | 1, _) | (_, 0) => float(count),
        _ => float(count - 1) / seconds(nanoseconds),
    }
}

/// Nanoseconds as milliseconds for a table, such as `0.42`, `61.2` or `1,204`.
#[must_use]
pub fn milliseconds(nanoseconds: u64) -> String {
    let number = float(nanoseconds) / 1e6;
    match number {
        ..10.0 => format!("{number:.2}"),
        ..100.0 => format!("{number:.1}"),
        _ => grouped(number),
    }
}

/// A duration with its unit, such as `0.42 ms`, `61.2 ms` or `1.20 s`.
#[must_use]
pub fn duration(nanoseconds: u64) -> String {
    if nanoseconds < SECOND {
        format!("{} ms", milliseconds(nanoseconds))
    } else {
        format!("{:.2} s", seconds(nanoseconds))
    }
}

/// A rate for people: whole from 10 on, such as `1,000`, `10` or `0.5`.
#[must_use]
pub fn rate(number: f64) -> String {
    if number < 9.95 { format!("{number:.1}") } else { grouped(number) }
}

/// A share that never reads as 1, or as 0, if it is not: `1.0000`, `0.9999`, `0.7500`.
#[must_use]
pub fn share(part: u64, whole: u64) -> String {
    let ratio = ratio(part, whole);
    let shown = (ratio * 10_000.0).floor() / 10_000.0;
    format!("{shown:.4}")
}

/// Rounded, with commas between thousands.
#[must_use]
pub fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = if number <= -0.5 { "-".to_owned() } else { String::new() };
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// With as many decimals as it needs, three at the most: `0.06`, `2.5`, `1`.
#[must_use]
pub fn plain(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A count with commas between thousands.
#[must_use]
pub fn count(number: u64) -> String {
    grouped(float(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_as_many_digits_as_tell() {
        let shown = [423_000, 61_200_000, 1_204_000_000].map(milliseconds);
        assert_eq!(shown, ["0.42", "61.2", "1,204"]);
        let shown = [423_000, 61_200_000, 1_204_000_000].map(duration);
        assert_eq!(shown, ["0.42 ms", "61.2 ms", "1.20 s"]);
    }

    #[test]
    fn a_share_is_not_rounded_to_all() {
        assert_eq!(share(1_000_000, 1_000_000), "1.0000");
        assert_eq!(share(999_999, 1_000_000), "0.9999");
        assert_eq!(share(3, 4), "0.7500");
        assert_eq!(share(0, 0), "0.0000");
    }

    #[test]
    fn rates_count_the_distances() {
        assert!((per_second(101, 2 * SECOND) - 50.0).abs() < 1e-9);
        assert!((per_second(1, 0) - 1.0).abs() < 1e-9);
        assert_eq!([0.0, 0.5, 9.99, 12_345.6].map(rate), ["0.0", "0.5", "10", "12,346"]);
        assert_eq!([-1_234.0, -0.2, 999.6].map(grouped), ["-1,234", "0", "1,000"]);
        assert_eq!([0.1 * 3.0, 2.5, 100.0, 0.0].map(plain), ["0.3", "2.5", "100", "0"]);
    }
}
