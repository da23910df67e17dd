//! `waybill load`: load tests and their reports.

mod gather;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    // Described where their arguments are: a doc comment here would replace that one.
    Barrier(gather::BarrierArgs),
    Gather(gather::GatherArgs),
}

/// Runs one of the commands.
pub(super) async fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Barrier(args) => gather::barrier(args).await,
        Command::Gather(args) => gather::gather(args).await,
    }
}
