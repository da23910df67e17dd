//! `waybill serve`.

use std::process::ExitCode;

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

use crate::config::Settings;
use crate::signals::Signals;
use crate::{app, telemetry};

/// Runs the service until a signal.
pub(super) fn run(
    settings: &Settings,
    runtime: Runtime,
    signals: Signals,
) -> anyhow::Result<ExitCode> {
    let telemetry = telemetry::init(&settings.telemetry, &settings.broker.client_id)?;
    let served = runtime.block_on(app::serve(settings, telemetry.log_filter.clone(), signals));
    drop(runtime);
    // After the runtime, so that the last spans are among what is sent.
    telemetry.shutdown();
    served.map(|()| ExitCode::SUCCESS)
}

/// The runtime for Postgres and the broker; hits are served by threads of their own.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build().context("no runtime")
}
