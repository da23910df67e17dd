//! Every metric of the service: its name, its help, its labels.
//!
//! Label values come from closed lists and exist from the start, at zero: a rate over a series
//! that appears with its first event misses that event. A gauge that is read from elsewhere is
//! absent while its source does not answer.

mod access;
mod audit;
mod cache;
mod http;
mod ingest;
mod lag;
mod load;
mod measured;
mod objectives;
mod primary;
mod process;
mod queue;
mod rejects;
mod runtime;
mod session;
mod stream;
mod tls;
mod traces;
mod wall_clock;

use std::ops::Deref;
use std::sync::Arc;

use crate::session::Monitor;
use prometheus::core::Collector;
use prometheus::{
    CounterVec, Encoder as _, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::health::Health;
use crate::store::Store;
use access::AccessMetrics;
use audit::AuditMetrics;
pub use cache::CacheSize;
use cache::{CacheMetrics, LookupMetrics};
use http::HttpMetrics;
use ingest::IngestMetrics;
pub use lag::Lag;
use lag::LagMetrics;
pub use load::LoadStages;
use measured::MeasuredGauge;
pub use objectives::Counted;
use primary::PrimaryMetrics;
use queue::QueueMetrics;
use rejects::RejectsMetrics;
use runtime::RuntimeMetrics;
use session::SessionMetrics;
use stream::StreamLagMetrics;
pub use stream::{GroupProgress, StoreUse, StreamExtent, StreamLag};
use tls::TlsMetrics;
use traces::TraceMetrics;

/// All metrics. Clones share them.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

/// All metrics by subject, each registered when it is made.
#[derive(Debug)]
pub struct Inner {
    registry: Registry,
    /// The audit log.
    pub audit: AuditMetrics,
    /// From the channel into Postgres.
    pub ingest: IngestMetrics,
    /// Orders in memory, warm-up and following.
    pub cache: CacheMetrics,
    /// Lookups that were not in memory and asked Postgres.
    pub lookup: LookupMetrics,
    /// Requests by route and status, and open connections.
    pub http: HttpMetrics,
    /// Where the group stands in its channel.
    pub lag: LagMetrics,
    /// Which server Postgres is, and repairs.
    pub primary: PrimaryMetrics,
    /// What could not become an order.
    pub rejects: RejectsMetrics,
    /// How busy the threads are.
    pub runtime: RuntimeMetrics,
    /// Messages that wait for a writer.
    queue: QueueMetrics,
    /// The session with NATS Streaming.
    pub session: SessionMetrics,
    /// The session with JetStream.
    pub stream: SessionMetrics,
    /// How the stream and the group that reads it are.
    pub stream_lag: StreamLagMetrics,
    /// Certificates and handshakes of our ports.
    pub tls: TlsMetrics,
    /// Tokens that were not accepted.
    pub access: AccessMetrics,
    traces: TraceMetrics,
    ready: IntGauge,
    connections: IntGaugeVec,
    max_connections: IntGauge,
    /// How long those who ask Postgres wait for a connection.
    pub acquire: Histogram,
}

impl Deref for Metrics {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A registry of its own with everything at zero.
    #[must_use]
    pub fn new() -> Self {
        let maker = Maker(Registry::new());
        let labels = &["version", "commit"];
        let build = maker.gauges("build_info", "Always 1; the labels tell the build", labels);
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), env!("WAYBILL_COMMIT")]).set(1);
        maker.register(process::ProcessMetrics::new());
        let connections =
            maker.gauges("db_pool_connections", "Connections to Postgres", &["state"]);
        for state in ["idle", "in_use"] {
            connections.with_label_values(&[state]).set(0);
        }
        Self(Arc::new(Inner {
            audit: AuditMetrics::new(&maker),
            ingest: IngestMetrics::new(&maker),
            cache: CacheMetrics::new(&maker),
            lookup: LookupMetrics::new(&maker),
            http: HttpMetrics::new(&maker),
            lag: LagMetrics::new(&maker),
            primary: PrimaryMetrics::new(&maker),
            rejects: RejectsMetrics::new(&maker),
            runtime: RuntimeMetrics::new(&maker),
            queue: QueueMetrics::new(&maker),
            session: SessionMetrics::of_stan(&maker),
            stream: SessionMetrics::of_jetstream(&maker),
            stream_lag: StreamLagMetrics::new(&maker),
            tls: TlsMetrics::new(&maker),
            access: AccessMetrics::new(&maker),
            traces: TraceMetrics::new(&maker),
            ready: maker.gauge("ready", "1 when lookups are welcome here"),
            connections,
            max_connections: maker
                .gauge("db_pool_max_connections", "Connections to Postgres that there may be"),
            acquire: maker.histogram(
                "db_pool_acquire_seconds",
                "Time to get a connection that lives, opening one included",
                &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0],
            ),
            registry: maker.0,
        }))
    }

    /// Brings up to date what is measured at a scrape, not counted.
    pub fn refresh(
        &self,
        store: &Store,
        cache: CacheSize,
        health: &Health,
        [session, stream]: [Option<&Monitor>; 2],
    ) {
        let connections = store.connections();
        self.connections.with_label_values(&["idle"]).set(connections.idle.into());
        self.connections.with_label_values(&["in_use"]).set(connections.in_use.into());
        self.max_connections.set(connections.max.into());
        self.cache.refresh(cache, health);
        self.traces.refresh();
        self.ready.set(health.is_ready().into());
        self.runtime.refresh();
        for (metrics, session) in [(&self.session, session), (&self.stream, stream)] {
            if let Some(session) = session {
                metrics.refresh(session);
            }
        }
        self.queue.refresh([session, stream].into_iter().flatten());
    }

    /// The text that Prometheus scrapes, format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        encode(&self.registry)
    }
}

fn encode(registry: &Registry) -> String {
    let mut text = Vec::new();
    if let Err(error) = TextEncoder::new().encode(&registry.gather(), &mut text) {
        tracing::error!(%error, "The metrics cannot be rendered");
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Makes metrics under the service's prefix. Names and labels are constants of this module, so
/// a failure is a slip in it, which the first test that makes a [`Metrics`] shows.
struct Maker(Registry);

const SLIP: &str = "names and labels are constants, and each is registered once";

impl Maker {
    fn register<C: Collector + 'static>(&self, metric: C) {
        self.0.register(Box::new(metric)).expect(SLIP);
    }

    fn kept<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let metric = made.expect(SLIP);
        self.register(metric.clone());
        metric
    }

    fn opts(name: &str, help: &str) -> Opts {
        Opts::new(name, help).namespace("waybill")
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.kept(IntCounter::with_opts(Self::opts(name, help)))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.kept(IntCounterVec::new(Self::opts(name, help), labels))
    }

    fn float_counters(&self, name: &str, help: &str, labels: &[&str]) -> CounterVec {
        self.kept(CounterVec::new(Self::opts(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.kept(IntGauge::with_opts(Self::opts(name, help)))
    }

    /// A gauge that is absent until its source has answered, and while it does not.
    fn measured(&self, name: &str, help: &str) -> MeasuredGauge {
        self.kept(IntGauge::with_opts(Self::opts(name, help)).map(MeasuredGauge::new))
    }

    fn float_gauge(&self, name: &str, help: &str) -> Gauge {
        self.kept(Gauge::with_opts(Self::opts(name, help)))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.kept(IntGaugeVec::new(Self::opts(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let opts = HistogramOpts::from(Self::opts(name, help)).buckets(buckets.to_vec());
        self.kept(Histogram::with_opts(opts))
    }

    fn histograms(&self, name: &str, help: &str, label: &str, buckets: &[f64]) -> HistogramVec {
        let opts = HistogramOpts::from(Self::opts(name, help)).buckets(buckets.to_vec());
        self.kept(HistogramVec::new(opts, &[label]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Lag;
    use super::*;
    use crate::store::RejectsMeasured;

    #[test]
    fn a_gauge_whose_source_does_not_answer_is_absent() {
        let metrics = Metrics::new();
        let sources = ["waybill_stan_monitor_up", "waybill_stan_sub", "waybill_rejects_kept"];
        let shown = |metrics: &Metrics| sources.map(|name| metrics.render().contains(name));
        assert_eq!(shown(&metrics), [false; 3], "nobody was asked");
        metrics.lag.set(Some(Lag { pending: 5, lost_to_retention: 7, ..Lag::default() }));
        metrics.rejects.set(RejectsMeasured { rows: 2, bytes: 3 }, 1, true);
        assert_eq!(shown(&metrics), [true; 3]);
        metrics.lag.set(None);
        metrics.rejects.unknown();
        assert_eq!(shown(&metrics), [true, false, false]);
        let text = metrics.render();
        assert!(text.contains("waybill_stan_monitor_up 0"), "{text}");
        assert!(!text.contains("waybill_rejects_alarm 1"), "{text}");
        // What this process has seen stays true whoever is away.
        assert!(text.contains("waybill_stan_lost_to_retention_messages 7"), "{text}");
    }

    #[test]
    fn all_metrics_are_there_from_the_start_under_conventional_names() {
        let text = Metrics::new().render();
        let mut seen = HashSet::new();
        for line in text.lines() {
            if let Some(described) = line.strip_prefix("# TYPE ") {
                let (name, kind) = described.split_once(' ').expect("a name and a kind");
                assert!(seen.insert(name.to_owned()), "{name} twice");
                assert!(name.starts_with("waybill_") || name.starts_with("process_"), "{name}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            } else if !line.starts_with('#') {
                let (_, value) = line.rsplit_once(' ').expect("a series and a value");
                value.parse::<f64>().expect("a number");
            }
        }
        for series in [
            "waybill_ingest_messages_total{result=\"stored\"} 0",
            "waybill_ingest_messages_total{result=\"kept\"} 0",
            "waybill_ingest_rejected_total{reason=\"not_json\"} 0",
            "waybill_ingest_rejected_total{reason=\"conflict\"} 0",
            "waybill_ingest_errors_total{class=\"transient\"} 0",
            "waybill_http_requests_total{code=\"503\",method=\"get\",route=\"order_api\"} 0",
            "waybill_http_request_duration_seconds_count{route=\"order_page\"} 0",
            "waybill_lookup_duration_seconds_count{result=\"cannot_tell\"} 0",
            "waybill_cache_misses_total 0",
            "waybill_stan_session_rebuilds_total 0",
            "waybill_stan_channel_resets_total 0",
            "waybill_ready 0",
            "waybill_trace_spans_dropped_total 0",
        ] {
            assert!(text.contains(series), "{series} is missing in\n{text}");
        }
    }
}
