//! `waybill serve` and `waybill migrate`.

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

use crate::config::Settings;
use crate::{app, store, telemetry};

/// Runs the service until a signal.
pub(super) fn run(settings: &Settings) -> anyhow::Result<()> {
    let telemetry = telemetry::init(&settings.telemetry, &settings.broker.client_id)?;
    let served = runtime()?.block_on(app::serve(settings));
    // After the runtime, so that the last spans are among what is sent.
    telemetry.shutdown();
    served
}

/// Applies what is missing of the schema as the owner role.
pub(super) fn migrate(settings: &Settings) -> anyhow::Result<()> {
    let _telemetry = telemetry::init(&settings.telemetry, &settings.broker.client_id)?;
    let database = &settings.database;
    let url = database.migrate_url()?;
    let role = database.runtime_role.as_deref();
    runtime()?
        .block_on(store::migrate(url.expose(), role, database.connect_timeout))
        .context("the schema is not brought up to date")?;
    tracing::info!("The schema is up to date");
    Ok(())
}

/// The runtime for Postgres and the broker; hits are served by threads of their own.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build().context("no runtime")
}
