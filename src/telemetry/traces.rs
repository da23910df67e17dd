//! The way of spans to the collector: sampled, queued, and sent by a thread of its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tokio::runtime::{self, Runtime};

use super::backlog::{Backlog, BoundedProcessor};
use super::export::Exporter;

/// How long the last traces may take to leave when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// What sends traces to one collector.
#[derive(Debug)]
pub(super) struct Traces {
    provider: SdkTracerProvider,
    runtime: Runtime,
    backlog: Arc<Backlog>,
}

impl Traces {
    /// `endpoint` is the base address of the collector. Of the traces that begin here,
    /// `sample_ratio`, 0 to 1, is kept; of those that begin elsewhere, what is sampled there.
    pub(super) fn new(endpoint: &str, sample_ratio: f64, instance: &str) -> anyhow::Result<Self> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("traces")
            .enable_all()
            .build()
            .context("cannot start the thread that sends traces")?;
        let backlog = Arc::<Backlog>::default();
        let exporter = Exporter::new(endpoint, runtime.handle().clone(), Arc::clone(&backlog))?;
        let resource = Resource::builder()
            .with_service_name("waybill")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
            .build();
        let share = Sampler::TraceIdRatioBased(sample_ratio);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BoundedProcessor::new(exporter, Arc::clone(&backlog)))
            .with_sampler(Sampler::ParentBased(Box::new(share)))
            .with_resource(resource)
            .build();
        Ok(Self { provider, runtime, backlog })
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("waybill")
    }

    pub(super) fn backlog(&self) -> Arc<Backlog> {
        Arc::clone(&self.backlog)
    }

    /// Sends what waits, for five seconds at most. Spans that end later are not sent.
    pub(super) fn shutdown(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH_TIMEOUT) {
            tracing::warn!("The last traces were not sent: {error}");
        }
        // Dropping a runtime would wait, and panic within another one.
        self.runtime.shutdown_background();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;
    use std::time::Instant;

    use opentelemetry::trace::Tracer as _;

    use super::*;

    /// Traces one span and shuts down; how long the latter took, and how many spans were lost.
    fn trace(endpoint: &str) -> (Duration, u64) {
        let traces = Traces::new(endpoint, 1.0, "replica-7").expect("traces");
        let backlog = traces.backlog();
        drop(traces.tracer().start("process orders"));
        let begin = Instant::now();
        traces.shutdown();
        (begin.elapsed(), backlog.dropped())
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

        assert_eq!(trace(&endpoint).1, 0);

        let request = collector.join().expect("a request");
        let request = String::from_utf8_lossy(&request);
        assert!(request.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{request}");
        for part in ["process orders", "waybill", "service.version", "replica-7"] {
            assert!(request.contains(part), "{part} is missing in {request}");
        }
    }

    #[test]
    fn a_collector_that_is_away_or_silent_holds_nobody_up() {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let silent = silent.local_addr().map(|address| (address, silent));
        let (address, _listener) = silent.expect("an address");
        let limit = FLUSH_TIMEOUT + Duration::from_secs(1);

        for endpoint in [&*format!("http://{address}"), "http://127.0.0.1:1"] {
            let (took, dropped) = trace(endpoint);
            assert!(took < limit, "{endpoint} took {took:?}");
            assert_eq!(dropped, 1, "{endpoint}");
        }
    }

    #[tokio::test]
    async fn shutting_down_within_a_runtime_does_not_panic() {
        trace("http://127.0.0.1:1");
    }
}
