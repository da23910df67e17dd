//! `waybill load`: load tests of a running service, from outside.

mod gather;
mod ingest;
mod report;
mod table;
mod targets;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;

use crate::config::Settings;
use crate::signals::Signals;

/// It could not be measured, which says nothing about the service.
const NOT_MEASURED: u8 = 2;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    // Described where their arguments are: a doc comment here would replace that one.
    Targets(targets::Args),
    Barrier(gather::BarrierArgs),
    Ingest(ingest::Args),
    Watch(watch::Args),
    Gather(gather::GatherArgs),
    Report(report::Args),
}

impl Command {
    /// Whether it has something to finish and to tell when it is interrupted.
    pub(super) fn ends_in_order(&self) -> bool {
        matches!(self, Self::Ingest(_) | Self::Watch(_))
    }
}

/// Runs one of the commands. A failure to measure has an exit code of its own, because 1 is a
/// verdict on the service.
pub(super) async fn run(
    command: &Command,
    settings: &Settings,
    signals: &Signals,
) -> anyhow::Result<ExitCode> {
    let outcome = match command {
        Command::Targets(args) => targets::run(args, settings).await,
        Command::Barrier(args) => gather::barrier(args).await,
        // The largest by far: the others need not make room for it.
        Command::Ingest(args) => Box::pin(ingest::run(args, settings, signals)).await,
        Command::Watch(args) => watch::run(args, settings, signals).await,
        Command::Gather(args) => gather::gather(args).await,
        Command::Report(args) => report::run(args),
    };
    match outcome {
        Err(error) if !super::is_broken_pipe(&error) => {
            writeln!(io::stderr(), "error: {error:#}")?;
            Ok(ExitCode::from(NOT_MEASURED))
        }
        outcome => outcome,
    }
}
