//! The `testbed` command: the service and its servers under `./.waybill`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use testbed::local::{self, Ports};

/// Runs the service with a real broker and Postgres under ./.waybill, for `make up`
#[derive(Debug, Parser)]
enum Command {
    /// Starts what does not run yet and publishes sample orders
    Up {
        /// The service's program
        #[arg(long, value_name = "PROGRAM")]
        waybill: PathBuf,
        #[command(flatten)]
        ports: Ports,
    },
    /// Stops everything and keeps the data
    Down,
    /// Says what runs
    Status,
    /// Stops everything and removes the data
    CleanData,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Up { waybill, ports } => local::up(&waybill, &ports).await,
        Command::Down => local::down().await,
        Command::Status => local::status(),
        Command::CleanData => local::clean_data().await,
    };
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::FAILURE
}
