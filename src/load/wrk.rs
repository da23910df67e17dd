//! What wrk got at the most, as `make load` writes it down: `wrk.json`.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::numbers;

/// As many requests of one kind as could be answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Maximum {
    /// What was asked for.
    pub name: String,
    /// Answers a second.
    pub requests_per_second: f64,
    /// The median time to an answer, in microseconds.
    pub p50_us: u64,
    /// The 99th percentile of that, in microseconds.
    pub p99_us: u64,
    /// Answers that were not as they must be, and requests without one.
    pub errors: u64,
}

impl Maximum {
    /// Answers a second, errors, and the percentiles in milliseconds, each with its name.
    #[must_use]
    pub fn shown(&self) -> [(&'static str, String); 4] {
        let milliseconds = |us: u64| numbers::milliseconds(us.saturating_mul(1000));
        [
            ("Got/s", numbers::rate(self.requests_per_second)),
            ("Errors", numbers::count(self.errors)),
            ("p50, ms", milliseconds(self.p50_us)),
            ("p99, ms", milliseconds(self.p99_us)),
        ]
    }
}

/// Reads the file.
///
/// # Errors
/// It cannot be read, or is not a list of these.
pub fn read(path: &Path) -> anyhow::Result<Vec<Maximum>> {
    Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
}
