//! Logs on standard error and, if a collector is set, traces over OTLP.

mod export;

use std::{io, time::Duration};

use anyhow::Context;
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tokio::runtime::{self, Runtime};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config::{LogFormat, Telemetry};

/// How long the last traces may take to leave when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

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
    let (subscriber, guard) = subscriber(settings, instance)?;
    subscriber.try_init().context("cannot start logging")?;
    Ok(guard)
}

fn subscriber(
    settings: &Telemetry,
    instance: &str,
) -> anyhow::Result<(impl Subscriber + Send + Sync, Guard)> {
    let filter = EnvFilter::try_new(&settings.log_filter).context("telemetry.log_filter")?;
    let mut layers = vec![log_layer(settings)];
    let mut guard = Guard { tracing: None };
    if let Some(endpoint) = &settings.otlp_endpoint {
        let (provider, runtime) = tracer_provider(settings, endpoint, instance)?;
        layers.push(trace_layer(&provider));
        guard.tracing = Some((provider, runtime));
    }
    let subscriber = tracing_subscriber::registry().with(layers).with(filter);
    Ok((subscriber, guard))
}

/// Sends the last traces when it is dropped, within five seconds. Keep it until
/// nothing is traced any more.
#[must_use = "traces end when this is dropped"]
#[derive(Debug)]
pub struct Guard {
    tracing: Option<(SdkTracerProvider, Runtime)>,
}

impl Guard {
    /// Sends the last traces; the same as dropping, in words.
    pub fn shutdown(self) {}
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some((provider, runtime)) = self.tracing.take() {
            if let Err(error) = provider.shutdown_with_timeout(FLUSH_TIMEOUT) {
                tracing::warn!("The last traces were not sent: {error}");
            }
            // Dropping a runtime would wait, and panic within another one.
            runtime.shutdown_background();
        }
    }
}

fn log_layer(settings: &Telemetry) -> BoxedLayer {
    let layer = fmt::layer().with_writer(io::stderr);
    match settings.log_format {
        LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).boxed(),
        // Left alone on a terminal, colours heed NO_COLOR.
        LogFormat::Text if io::IsTerminal::is_terminal(&io::stderr()) => layer.boxed(),
        LogFormat::Text => layer.with_ansi(false).boxed(),
    }
}

fn trace_layer(provider: &SdkTracerProvider) -> BoxedLayer {
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("waybill"))
        .with_filter(filter::filter_fn(is_ours))
        .boxed()
}

/// Only our own spans are traced: those of the HTTP client that sends traces would
/// beget new ones for ever.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    let module = metadata.target().split("::").next();
    module.is_some_and(|module| ["waybill", "stan"].contains(&module))
}

fn tracer_provider(
    settings: &Telemetry,
    endpoint: &str,
    instance: &str,
) -> anyhow::Result<(SdkTracerProvider, Runtime)> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("traces")
        .enable_all()
        .build()
        .context("cannot start the thread that sends traces")?;
    let exporter = export::Exporter::new(endpoint, runtime.handle().clone())?;
    let resource = Resource::builder()
        .with_service_name("waybill")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
        .build();
    let share = Sampler::TraceIdRatioBased(settings.trace_sample_ratio);
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(share)))
        .with_resource(resource)
        .build();
    Ok((provider, runtime))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
        time::Instant,
    };

    use tracing::subscriber::with_default;

    use super::*;

    fn settings(endpoint: &str) -> Telemetry {
        Telemetry {
            log_format: LogFormat::Json,
            log_filter: "info".to_owned(),
            otlp_endpoint: Some(endpoint.to_owned()),
            trace_sample_ratio: 1.0,
        }
    }

    /// Traces one span and shuts down.
    fn trace(endpoint: &str) -> Duration {
        let (subscriber, guard) = subscriber(&settings(endpoint), "replica-7").expect("telemetry");
        with_default(subscriber, || {
            let span = tracing::info_span!("ingest.batch", rows = 500);
            let _entered = span.enter();
        });
        let begin = Instant::now();
        guard.shutdown();
        begin.elapsed()
    }

    /// Reads one request and answers it with 200.
    fn answer(listener: &TcpListener) -> Vec<u8> {
        let (mut connection, _) = listener.accept().expect("a connection");
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let count = connection.read(&mut chunk).expect("the request");
            request.extend_from_slice(&chunk[..count]);
            let text = String::from_utf8_lossy(&request).to_lowercase();
            let length = text
                .split_once("content-length: ")
                .and_then(|(_, rest)| rest.split_once("\r\n"))
                .and_then(|(length, _)| length.parse::<usize>().ok());
            let head = request.windows(4).position(|window| window == b"\r\n\r\n");
            if let (Some(length), Some(head)) = (length, head)
                && request.len() >= head + 4 + length
            {
                break;
            }
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        connection.write_all(answer).expect("the answer");
        request
    }

    #[test]
    fn the_last_spans_reach_the_collector_at_shutdown() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}/", listener.local_addr().expect("an address"));
        let collector = thread::spawn(move || answer(&listener));

        trace(&endpoint);

        let request = collector.join().expect("a request");
        let request = String::from_utf8_lossy(&request);
        assert!(request.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{request}");
        for part in ["ingest.batch", "waybill", "service.version", "replica-7"] {
            assert!(request.contains(part), "{part} is missing in {request}");
        }
    }

    #[test]
    fn a_collector_that_is_away_or_silent_holds_nobody_up() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let silent = silent.local_addr().map(|address| (address, silent));
        let (address, _listener) = silent.expect("an address");
        let limit = FLUSH_TIMEOUT + Duration::from_secs(1);

        assert!(trace(&format!("http://{address}")) < limit);
        assert!(trace("http://127.0.0.1:1") < limit);
    }

    #[tokio::test]
    async fn shutting_down_within_a_runtime_does_not_panic() {
        trace("http://127.0.0.1:1");
    }

    #[test]
    fn spans_of_libraries_are_not_traced() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let (subscriber, guard) = subscriber(&settings(&endpoint), "one").expect("telemetry");
        with_default(subscriber, || {
            drop(tracing::info_span!(target: "hyper::client", "connect").entered());
        });
        guard.shutdown();

        listener.set_nonblocking(true).expect("a socket option");
        let connection = listener.accept().map_err(|error| error.kind());
        assert_eq!(connection.err(), Some(io::ErrorKind::WouldBlock));
    }
}
