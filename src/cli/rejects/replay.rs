//! `waybill rejects replay`: another try for rejects, after what was wrong is mended.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;

use super::filters::Filters;
use super::pager::Pager;
use crate::config::Settings;
use crate::ingest::{Replay, Replayed, Retried};
use crate::rejects::display::Escaped;
use crate::signals::Signals;
use crate::store::{Direction, KeptReject, RejectFilter, Store};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill rejects replay --dry-run
  waybill rejects replay 17 18
  waybill rejects replay --reason too_large")]
pub(in crate::cli) struct Args {
    /// Only these rejects, by the ids that `list` shows
    #[arg(value_name = "ID", conflicts_with_all = ["reasons", "since", "until", "channel", "limit"])]
    ids: Vec<i64>,
    #[command(flatten)]
    filters: Filters,
    /// Say what would become of them by what is stored now, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    /// The rejects, or the filters that choose them, for the audit log.
    pub(super) fn targets(&self) -> Vec<String> {
        let ids = self.ids.iter().map(i64::to_string);
        ids.chain(self.filters.told()).collect()
    }

    /// Whether it changes anything.
    pub(super) fn is_change(&self) -> bool {
        !self.dry_run
    }
}

/// How many came to what.
#[derive(Default)]
struct Tally {
    stored: u64,
    duplicate: u64,
    erased: u64,
    kept: u64,
}

pub(super) async fn run(
    args: &Args,
    store: Store,
    settings: &Settings,
    signals: &Signals,
) -> anyhow::Result<ExitCode> {
    let ingest = &settings.ingest;
    let replay = Replay {
        store: store.clone(),
        max_message_bytes: ingest.max_message_bytes.bytes(),
        dry_run: args.dry_run,
    };
    let mut missing: BTreeSet<i64> = args.ids.iter().copied().collect();
    let ids = (!args.ids.is_empty()).then(|| args.ids.clone());
    let filter = RejectFilter { ids, ..args.filters.filter() };
    let mut pager = Pager::new(store, filter, Direction::OLDEST_FIRST, args.filters.limit());
    let mut tally = Tally::default();
    let (rows, bytes) = (ingest.batch_max_rows, ingest.batch_max_bytes.bytes());
    // A batch that is begun is finished, so that what is told of it is all that was done.
    let interrupted = loop {
        let batch = tokio::select! {
            biased;
            signal = signals.first() => break Some(signal),
            batch = pager.batch(rows, bytes) => batch?,
        };
        let Some(batch) = batch else { break None };
        let batch = batch.into_iter();
        let batch = batch.map(|(kept, payload)| Retried { kept, payload: payload.into() });
        let done = replay.run(batch.collect()).await?;
        let mut stdout = io::stdout().lock();
        for (kept, replayed) in &done {
            missing.remove(&kept.id);
            tally.count(replayed);
            writeln!(stdout, "{}", describe(kept, replayed))?;
        }
        stdout.flush()?;
    };
    if let Some(signal) = interrupted {
        tally.print(args.dry_run)?;
        writeln!(io::stderr(), "interrupted; those after them were not tried")?;
        return Ok(ExitCode::from(signal.exit_code()));
    }
    for id in &missing {
        writeln!(io::stdout(), "reject {id}: there is none")?;
    }
    tally.print(args.dry_run)?;
    let is_done = tally.kept == 0 && missing.is_empty();
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Tally {
    fn print(&self, dry_run: bool) -> io::Result<()> {
        let Self { stored, duplicate, erased, kept } = self;
        let would = if dry_run { "would be " } else { "" };
        let mut stdout = io::stdout().lock();
        let erased = if *erased > 0 { format!(", {erased} erased") } else { String::new() };
        writeln!(stdout, "{would}{stored} stored, {duplicate} duplicate, {kept} kept{erased}")?;
        stdout.flush()
    }

    fn count(&mut self, replayed: &Replayed) {
        match replayed {
            Replayed::Stored => self.stored += 1,
            Replayed::Duplicate => self.duplicate += 1,
            Replayed::Erased => self.erased += 1,
            Replayed::Refused { .. } | Replayed::Unsettled => self.kept += 1,
        }
    }
}

fn describe(kept: &KeptReject, replayed: &Replayed) -> String {
    let outcome = match replayed {
        Replayed::Stored => "stored".to_owned(),
        Replayed::Duplicate => "duplicate".to_owned(),
        Replayed::Erased => "deleted, for its order was erased".to_owned(),
        Replayed::Refused { reason, detail } => {
            format!("kept, {reason}: {}", Escaped::line(detail))
        }
        Replayed::Unsettled => "kept, another of its order was in the way; try again".to_owned(),
    };
    format!("reject {} ({} {}): {outcome}", kept.id, Escaped::line(&kept.channel), kept.sequence)
}
