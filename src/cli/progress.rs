//! What a person sees meanwhile: a bar on a terminal, and lines of text.

use std::fmt;
use std::io::{self, Write};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

/// A bar on standard error, which shows nothing if that is no terminal.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar that ends at `total`, or one without an end.
    pub(super) fn start(total: Option<u64>) -> Self {
        let template = match total {
            Some(_) => "{wide_bar} {human_pos}/{human_len} {per_sec} {eta}",
            None => "{spinner} {human_pos} {per_sec}",
        };
        let style = ProgressStyle::with_template(template);
        let style = style.expect("the two templates above are well formed");
        Self { bar: total.map_or_else(ProgressBar::no_length, ProgressBar::new).with_style(style) }
    }

    /// One more message has its outcome.
    pub(super) fn advance(&self) {
        self.advance_by(1);
    }

    /// So many more messages have their outcome.
    pub(super) fn advance_by(&self, count: u64) {
        self.bar.inc(count);
    }

    /// Whether nobody sees the bar.
    pub(super) fn is_hidden(&self) -> bool {
        self.bar.is_hidden()
    }

    /// Writes a line to standard error without tearing the bar.
    pub(super) fn write_line(&self, line: impl fmt::Display) -> io::Result<()> {
        self.bar.suspend(|| writeln!(io::stderr(), "{line}"))
    }

    /// Removes the bar from the terminal.
    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// So many things, such as `1 order` or `2,000 orders`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", HumanCount(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_many() {
        let all = [0, 1, 2000].map(|number| counted(number, "address", "addresses"));
        assert_eq!(all, ["0 addresses", "1 address", "2,000 addresses"]);
    }

    #[test]
    fn both_templates_are_well_formed() {
        Progress::start(None).finish();
        Progress::start(Some(5)).finish();
    }
}
