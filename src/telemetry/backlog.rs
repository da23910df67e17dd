//! Spans on their way to the collector: a bounded number, and the rest is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};

/// Spans that may wait to be sent; some 2 MB.
const MOST_WAITING: usize = 2_048;

/// How many spans wait, and how many were given up.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

impl Backlog {
    /// Spans that were not sent since the process began: there was no room for them, or the
    /// collector did not take them.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Whether there is room for one more span, which is taken then.
    fn take_place(&self) -> bool {
        let one_more = |waiting| (waiting < MOST_WAITING).then_some(waiting + 1);
        let has_room = self.waiting.fetch_update(Relaxed, Relaxed, one_more).is_ok();
        if !has_room {
            self.lose(1);
        }
        has_room
    }

    /// Notes that these spans wait no longer.
    pub(super) fn leave(&self, spans: usize) {
        self.waiting.fetch_sub(spans, Relaxed);
    }

    /// Notes that these spans will never be sent.
    pub(super) fn lose(&self, spans: usize) {
        self.dropped.fetch_add(spans as u64, Relaxed);
    }
}

/// The SDK's own batches, before which what has no room is counted: the SDK drops it too, and
/// tells nobody.
#[derive(Debug)]
pub(super) struct BoundedProcessor {
    batches: BatchSpanProcessor,
    backlog: Arc<Backlog>,
}

impl BoundedProcessor {
    /// `exporter` must tell `backlog` of each batch it gets.
    pub(super) fn new(exporter: impl SpanExporter + 'static, backlog: Arc<Backlog>) -> Self {
        let config = BatchConfigBuilder::default().with_max_queue_size(MOST_WAITING).build();
        let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        Self { batches, backlog }
    }
}

impl SpanProcessor for BoundedProcessor {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.batches.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        if self.backlog.take_place() {
            self.batches.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    /// Takes nothing until it is opened.
    #[derive(Debug, Clone, Default)]
    struct Held {
        backlog: Arc<Backlog>,
        open: Arc<(Mutex<bool>, Condvar)>,
        sent: Arc<AtomicUsize>,
    }

    impl SpanExporter for Held {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            let mut open = self.open.0.lock().unwrap();
            while !*open {
                open = self.open.1.wait(open).unwrap();
            }
            self.backlog.leave(batch.len());
            self.sent.fetch_add(batch.len(), Relaxed);
            Ok(())
        }
    }

    #[test]
    fn while_nothing_is_sent_a_bounded_number_waits_and_the_rest_is_counted() {
        let held = Held::default();
        let processor = BoundedProcessor::new(held.clone(), Arc::clone(&held.backlog));
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        let tracer = provider.tracer("test");

        for _ in 0..MOST_WAITING + 300 {
            drop(tracer.start("one"));
        }
        assert_eq!(held.backlog.dropped(), 300);

        *held.open.0.lock().unwrap() = true;
        held.open.1.notify_all();
        provider.force_flush().unwrap();
        assert_eq!(held.sent.load(Relaxed), MOST_WAITING, "the SDK itself dropped some");
        drop(tracer.start("one more"));
        provider.shutdown().unwrap();
        assert_eq!(held.sent.load(Relaxed), MOST_WAITING + 1);
        assert_eq!(held.backlog.dropped(), 300);
    }
}
