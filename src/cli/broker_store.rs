//! `waybill repair-broker-store`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::ensure;

use crate::broker_store;

/// Repair the file store of a NATS Streaming server after a loss of power
///
/// The server must be stopped. Run it before every start of the server: by itself the server does
/// not always start after a loss of power, and may not deliver all that it has confirmed or confirms
/// later. What was confirmed is kept. Subscriptions may be forgotten; the channel is then delivered
/// again, which does no harm.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill repair-broker-store /data/store")]
pub(super) struct Args {
    /// Directory of the store: `dir` in the server's settings
    store: PathBuf,
}

/// Says of each file what was changed.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let store = args.store.display();
    // Before the first start of a server there is no store yet, but the place for it.
    if args.store.try_exists()? {
        ensure!(args.store.is_dir(), "{store} is not a directory");
        let changes = broker_store::repair(&args.store)?;
        for change in &changes {
            writeln!(io::stdout(), "{change}")?;
        }
        if changes.is_empty() {
            writeln!(io::stdout(), "{store}: nothing to repair")?;
        }
    } else {
        // The parent of a name alone is the empty path.
        let is_place = std::path::absolute(&args.store)?.parent().is_some_and(Path::is_dir);
        ensure!(is_place, "{store} does not exist, nor does its parent directory");
        writeln!(io::stdout(), "{store}: there is no store yet")?;
    }
    Ok(ExitCode::SUCCESS)
}
