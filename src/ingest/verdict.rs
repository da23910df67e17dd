//! What becomes of a message.

use order::Reason;

/// What becomes of a message. All but [`Verdict::Keep`] are committed facts in Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A new order, which is stored.
    Stored,
    /// The same order once more, byte for byte.
    Duplicate,
    /// Another order under a uid that is taken; kept as a reject.
    Conflict,
    /// No order; kept as a reject.
    Refused(Reason),
    /// Its order was erased; neither stored nor kept as a reject.
    Erased,
    /// Nothing is settled: it stays unacknowledged and comes again.
    Keep,
}

impl Verdict {
    /// The value of the label `result` in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Refused(_) => "refused",
            Self::Erased => "erased",
            Self::Keep => "kept",
        }
    }

    /// Why the message is kept as a reject, if it is.
    #[must_use]
    pub fn reason(self) -> Option<Reason> {
        match self {
            Self::Conflict => Some(Reason::Conflict),
            Self::Refused(reason) => Some(reason),
            Self::Stored | Self::Duplicate | Self::Erased | Self::Keep => None,
        }
    }

    /// Whether the message may be acknowledged.
    #[must_use]
    pub fn is_committed(self) -> bool {
        self != Self::Keep
    }
}
