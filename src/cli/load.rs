//! `waybill load`: load tests with vegeta, from what it is to ask for to the report.

mod report;
mod table;
mod targets;

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    // Described where their arguments are: a doc comment here would replace that one.
    Targets(targets::Args),
    Report(report::Args),
}

/// Runs one of the commands.
pub(super) async fn run(command: &Command, settings: &Settings) -> anyhow::Result<ExitCode> {
    match command {
        Command::Targets(args) => targets::run(args, settings).await,
        Command::Report(args) => report::run(args),
    }
}
