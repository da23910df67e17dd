//! A receipt: what the broker confirmed to `waybill publish`, for `waybill verify`.

use std::borrow::Cow;

use order::generate::Expected;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;

/// A line of a receipt, written as JSON: one message that the broker confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line<'a> {
    /// The id in the message, if it has a valid one.
    pub(crate) uid: Option<Cow<'a, str>>,
    /// The digest of the message.
    pub(crate) sha256: Sha256Digest,
    /// What must become of it.
    pub(crate) expected: Expected,
}
