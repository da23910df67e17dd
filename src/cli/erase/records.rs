//! Erasures as lines of JSON, to keep beside backups and to carry out after a restore.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ids;
use super::perform::persist;
use super::streams::{Deletion, Streams};
use crate::cli::output::Output;
use crate::cli::progress::counted;
use crate::digest::Sha256Digest;
use crate::store::{Erasure, Store};

/// Erasures that are read, or put on record, at a time.
const AT_ONCE: u32 = 500;

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    uid_sha256: Sha256Digest,
    /// RFC 3339; that of applying it when left out.
    erased_at: Option<String>,
    reason: String,
}

/// Writes every erasure to the file, or leaves the one that was there.
pub(super) async fn export(path: &Path, store: &Store) -> anyhow::Result<ExitCode> {
    if path == Path::new("-") {
        let mut stdout = BufWriter::new(io::stdout());
        write(&mut stdout, store).await?;
        stdout.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    let name = path.display();
    let part = path.with_added_extension("part");
    let written = async {
        let mut out = BufWriter::new(File::create(&part)?);
        let count = write(&mut out, store).await?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&part, path)?;
        anyhow::Ok(count)
    };
    let count = written.await.with_context(|| format!("{name} is not written"))?;
    writeln!(io::stderr(), "{} written to {name}", counted(count, "erasure", "erasures"))?;
    Ok(ExitCode::SUCCESS)
}

async fn write(out: &mut impl Write, store: &Store) -> anyhow::Result<u64> {
    let (mut count, mut last) = (0, None);
    loop {
        let page = store.erasures(last, AT_ONCE).await?;
        let Some(newest) = page.last() else { return Ok(count) };
        last = Some(newest.uid_sha256);
        count += page.len() as u64;
        for Erasure { uid_sha256, erased_at, reason } in page {
            let record = Record { uid_sha256, erased_at, reason };
            writeln!(out, "{}", serde_json::to_string(&record)?)?;
        }
    }
}

/// What was done, as `--output json` tells it.
#[derive(Debug, Serialize)]
struct Applied {
    erasures: u64,
    recorded: u64,
    orders_deleted: u64,
    rejects_deleted: u64,
    #[serde(flatten)]
    deletion: Deletion,
}

/// Puts every erasure of the file on record, then deletes what is erased by what is on record.
pub(super) async fn apply(
    path: &Path,
    output: Output,
    patience: Duration,
    store: &Store,
    streams: &Streams<'_>,
) -> anyhow::Result<ExitCode> {
    let erasures = read(path)?;
    let mut recorded = 0;
    for some in erasures.chunks(AT_ONCE as usize) {
        let written = persist(patience, || store.record_erasures(some)).await?;
        recorded += written.recorded.len() as u64;
    }
    let swept = persist(patience, || store.sweep_erased()).await?;
    let mut deletion = Deletion::default();
    streams.delete(&swept.messages, &mut deletion).await;
    let applied = Applied {
        erasures: erasures.len() as u64,
        recorded,
        orders_deleted: swept.orders.len() as u64,
        rejects_deleted: swept.rejects,
        deletion,
    };
    let mut stdout = io::stdout().lock();
    match output {
        Output::Json => writeln!(stdout, "{}", serde_json::to_string(&applied)?)?,
        Output::Text => {
            writeln!(
                stdout,
                "{}, {recorded} of them new on record; {} and {} deleted",
                counted(applied.erasures, "erasure", "erasures"),
                counted(applied.orders_deleted, "order", "orders"),
                counted(applied.rejects_deleted, "reject", "rejects"),
            )?;
            applied.deletion.print(&mut stdout)?;
        }
    }
    stdout.flush()?;
    Ok(streams.exit_code(&applied.deletion))
}

/// All erasures of a file: a line that is none is an error, before anything is done.
fn read(path: &Path) -> anyhow::Result<Vec<Erasure>> {
    let text = ids::text(path)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            erasure(line).with_context(|| format!("{}, line {}", path.display(), at + 1))
        })
        .collect()
}

fn erasure(line: &str) -> anyhow::Result<Erasure> {
    let Record { uid_sha256, erased_at, reason } = serde_json::from_str(line)
        .context("must be an object with `uid_sha256`, `erased_at` and `reason`")?;
    if let Some(moment) = &erased_at {
        OffsetDateTime::parse(moment, &Rfc3339)
            .with_context(|| format!("`erased_at` is `{moment}` and must be RFC 3339"))?;
    }
    let reason = super::reason(&reason).map_err(|must_be| anyhow::anyhow!("`reason` {must_be}"))?;
    Ok(Erasure { uid_sha256, erased_at, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written_or_refused() {
        let digest = Sha256Digest::of(b"a");
        let line = format!(
            r#"{{"uid_sha256":"{digest}","erased_at":"2026-11-27T10:00:00.5Z","reason":"4711"}}"#
        );
        let expected = Erasure {
            uid_sha256: digest,
            erased_at: Some("2026-11-27T10:00:00.5Z".to_owned()),
            reason: "4711".to_owned(),
        };
        assert_eq!(erasure(&line).unwrap(), expected);
        for wrong in [
            String::new(),
            "{}".to_owned(),
            line.replace("2026-11-27T10:00:00.5Z", "yesterday"),
            line.replace("4711", " "),
            line.replace(&digest.to_string(), "a"),
        ] {
            assert!(erasure(&wrong).is_err(), "{wrong}");
        }
    }
}
