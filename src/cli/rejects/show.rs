//! `waybill rejects show`: one reject, whole.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::bail;

use crate::rejects::display::{Escaped, HexDump, text};
use crate::store::{Direction, RejectFilter, Store};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill rejects show 17
  waybill rejects show 17 --raw > message.json")]
pub(in crate::cli) struct Args {
    /// The id that `list` shows
    #[arg(value_name = "ID")]
    id: i64,
    /// Write the very bytes of the payload, and nothing else
    #[arg(long)]
    raw: bool,
}

impl Args {
    /// What is shown, for the audit log.
    pub(super) fn targets(&self) -> Vec<String> {
        vec![self.id.to_string()]
    }
}

pub(super) async fn run(args: &Args, store: &Store) -> anyhow::Result<ExitCode> {
    let filter = RejectFilter { ids: Some(vec![args.id]), ..RejectFilter::default() };
    let mut found = store.rejects(&filter, Direction::OLDEST_FIRST, 1).await?;
    let mut payloads = store.reject_payloads(&[args.id], usize::MAX).await?;
    let (Some(kept), Some((_, payload))) = (found.pop(), payloads.pop()) else {
        bail!("no reject {}; `waybill rejects list` shows those there are", args.id);
    };
    let mut stdout = io::stdout().lock();
    if args.raw {
        stdout.write_all(&payload)?;
        stdout.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(stdout, "id          {}", kept.id)?;
    writeln!(stdout, "first seen  {}", kept.first_seen)?;
    writeln!(stdout, "channel     {}", Escaped::line(&kept.channel))?;
    writeln!(stdout, "sequence    {}", kept.sequence)?;
    writeln!(stdout, "reason      {}", kept.reason)?;
    writeln!(stdout, "detail      {}", Escaped::line(&kept.detail))?;
    if let Some(formatting_only) = kept.formatting_only {
        let differs = if formatting_only { "formatting only" } else { "content" };
        writeln!(stdout, "differs in  {differs}")?;
    }
    writeln!(stdout, "size        {} bytes", kept.size_bytes)?;
    writeln!(stdout, "sha256      {}", kept.sha256)?;
    match text(&payload, false) {
        Some("") => writeln!(stdout, "payload     nothing")?,
        Some(text) => writeln!(stdout, "payload     text\n\n{}", Escaped::lines(text))?,
        None => write!(stdout, "payload     not UTF-8\n\n{}", HexDump(&payload))?,
    }
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}
