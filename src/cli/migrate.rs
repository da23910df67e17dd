//! `waybill migrate`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;

use crate::config::Settings;
use crate::schema;
use crate::telemetry;

/// Bring the schema of the database up to date, and leave
///
/// Where another session holds a lock that the migration needs, it is named and waited for.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  waybill migrate
  waybill migrate --lock-timeout 30s")]
pub(super) struct Args {
    /// How long to wait for locks of other sessions before giving up with exit code 1
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    lock_timeout: Duration,
}

/// Applies what is missing of the schema as the owner role.
pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let _telemetry = telemetry::init(&settings.telemetry, &settings.broker.client_id)?;
    schema::migrate(&settings.database, args.lock_timeout).await?;
    tracing::info!("The schema is up to date");
    Ok(ExitCode::SUCCESS)
}
