//! What the broker had confirmed, as `waybill publish --receipt` wrote it down.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use order::Reason;

use crate::digest::Sha256Digest;
use crate::receipt::Line;
use order::generate::Expected;

/// The confirmed messages, by what must have become of them.
#[derive(Debug, Default)]
pub struct Receipt {
    /// By uid, the SHA-256 of each order published under it; none if all were refused.
    pub(super) orders: BTreeMap<String, BTreeSet<Sha256Digest>>,
    /// By SHA-256, why the message must be kept as a reject.
    pub(super) refused: HashMap<Sha256Digest, Reason>,
}

impl Receipt {
    /// Adds the lines of a file.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that is none of a receipt; both are named.
    pub fn add_file(&mut self, path: &Path) -> anyhow::Result<()> {
        let name = path.display();
        let file = File::open(path).with_context(|| format!("cannot read the receipt {name}"))?;
        for (line, number) in BufReader::new(file).lines().zip(1..) {
            let line = line.with_context(|| format!("cannot read the receipt {name}"))?;
            self.add_line(&line).with_context(|| format!("the receipt {name}, line {number}"))?;
        }
        Ok(())
    }

    fn add_line(&mut self, line: &str) -> anyhow::Result<()> {
        let Line { uid, sha256, expected } = serde_json::from_str(line)?;
        match (expected, uid) {
            (Expected::Stored | Expected::Duplicate, Some(uid)) => {
                self.orders.entry(uid.into_owned()).or_default().insert(sha256);
            }
            (Expected::Stored | Expected::Duplicate, None) => {
                return Err(anyhow!("an order without uid"));
            }
            (Expected::Refused(reason), uid) => {
                if let Some(uid) = uid {
                    self.orders.entry(uid.into_owned()).or_default();
                }
                self.refused.insert(sha256, reason);
            }
        }
        Ok(())
    }

    /// The uids under which an order must be stored.
    pub fn stored(&self) -> impl Iterator<Item = &str> {
        let stored = self.orders.iter().filter(|(_, published)| !published.is_empty());
        stored.map(|(uid, _)| &**uid)
    }

    /// How many uids are asked for.
    #[must_use]
    pub fn uids(&self) -> usize {
        self.orders.len()
    }

    /// How many distinct orders must be stored or have lost their uid to another.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.orders.values().map(BTreeSet::len).sum()
    }

    /// How many distinct messages must be kept as rejects.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.refused.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sorted_by_what_must_have_become_of_them() {
        let mut receipt = Receipt::default();
        let (one, two, three) = ("1".repeat(64), "2".repeat(64), "3".repeat(64));
        for line in [
            format!(r#"{{"uid":"a","sha256":"{one}","expected":"stored"}}"#),
            format!(r#"{{"uid":"a","sha256":"{one}","expected":"duplicate"}}"#),
            format!(r#"{{"uid":"a","sha256":"{two}","expected":"refused:conflict"}}"#),
            format!(r#"{{"uid":"b","sha256":"{three}","expected":"refused:wrong_type"}}"#),
            format!(r#"{{"uid":null,"sha256":"{three}","expected":"refused:not_json"}}"#),
        ] {
            receipt.add_line(&line).unwrap();
        }
        assert_eq!((receipt.uids(), receipt.orders(), receipt.refused()), (2, 1, 2));
        assert_eq!(receipt.orders["a"].len(), 1);
        assert!(receipt.orders["b"].is_empty());
        assert_eq!(receipt.stored().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_line_that_is_none_of_a_receipt_is_refused() {
        let digest = "0".repeat(64);
        for line in [
            String::new(),
            "{}".to_owned(),
            r#"{"uid":"a","sha256":"12","expected":"stored"}"#.to_owned(),
            format!(r#"{{"uid":null,"sha256":"{digest}","expected":"stored"}}"#),
            format!(r#"{{"uid":"a","sha256":"{digest}","expected":"lost"}}"#),
        ] {
            assert!(Receipt::default().add_line(&line).is_err(), "{line}");
        }
    }
}
