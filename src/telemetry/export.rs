//! Sends finished spans to the collector, from a runtime of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{self, SpanData},
};
use tokio::runtime::Handle;

use super::backlog::Backlog;

/// One batch, retries included; below the time left for the last one.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// The OTLP exporter, run where its HTTP client can live: the SDK calls exporters
/// from a bare thread, on which the client would panic for want of a runtime.
#[derive(Debug)]
pub(super) struct Exporter {
    otlp: Arc<SpanExporter>,
    runtime: Handle,
    backlog: Arc<Backlog>,
    /// Whether the last batch was lost, so that an outage is logged once.
    failing: AtomicBool,
}

impl Exporter {
    /// Tells `backlog` of the spans that it is given, and of those that it cannot send.
    pub(super) fn new(
        endpoint: &str,
        runtime: Handle,
        backlog: Arc<Backlog>,
    ) -> anyhow::Result<Self> {
        let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let otlp = SpanExporter::builder()
            .with_http()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .context("cannot send traces to telemetry.otlp_endpoint")?;
        Ok(Self { otlp: Arc::new(otlp), runtime, backlog, failing: AtomicBool::new(false) })
    }
}

impl trace::SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.backlog.leave(spans);
        let otlp = Arc::clone(&self.otlp);
        let result = self
            .runtime
            .spawn(async move { otlp.export(batch).await })
            .await
            .unwrap_or_else(|error| Err(OTelSdkError::InternalFailure(error.to_string())));
        if result.is_err() {
            self.backlog.lose(spans);
        }
        let failed_before = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !failed_before => {
                tracing::warn!("Traces do not reach the collector and are dropped: {error}");
            }
            Ok(()) if failed_before => tracing::info!("Traces reach the collector again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        if let Some(otlp) = Arc::get_mut(&mut self.otlp) {
            otlp.set_resource(resource);
        }
    }
}
