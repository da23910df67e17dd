//! What the broker has confirmed, one line of JSON a message.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use order::generate::Expected;

use super::input::Message;
use crate::digest::Sha256Digest;
use crate::receipt::Line;
use order::{Order, OrderUid};

/// A file of confirmed messages.
pub(super) struct Receipt<W: Write = BufWriter<File>> {
    output: W,
    /// The longest message the service takes.
    max_message_bytes: usize,
}

/// A line of the receipt, kept until the message it is about is confirmed.
#[derive(Debug)]
pub(super) struct Entry(String);

impl Receipt {
    /// An empty receipt at `path`, in place of what was there.
    pub(super) fn create(path: &Path, max_message_bytes: usize) -> anyhow::Result<Self> {
        let file = File::create(path)
            .with_context(|| format!("cannot write the receipt {}", path.display()))?;
        Ok(Self { output: BufWriter::new(file), max_message_bytes })
    }

    /// Sees to it that every line is on the disk. What has none, such as a pipe, needs none.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        self.flush()?;
        let file = self.output.get_ref();
        if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            file.sync_all().context("cannot write the receipt")?;
        }
        Ok(())
    }
}

impl<W: Write> Receipt<W> {
    /// The line for `message`. What must become of a message that was not made up is found out
    /// by reading it, as if it were the first with its id.
    pub(super) fn entry(&self, message: &Message, payload: &Bytes) -> Entry {
        let (uid, expected) = match &message.known {
            Some((uid, expected)) => (uid.clone(), *expected),
            None => self.expectation(payload),
        };
        let line = Line {
            uid: uid.as_ref().map(|uid| Cow::Borrowed(uid.as_str())),
            sha256: Sha256Digest::of(payload),
            expected,
        };
        Entry(serde_json::to_string(&line).expect("strings can always be written as JSON"))
    }

    fn expectation(&self, payload: &Bytes) -> (Option<OrderUid>, Expected) {
        match Order::parse(payload.clone(), self.max_message_bytes) {
            Ok(order) => (Some(order.into_parts().0), Expected::Stored),
            Err(refusal) => (None, Expected::Refused(refusal.reason)),
        }
    }

    /// Writes down that the message of `entry` is confirmed.
    pub(super) fn confirm(&mut self, entry: &Entry) -> anyhow::Result<()> {
        writeln!(self.output, "{}", entry.0).context("cannot write the receipt")
    }

    /// Hands every line so far to the operating system, so that they are there however we end.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        self.output.flush().context("cannot write the receipt")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use order::generate::{Generator, Mix};

    const MODEL: &[u8] = include_bytes!("../../../data/model.json");

    fn line(message: &Message, max_message_bytes: usize) -> serde_json::Value {
        let mut receipt = Receipt { output: Vec::new(), max_message_bytes };
        let payload = message.payload.as_ref().unwrap();
        let entry = receipt.entry(message, payload);
        receipt.confirm(&entry).unwrap();
        let text = String::from_utf8(receipt.output).unwrap();
        assert!(text.ends_with("}\n"), "{text}");
        serde_json::from_str(&text).unwrap()
    }

    fn from_file(payload: &'static [u8]) -> Message {
        Message::from_file("x".as_ref(), Ok(Bytes::from_static(payload)))
    }

    #[test]
    fn a_line_says_which_order_which_bytes_and_which_fate() {
        assert_eq!(
            line(&from_file(MODEL), 10_000).to_string(),
            serde_json::json!({
                "uid": "b563feb7b2b84b6test",
                "sha256": Sha256Digest::of(MODEL),
                "expected": "stored",
            })
            .to_string()
        );
    }

    #[test]
    fn what_is_no_order_is_expected_to_be_refused() {
        let line = line(&from_file(b"hello"), 10_000);
        assert_eq!(line["uid"], serde_json::Value::Null);
        assert_eq!(line["expected"], "refused:not_json");
        let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(line["sha256"], hello);
    }

    #[test]
    fn the_size_limit_of_the_settings_counts() {
        assert_eq!(line(&from_file(MODEL), 1100)["expected"], "refused:too_large");
    }

    #[test]
    fn of_made_up_messages_the_generator_knows() {
        let mix = Mix { bad_ratio: 0.2, duplicate_ratio: 0.2 };
        for (number, made_up) in (1..=200).zip(Generator::new(1, mix)) {
            let (uid, expected) = (made_up.uid.clone(), made_up.expected);
            let line = line(&Message::generated((number, made_up)), 256 * 1024);
            assert_eq!(line["uid"].as_str(), uid.as_ref().map(OrderUid::as_str));
            assert_eq!(line["expected"], expected.to_string());
        }
    }
}
