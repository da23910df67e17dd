//! Logs on standard error and, if a collector is set, traces over OTLP.

mod backlog;
mod export;
mod log_filter;
mod log_format;
mod span;
mod traces;

use std::io;

use anyhow::Context;
use tracing_subscriber::{
    Layer, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use crate::config::{LogFormat, Telemetry};
pub use log_filter::{InvalidFilter, LogFilter};
use log_format::WithTraceIds;
pub use span::dropped_spans;
pub(crate) use span::{is_tracing, span, span_below, within};
use traces::Traces;

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging, and tracing if `settings` names a collector. `instance` tells
/// this replica from others in traces.
///
/// Logs go to standard error: standard output belongs to what a command prints,
/// and must stay readable by programs.
///
/// # Errors
///
/// When logging was started before, or a thread cannot be started. A collector
/// that is wrong or away is no error.
pub fn init(settings: &Telemetry, instance: &str) -> anyhow::Result<Guard> {
    let filter = log_filter::parse(&settings.log_filter).context("telemetry.log_filter")?;
    let (filter, handle) = reload::Layer::new(filter);
    let log_filter = LogFilter::new(&settings.log_filter, move |filter| handle.reload(filter));
    let traces = match &settings.otlp_endpoint {
        Some(endpoint) => Some(Traces::new(endpoint, settings.trace_sample_ratio, instance)?),
        None => None,
    };
    let subscriber = tracing_subscriber::registry().with(log_layer(settings)).with(filter);
    subscriber.try_init().context("cannot start logging")?;
    if let Some(traces) = &traces {
        span::start_tracing(traces);
    }
    Ok(Guard { log_filter, traces })
}

/// Sends the last traces when it is dropped, within five seconds. Keep it until
/// nothing is traced any more.
#[must_use = "traces end when this is dropped"]
#[derive(Debug)]
pub struct Guard {
    /// What is logged, which can be changed.
    pub log_filter: LogFilter,
    traces: Option<Traces>,
}

impl Guard {
    /// Sends the last traces; the same as dropping, in words.
    pub fn shutdown(self) {}
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(traces) = self.traces.take() {
            traces.shutdown();
        }
    }
}

fn log_layer(settings: &Telemetry) -> BoxedLayer {
    let layer = fmt::layer().with_writer(io::stderr);
    match settings.log_format {
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .map_event_format(WithTraceIds::json)
            .boxed(),
        // Left alone on a terminal, colours heed NO_COLOR.
        LogFormat::Text if io::IsTerminal::is_terminal(&io::stderr()) => {
            layer.map_event_format(WithTraceIds::text).boxed()
        }
        LogFormat::Text => layer.with_ansi(false).map_event_format(WithTraceIds::text).boxed(),
    }
}
