//! What the status has several of, for the page and for a terminal.

use super::Status;
use super::words::{grouped, text, took};

/// Rows of the same kind; harmless on a terminal, and not escaped for HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What the rows are.
    pub title: &'static str,
    /// What stands in each column.
    pub columns: &'static [&'static str],
    /// The rows.
    pub rows: Vec<Vec<String>>,
    /// What to say when there are none.
    pub none: &'static str,
}

impl Status {
    /// The last batches, the newest rejects and the settings.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        vec![self.batch_table(), self.reject_table(), self.setting_table()]
    }

    fn batch_table(&self) -> Table {
        let rows = self.batches.iter().map(|batch| {
            let counts = [
                batch.messages,
                batch.stored_messages,
                batch.duplicate_messages,
                batch.conflict_messages,
                batch.refused_messages,
                batch.erased_messages,
                batch.kept_messages,
            ];
            let first = [text(&batch.ended_at), took(batch.duration_seconds)];
            first.into_iter().chain(counts.map(grouped)).collect()
        });
        Table {
            title: "Last batches",
            columns: &[
                "Ended",
                "Took",
                "Messages",
                "Stored",
                "Duplicate",
                "Conflict",
                "Refused",
                "Erased",
                "Kept",
            ],
            rows: rows.collect(),
            none: "No batch was settled yet.",
        }
    }

    fn reject_table(&self) -> Table {
        let rows = self.rejects.newest.iter().flatten().map(|reject| {
            vec![
                reject.id.to_string(),
                reject.sequence.to_string(),
                text(&reject.reason),
                text(&reject.first_seen_at),
            ]
        });
        let none = match self.rejects.newest {
            Some(_) => "No rejects are kept.",
            None => "Not known: Postgres did not tell.",
        };
        Table {
            title: "Newest rejects",
            columns: &["Id", "Sequence", "Reason", "First seen"],
            rows: rows.collect(),
            none,
        }
    }

    fn setting_table(&self) -> Table {
        let rows = self.settings.iter().map(|setting| {
            let origin = setting.origin.as_deref().unwrap_or("default");
            vec![text(&setting.name), text(&setting.value), text(origin)]
        });
        Table {
            title: "Settings",
            columns: &["Setting", "Value", "From"],
            rows: rows.collect(),
            none: "None are told.",
        }
    }
}
