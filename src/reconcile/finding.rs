//! What is not as it should be, as a line of the report.

use serde::Serialize;

use crate::digest::Sha256Digest;

/// One message, or a range of sequences, that is not kept as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The first sequence it is about.
    pub from: u64,
    /// The last sequence it is about; the same, but for a range that is gone.
    pub to: u64,
    /// What is wrong.
    #[serde(rename = "finding")]
    pub kind: Kind,
    /// The order's id, if the message is an order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Why the message is no order, if it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Digest of the message, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Digest>,
    /// What was put back, if anything was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<Repair>,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// There is no trace of the message.
    Missing,
    /// Other bytes are stored under the order's uid, and no reject is kept.
    Differing,
    /// The broker has deleted it, so nothing can be said.
    Gone,
}

/// What was done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Repair {
    /// The order was missing and is stored now.
    Stored,
    /// Somebody else had stored the order meanwhile.
    Duplicate,
    /// The message is kept as a reject.
    Rejected,
    /// Somebody has erased the order meanwhile, and it is not put back.
    Erased,
}

impl Finding {
    pub(super) fn gone(from: u64, to: u64) -> Self {
        Self { from, to, kind: Kind::Gone, uid: None, reason: None, sha256: None, repair: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_report_names_what_is_known_and_nothing_else() {
        let gone = serde_json::to_string(&Finding::gone(1, 70)).unwrap();
        assert_eq!(gone, r#"{"from":1,"to":70,"finding":"gone"}"#);
        let missing = Finding {
            kind: Kind::Missing,
            uid: Some("a".to_owned()),
            sha256: Some(Sha256Digest::of(b"hello")),
            repair: Some(Repair::Stored),
            ..Finding::gone(5, 5)
        };
        assert_eq!(
            serde_json::to_string(&missing).unwrap(),
            format!(
                r#"{{"from":5,"to":5,"finding":"missing","uid":"a","sha256":"{}","repair":"stored"}}"#,
                Sha256Digest::of(b"hello")
            )
        );
    }
}
