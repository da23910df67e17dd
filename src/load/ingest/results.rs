//! What a stage writes down: a line of JSON an order, and one at the end.

use std::fs::File;
use std::io::{LineWriter, Write};
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// What became of one order. Times are nanoseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Sample {
    /// When it was published.
    pub(crate) sent: u64,
    /// When the broker's confirmation was there.
    pub(crate) confirmed: Option<u64>,
    /// When the first answer with it was there.
    pub(crate) served: Option<u64>,
    /// Why it was not confirmed or not served; the same words for the same cause.
    pub(crate) error: Option<String>,
}

impl Sample {
    pub(super) fn sent(sent: u64) -> Self {
        Self { sent, confirmed: None, served: None, error: None }
    }

    pub(super) fn failed(mut self, error: String) -> Self {
        self.error = Some(error);
        self
    }
}

/// The last line: without it the file is truncated.
#[derive(Serialize)]
struct End {
    complete: bool,
    orders: u64,
}

/// The file of a stage. Each line is written at once, so that others see that the stage runs.
#[derive(Debug)]
pub(crate) struct Results<W: Write = LineWriter<File>>(W);

impl Results {
    /// An empty `ingest-RATE.ndjson` in `directory`, in place of what was there.
    pub(crate) fn create(directory: &Path, rate: u32) -> anyhow::Result<Self> {
        let path = directory.join(format!("ingest-{rate}.ndjson"));
        let file =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(LineWriter::new(file)))
    }
}

impl<W: Write> Results<W> {
    pub(crate) fn record(&mut self, sample: &Sample) -> anyhow::Result<()> {
        self.write(sample)
    }

    /// Writes that this was the last of so many `orders`.
    pub(crate) fn finish(mut self, orders: u64) -> anyhow::Result<()> {
        self.write(&End { complete: true, orders })
    }

    fn write(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.0.write_all(text.as_bytes()).context("cannot write the results")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_has_a_line_and_the_last_line_says_how_many() {
        let mut results = Results(Vec::new());
        let served = Sample { confirmed: Some(2), served: Some(3), ..Sample::sent(1) };
        let lost = Sample::sent(4).failed("not confirmed: why".to_owned());
        results.record(&served).unwrap();
        results.record(&lost).unwrap();
        results.write(&End { complete: true, orders: 2 }).unwrap();
        let text = String::from_utf8(results.0).unwrap();
        insta::assert_snapshot!(text, @r#"
        {"sent":1,"confirmed":2,"served":3,"error":null}
        {"sent":4,"confirmed":null,"served":null,"error":"not confirmed: why"}
        {"complete":true,"orders":2}
        "#);
    }
}
