//! `waybill migrate`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args as ClapArgs;

use crate::config::Settings;
use crate::store::{self, Error};
use crate::telemetry;

/// How long one attempt waits for a lock: it tells then who holds it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it waits at least, so that there is time to see who holds it.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Bring the schema of the database up to date, and leave
///
/// Where another session holds a lock that the migration needs, it is named and waited for.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// How long to wait for locks of other sessions before giving up with exit code 1
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    lock_timeout: Duration,
}

/// Applies what is missing of the schema as the owner role.
pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let _telemetry = telemetry::init(&settings.telemetry, &settings.broker.client_id)?;
    let database = &settings.database;
    let url = database.migrate_url()?;
    let role = database.runtime_role.as_deref();
    let began = Instant::now();
    let mut told = String::new();
    loop {
        let left = args.lock_timeout.saturating_sub(began.elapsed());
        let wait = left.clamp(SHORTEST_WAIT, LOCK_TIMEOUT);
        match store::migrate(url.expose(), role, database.connect_timeout, wait).await {
            Ok(()) => break,
            Err(error @ Error::Locked(_)) if began.elapsed() < args.lock_timeout => {
                let error = error.to_string();
                if error != told {
                    tracing::warn!(error, "The schema is not brought up to date yet; waiting");
                    told = error;
                }
            }
            Err(error) => return Err(error).context("the schema is not brought up to date"),
        }
    }
    tracing::info!("The schema is up to date");
    Ok(ExitCode::SUCCESS)
}
