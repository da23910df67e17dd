//! `waybill rejects prune`: deletes rejects for good.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use futures_util::FutureExt as _;
use indicatif::HumanBytes;

use super::filters::Filters;
use crate::cli::USAGE;
use crate::signals::Signals;
use crate::store::{RejectSpan, Store};

/// An age moves on from one command to the next, so that the second would mean more.
const COPY: &str = "keep a copy with `waybill rejects export --output FILE` and the same filters, \
                    with a moment in place of an age";

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill rejects prune --until 2026-11-01T00:00:00Z
  waybill rejects prune --reason not_json --all --yes")]
#[command(group = clap::ArgGroup::new("scope").required(true).multiple(true).args(["all", "until"]))]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    filters: Filters,
    /// However new they are
    #[arg(long)]
    all: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Args {
    /// The filters that choose the rejects, for the audit log.
    pub(super) fn targets(&self) -> Vec<String> {
        self.filters.told()
    }
}

pub(super) async fn run(args: &Args, store: &Store, signals: &Signals) -> anyhow::Result<ExitCode> {
    let filter = args.filters.filter();
    let span = tokio::select! {
        span = store.reject_span(&filter, args.filters.limit()) => span?,
        signal = signals.first() => return Ok(ExitCode::from(signal.exit_code())),
    };
    if span.count == 0 {
        writeln!(io::stdout(), "no such rejects")?;
        return Ok(ExitCode::SUCCESS);
    }
    let what = describe(&span);
    if !args.yes {
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            writeln!(
                io::stderr(),
                "error: {what} would be deleted for good; {COPY}, then add --yes"
            )?;
            return Ok(ExitCode::from(USAGE));
        }
        // On a thread of its own: nothing is to be finished while it waits for the answer.
        let answer = tokio::task::spawn_blocking(move || ask(&what));
        let is_agreed = tokio::select! {
            answer = answer => answer??,
            signal = signals.first() => return Ok(ExitCode::from(signal.exit_code())),
        };
        if !is_agreed {
            writeln!(io::stdout(), "nothing is deleted")?;
            return Ok(ExitCode::FAILURE);
        }
    }
    // Up to the newest that was told of: what comes in meanwhile nobody has agreed to.
    let mut deleted = 0;
    loop {
        // Each round is a transaction of its own, which is finished before this is looked at.
        if let Some(signal) = signals.first().now_or_never() {
            writeln!(io::stdout(), "{deleted} deleted")?;
            writeln!(io::stderr(), "interrupted; the others are still there")?;
            return Ok(ExitCode::from(signal.exit_code()));
        }
        match store.prune_rejects(&filter, span.last_id).await? {
            0 => break,
            some => deleted += some,
        }
    }
    let RejectSpan { first, last, .. } = span;
    writeln!(io::stdout(), "{deleted} deleted, first seen from {first} to {last}")?;
    Ok(ExitCode::SUCCESS)
}

fn describe(span: &RejectSpan) -> String {
    let RejectSpan { count, size_bytes, first, last, .. } = span;
    let rejects = if *count == 1 { "reject" } else { "rejects" };
    let size = HumanBytes(*size_bytes);
    format!("{count} {rejects} ({size}), first seen from {first} to {last},")
}

fn ask(what: &str) -> io::Result<bool> {
    let mut stderr = io::stderr();
    writeln!(stderr, "{what} will be deleted for good.")?;
    writeln!(stderr, "First {COPY}.")?;
    write!(stderr, "Delete them? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
