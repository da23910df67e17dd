//! Erasing, some orders at a time.

use std::collections::HashSet;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use futures_util::FutureExt as _;
use order::OrderUid;
use serde::Serialize;

use super::Args;
use super::streams::{Deletion, Streams};
use crate::cli::output::Output;
use crate::cli::progress::counted;
use crate::digest::Sha256Digest;
use crate::retry;
use crate::signals::Signals;
use crate::store::{Class, Error, Store};

/// Orders erased in one transaction, for which writers have to wait.
const ORDERS_AT_ONCE: usize = 500;

/// Time between two attempts while the database is away or the tables are locked.
const PAUSE: Duration = Duration::from_millis(500);

/// What was done, as `--output json` tells it.
#[derive(Debug, Default, Serialize)]
struct Report<'a> {
    orders: Vec<Line<'a>>,
    rejects_deleted: u64,
    #[serde(flatten)]
    deletion: Deletion,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    uid: &'a str,
    uid_sha256: Sha256Digest,
    result: Result,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Result {
    /// It was stored, and is not any more.
    Erased,
    /// It was not stored, and will not be.
    NotStored,
    /// It was erased before.
    ErasedBefore,
}

pub(super) async fn run(
    mut uids: Vec<OrderUid>,
    reason: &str,
    args: &Args,
    store: &Store,
    streams: &Streams<'_>,
    signals: &Signals,
) -> anyhow::Result<ExitCode> {
    let Args { output, patience, .. } = *args;
    let mut seen = HashSet::new();
    uids.retain(|uid| seen.insert(uid.clone()));
    let mut report = Report::default();
    for some in uids.chunks(ORDERS_AT_ONCE) {
        // Each round is a transaction of its own, which is finished before this is looked at.
        if let Some(signal) = signals.first().now_or_never() {
            report.print(output)?;
            writeln!(io::stderr(), "interrupted; the others are not erased")?;
            return Ok(ExitCode::from(signal.exit_code()));
        }
        let erased = match persist(patience, || store.erase(some, reason)).await {
            Ok(erased) => erased,
            Err(error) => {
                report.print(output)?;
                return Err(error.into());
            }
        };
        report.rejects_deleted += erased.rejects;
        streams.delete(&erased.messages, &mut report.deletion).await;
        report.orders.extend(some.iter().map(|uid| {
            let (uid, uid_sha256) = (uid.as_str(), Sha256Digest::of(uid.as_str().as_bytes()));
            let result = match erased.orders.contains(uid) {
                true => Result::Erased,
                false if erased.recorded.contains(&uid_sha256) => Result::NotStored,
                false => Result::ErasedBefore,
            };
            Line { uid, uid_sha256, result }
        }));
    }
    report.print(output)?;
    Ok(streams.exit_code(&report.deletion))
}

/// Tries until it is done, or something is wrong for longer than `patience`.
pub(super) async fn persist<T, F>(
    patience: Duration,
    attempt: impl FnMut() -> F,
) -> std::result::Result<T, Error>
where
    F: Future<Output = std::result::Result<T, Error>>,
{
    use backon::Retryable as _;

    let until = tokio::time::Instant::now() + patience;
    let may_pass =
        |error: &Error| error.class() == Class::Transient && tokio::time::Instant::now() < until;
    attempt.retry(retry::every(PAUSE)).when(may_pass).await
}

impl Report<'_> {
    fn print(&self, output: Output) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match output {
            Output::Json => writeln!(stdout, "{}", serde_json::to_string(self)?)?,
            Output::Text => self.print_text(&mut stdout)?,
        }
        stdout.flush()
    }

    fn print_text(&self, out: &mut impl Write) -> io::Result<()> {
        for Line { uid, result, .. } in &self.orders {
            let what = match result {
                Result::Erased => "erased",
                Result::NotStored => "was not stored, and will not be",
                Result::ErasedBefore => "was erased before",
            };
            writeln!(out, "{uid}: {what}")?;
        }
        let count = |meant| self.orders.iter().filter(|line| line.result == meant).count() as u64;
        writeln!(
            out,
            "{} erased, {} not stored, {} erased before; {} deleted",
            count(Result::Erased),
            count(Result::NotStored),
            count(Result::ErasedBefore),
            counted(self.rejects_deleted, "reject", "rejects"),
        )?;
        self.deletion.print(out)
    }
}
