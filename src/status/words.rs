//! Values of the status in words, harmless on a terminal and not escaped for HTML.

use indicatif::HumanCount;

use super::Share;
use crate::rejects::display::shortened;

/// Characters of a text that comes from elsewhere, such as an error of Postgres.
const TEXT_CHARS: usize = 300;

/// What is not known.
pub(super) const UNKNOWN: &str = "not known";

pub(super) fn or_unknown<T>(value: Option<T>, words: impl FnOnce(T) -> String) -> String {
    value.map_or(UNKNOWN.to_owned(), words)
}

/// A text that comes from elsewhere, on one line, harmless.
pub(super) fn text(text: &str) -> String {
    shortened(text, TEXT_CHARS)
}

pub(super) fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

pub(super) fn grouped(count: u64) -> String {
    HumanCount(count).to_string()
}

pub(super) fn messages(count: u64) -> String {
    format!("{} {}", HumanCount(count), if count == 1 { "message" } else { "messages" })
}

pub(super) fn times(count: u64) -> String {
    format!("{} {}", HumanCount(count), if count == 1 { "time" } else { "times" })
}

pub(super) fn took(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1e3) } else { format!("{seconds:.1} s") }
}

pub(super) fn percent(ratio: f64) -> String {
    format!("{:.3} %", ratio * 100.0)
}

pub(super) fn share(share: &Share) -> String {
    let counted = format!("{} of {}", HumanCount(share.count_total), HumanCount(share.of_total));
    share.ratio.map_or("none so far".to_owned(), |ratio| format!("{} ({counted})", percent(ratio)))
}
