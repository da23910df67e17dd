//! The log file of a server: what it said since it was started last, and whether it says that
//! something is wrong.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// How much of a log an error shows.
const LINES_SHOWN: usize = 40;

/// A log file that is appended to, and where in it the present run begins.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    run_begins: usize,
}

impl Log {
    /// Opens the file for a server to write into.
    pub(crate) fn open(path: &Path) -> Result<(Self, File)> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| format!("cannot write the log {}", path.display()))?;
        let run_begins = usize::try_from(file.metadata()?.len())?;
        Ok((Self { path: path.to_owned(), run_begins }, file))
    }

    /// Everything since the server was started.
    pub(crate) fn this_run(&self) -> String {
        let bytes = std::fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(self.run_begins..).unwrap_or_default()).into_owned()
    }

    /// The end of it, introduced by the file's name, for an error.
    pub(crate) fn tail(&self) -> String {
        let text = last_lines(&self.this_run());
        format!("the end of {}:\n{text}", self.path.display())
    }

    /// Whether the server failed because another program took its port.
    pub(crate) fn tells_of_a_taken_port(&self) -> bool {
        self.this_run().to_lowercase().contains("address already in use")
    }
}

/// The lines of a waybill log in JSON that tell of an error without one of the `expected` texts,
/// and those of a panic, which is never expected.
#[must_use]
pub fn unexpected_errors(log: &str, expected: &[String]) -> Vec<String> {
    let mut follows_panic = false;
    let is_unexpected = |line: &&str| {
        let is_panic = line.contains("panicked at");
        // The message of a panic is on the line after its place.
        let shown = is_panic
            || follows_panic
            || line.contains("\"level\":\"ERROR\"")
                && !expected.iter().any(|text| line.contains(text.as_str()));
        follows_panic = is_panic;
        shown
    };
    log.lines().filter(is_unexpected).map(str::to_owned).collect()
}

pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let end = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
    if end.is_empty() { "(nothing)".to_owned() } else { end.join("\n") }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn only_the_last_lines_of_this_run_are_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "an earlier run\n").unwrap();
        let (log, mut file) = Log::open(&path).unwrap();
        assert!(log.tail().ends_with("(nothing)"));
        let written = LINES_SHOWN + 10;
        for line in 1..=written {
            writeln!(file, "line {line}").unwrap();
        }
        assert!(!log.this_run().contains("an earlier run"));
        assert!(log.tail().contains(":\nline 11\n"));
        assert!(log.tail().ends_with(&format!("line {written}")));
    }

    #[test]
    fn errors_are_unexpected_without_their_text_and_panics_always() {
        let log = r#"{"level":"INFO","message":"an ERROR of Postgres"}
{"level":"ERROR","message":"Disk full"}
{"level":"ERROR","message":"Lost"}
thread 'http-0' panicked at src/http.rs:1:2:
Disk full
{"level":"INFO","message":"Stopped"}
"#;
        let unexpected = unexpected_errors(log, &["Disk full".to_owned()]).join("\n");
        assert!(!unexpected.contains("INFO") && !unexpected.contains("\"Disk full\""));
        assert!(unexpected.contains("Lost") && unexpected.ends_with(":1:2:\nDisk full"));
    }
}
