//! What a stage writes down: a line of JSON an order, and one at the end.

use std::fs::File;
use std::io::{LineWriter, Write};
use std::path::Path;

use anyhow::Context as _;

use crate::load::ingested::{Line, Order};

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
    pub(crate) fn record(&mut self, order: Order) -> anyhow::Result<()> {
        self.write(&Line::Order(order))
    }

    /// Writes that this was the last of so many `orders`.
    pub(crate) fn finish(mut self, orders: u64) -> anyhow::Result<()> {
        self.write(&Line::End { complete: true, orders })
    }

    fn write(&mut self, line: &Line) -> anyhow::Result<()> {
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
        let served = Order { sent: 1, confirmed: Some(2), served: Some(3), error: None };
        let error = Some("not confirmed: why".to_owned());
        let lost = Order { sent: 4, confirmed: None, served: None, error };
        results.record(served).unwrap();
        results.record(lost).unwrap();
        results.write(&Line::End { complete: true, orders: 2 }).unwrap();
        let text = String::from_utf8(results.0).unwrap();
        insta::assert_snapshot!(text, @r#"
        {"sent":1,"confirmed":2,"served":3,"error":null}
        {"sent":4,"confirmed":null,"served":null,"error":"not confirmed: why"}
        {"complete":true,"orders":2}
        "#);
    }
}
