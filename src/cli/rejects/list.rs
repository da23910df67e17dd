//! `waybill rejects list`: one line a reject.

use std::io::{self, Write};
use std::process::ExitCode;

use indicatif::HumanBytes;

use super::filters::Filters;
use super::pager::Pager;
use super::record;
use crate::cli::output::Output;
use crate::rejects::display::shortened;
use crate::store::{Direction, KeptReject, Store};

/// Characters of a detail in the table.
const DETAIL_CHARS: usize = 72;

/// Characters of a channel in the table.
const CHANNEL_CHARS: usize = 32;

const HEAD: [&str; 7] = ["ID", "FIRST SEEN", "CHANNEL", "SEQUENCE", "REASON", "SIZE", "DETAIL"];

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill rejects list
  waybill rejects list --since 2h --reason too_large --output json")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    filters: Filters,
    /// How to write them: a table for people, or a line of JSON for each
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
    /// The same as --output json
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

impl Args {
    fn is_json(&self) -> bool {
        self.json || self.output == Output::Json
    }
}

pub(super) async fn run(args: &Args, store: Store) -> anyhow::Result<ExitCode> {
    let filters = &args.filters;
    let mut pager = Pager::new(store, filters.filter(), Direction::NEWEST_FIRST, filters.limit());
    let mut table = Table::default();
    loop {
        let page = pager.page().await?;
        let mut stdout = io::stdout().lock();
        if page.is_empty() {
            if !args.is_json() && table.is_empty() {
                writeln!(stdout, "no rejects")?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        if args.is_json() {
            page.iter().try_for_each(|kept| record::write(&mut stdout, kept, None))?;
        } else {
            table.write(&mut stdout, &page)?;
        }
        stdout.flush()?;
    }
}

/// Columns as wide as what stood in them so far.
#[derive(Default)]
struct Table {
    widths: [usize; 7],
}

impl Table {
    fn is_empty(&self) -> bool {
        self.widths == [0; 7]
    }

    fn write(&mut self, out: &mut impl Write, page: &[KeptReject]) -> io::Result<()> {
        let mut rows: Vec<[String; 7]> = Vec::with_capacity(page.len() + 1);
        if self.is_empty() {
            rows.push(HEAD.map(str::to_owned));
        }
        rows.extend(page.iter().map(cells));
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let [id, seen, channel, sequence, reason, size, _] = self.widths;
        for [a, b, c, d, e, f, g] in &rows {
            writeln!(
                out,
                "{a:>id$}  {b:<seen$}  {c:<channel$}  {d:>sequence$}  {e:<reason$}  {f:>size$}  {g}"
            )?;
        }
        Ok(())
    }
}

fn cells(kept: &KeptReject) -> [String; 7] {
    // To the second: 2026-11-23T10:00:00.123456Z.
    let first_seen = kept.first_seen.split('.').next().unwrap_or_default();
    [
        kept.id.to_string(),
        format!("{first_seen}Z"),
        shortened(&kept.channel, CHANNEL_CHARS),
        kept.sequence.to_string(),
        kept.reason.clone(),
        HumanBytes(kept.size_bytes).to_string(),
        shortened(&kept.detail, DETAIL_CHARS),
    ]
}
