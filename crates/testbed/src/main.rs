//! The `testbed` command: the service and its servers under `./.waybill`, and a Postgres for tools.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use testbed::Postgres;
use testbed::local::{self, ObservePorts, Ports, Source};

/// Runs the service with a real broker and Postgres under ./.waybill, for `make up`, and tools
/// with a Postgres of their own
#[derive(Debug, Parser)]
enum Command {
    /// Starts what does not run yet and publishes sample orders
    Up {
        /// The service's program
        #[arg(long, value_name = "PROGRAM")]
        waybill: PathBuf,
        /// Where its orders come from (`make up SOURCE=…`)
        #[arg(long, value_enum, default_value_t = Source::Stan)]
        source: Source,
        #[command(flatten)]
        ports: Ports,
    },
    /// Starts Prometheus, and Grafana where it is installed, beside what `up` started
    Observe {
        #[command(flatten)]
        ports: ObservePorts,
    },
    /// Stops everything and keeps the data
    Down,
    /// Says what runs
    Status,
    /// Stops everything and removes the data
    CleanData,
    /// Runs a command with the URL of an empty database in the variable `DATABASE_URL`
    WithDatabase {
        /// The command and its arguments
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<OsString>,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Command::parse() {
        Command::Up { waybill, source, ports } => local::up(&waybill, source, &ports).await,
        Command::Observe { ports } => local::observe(&ports).await,
        Command::Down => local::down().await,
        Command::Status => local::status(),
        Command::CleanData => local::clean_data().await,
        Command::WithDatabase { command } => with_database(&command).await,
    };
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::FAILURE
}

/// Runs `command`, which may do what the owner of a database may, and fails as it does.
async fn with_database(command: &[OsString]) -> Result<()> {
    let postgres = Postgres::start().await?;
    let database = postgres.database().await?;
    let [program, arguments @ ..] = command else { anyhow::bail!("no command was given") };
    let mut run = tokio::process::Command::new(program);
    let status = run.args(arguments).env("DATABASE_URL", &database.owner_url).status().await?;
    ensure!(status.success(), "{} failed: {status}", program.display());
    Ok(())
}
