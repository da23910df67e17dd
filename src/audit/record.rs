//! One record, and the line that it is written as.

use std::time::SystemTime;

use humantime::format_rfc3339_millis;
use serde::Serialize;

/// What was done. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Action {
    /// An order was asked for, on the page or by the API.
    #[serde(rename = "order.read")]
    OrderRead,
    /// Many orders were asked for in one request.
    #[serde(rename = "order.lookup")]
    OrderLookup,
    /// The newest orders were listed on the admin port.
    #[serde(rename = "order.list")]
    OrderList,
    /// Rejects were listed on the admin port.
    #[serde(rename = "reject.list")]
    RejectList,
    /// A reject was read on the admin port or by a command.
    #[serde(rename = "reject.read")]
    RejectRead,
    /// Rejects were written into a file.
    #[serde(rename = "reject.export")]
    RejectExport,
    /// Rejects were deleted.
    #[serde(rename = "reject.prune")]
    RejectPrune,
    /// Rejects were published once more.
    #[serde(rename = "reject.replay")]
    RejectReplay,
    /// What is logged was changed on the admin port.
    #[serde(rename = "log_filter.change")]
    LogFilterChange,
    /// Orders that Postgres lacked were put back out of the channel.
    #[serde(rename = "order.repair")]
    OrderRepair,
    /// Orders were erased.
    #[serde(rename = "order.erase")]
    OrderErase,
}

/// What came of it. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done, or shown.
    Success,
    /// It was not allowed.
    Denied,
    /// There was nothing to show.
    NotFound,
    /// It could not be done.
    Failed,
    /// A command is about to do it; another record tells what came of it.
    Attempted,
}

impl Outcome {
    /// What the status of an answer says.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=399 => Self::Success,
            401 | 403 => Self::Denied,
            404 | 410 => Self::NotFound,
            _ => Self::Failed,
        }
    }
}

/// Who did it, as far as is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// The subject of the token, or the user of the system who typed the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The IP address that the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Who did what, when, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// When, RFC 3339 in UTC to the millisecond, by the clock of whoever writes it.
    pub time: String,
    /// What was done.
    pub action: Action,
    /// The orders or rejects it was done to, as they were named; empty for all.
    pub targets: Vec<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// The status of the answer over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Whether personal fields were masked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub masked: bool,
    /// Who did it.
    #[serde(flatten)]
    pub actor: Actor,
    /// The trace of the request, 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

impl Record {
    /// A record of now, with what every record has.
    #[must_use]
    pub fn new(action: Action, targets: Vec<String>, outcome: Outcome, actor: Actor) -> Self {
        let time = format_rfc3339_millis(SystemTime::now()).to_string();
        Self { time, action, targets, outcome, status: None, masked: false, actor, trace_id: None }
    }

    /// The record as one line of JSON, its end included.
    pub(super) fn line(&self) -> String {
        // Strings, numbers and lists of them always serialize; line ends in them are escaped.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_without_what_is_not_known() {
        let actor = Actor { subject: Some("support\n".to_owned()), address: None };
        let mut record =
            Record::new(Action::OrderRead, vec!["a".to_owned()], Outcome::Success, actor);
        record.time = "2026-01-02T03:04:05.678Z".to_owned();
        record.status = Some(200);
        let line = "{\"time\":\"2026-01-02T03:04:05.678Z\",\"action\":\"order.read\",\
            \"targets\":[\"a\"],\"outcome\":\"success\",\"status\":200,\"subject\":\"support\\n\"}\n";
        assert_eq!(record.line(), line);
    }

    #[test]
    fn an_answer_is_told_by_its_status() {
        for (status, outcome) in [
            (200, Outcome::Success),
            (304, Outcome::Success),
            (401, Outcome::Denied),
            (403, Outcome::Denied),
            (404, Outcome::NotFound),
            (410, Outcome::NotFound),
            (400, Outcome::Failed),
            (503, Outcome::Failed),
        ] {
            assert_eq!(Outcome::of_status(status), outcome, "{status}");
        }
    }
}
