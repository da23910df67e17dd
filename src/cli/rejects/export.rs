//! `waybill rejects export`: rejects with their payloads, to keep or to look into elsewhere.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};

use super::filters::Filters;
use super::pager::Pager;
use super::record;
use crate::signals::{Signal, Signals};
use crate::store::{Direction, Store};

/// Rejects with their payloads in memory at once, and bytes of payload.
const BATCH: (usize, usize) = (100, 4 << 20);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill rejects export --output rejects.ndjson
  waybill rejects export --until 2026-11-01T00:00:00Z --output old.ndjson")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    filters: Filters,
    /// Write to this new file, readable by its owner alone, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// The filters that choose the rejects, for the audit log.
    pub(super) fn targets(&self) -> Vec<String> {
        self.filters.told()
    }
}

pub(super) async fn run(args: &Args, store: Store, signals: &Signals) -> anyhow::Result<ExitCode> {
    let filters = &args.filters;
    let pager = Pager::new(store, filters.filter(), Direction::OLDEST_FIRST, filters.limit());
    let (Copied { exported, interrupted }, to) = match &args.output {
        None => {
            let mut stdout = BufWriter::new(io::stdout());
            let copied = copy(pager, &mut stdout, signals).await?;
            stdout.flush()?;
            (copied, "standard output".to_owned())
        }
        Some(path) => {
            let name = path.display();
            let file = create(path)?;
            let written = write_file(pager, file, path, signals).await;
            if written.is_err() {
                // Half an export must not pass for a whole one. One that is interrupted is kept up to
                // its last line, and told to be a part.
                let _ = fs::remove_file(path);
            }
            (written.with_context(|| format!("{name} is not written"))?, name.to_string())
        }
    };
    if let Some(signal) = interrupted {
        writeln!(
            io::stderr(),
            "interrupted: {exported} exported to {to}, and not those after them"
        )?;
        return Ok(ExitCode::from(signal.exit_code()));
    }
    writeln!(io::stderr(), "{exported} exported to {to}")?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses a file that is there: it may be the only copy of what was pruned since.
fn create(path: &Path) -> anyhow::Result<File> {
    let name = path.display();
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    created.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            anyhow!("{name} is there already and is not overwritten; name another file")
        }
        _ => anyhow!(error).context(format!("cannot create {name}")),
    })
}

async fn write_file(
    pager: Pager,
    file: File,
    path: &Path,
    signals: &Signals,
) -> anyhow::Result<Copied> {
    let mut out = BufWriter::new(file);
    let copied = copy(pager, &mut out, signals).await?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    // The name is on disk when its folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(copied)
}

/// How many were written, and what cut it short.
struct Copied {
    exported: u64,
    interrupted: Option<Signal>,
}

async fn copy(mut pager: Pager, out: &mut impl Write, signals: &Signals) -> anyhow::Result<Copied> {
    let (rows, bytes) = BATCH;
    let mut exported = 0;
    loop {
        let batch = tokio::select! {
            batch = pager.batch(rows, bytes) => batch?,
            signal = signals.first() => return Ok(Copied { exported, interrupted: Some(signal) }),
        };
        let Some(batch) = batch else { return Ok(Copied { exported, interrupted: None }) };
        for (kept, payload) in &batch {
            record::write(out, kept, Some(payload))?;
        }
        exported += batch.len() as u64;
    }
}
