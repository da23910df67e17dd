//! The sections other than the broker and the database.

use std::{net::SocketAddr, time::Duration};

use http::HeaderValue;
use tracing_subscriber::EnvFilter;

use super::{ByteSize, PortTls, names, reader::Section};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const TIB: usize = 1 << 40;

/// `[ingest]`: from the channel into Postgres.
#[derive(Debug, Clone)]
pub struct Ingest {
    /// Whether this replica takes orders at all.
    pub enabled: bool,
    /// Batches written at the same time.
    pub writers: usize,
    /// Most orders in a batch.
    pub batch_max_rows: usize,
    /// Most bytes of payload in a batch.
    pub batch_max_bytes: ByteSize,
    /// Longest message that can be an order.
    pub max_message_bytes: ByteSize,
    /// Most bytes of payload waiting for a writer.
    pub queue_max_bytes: ByteSize,
}

impl Ingest {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let size = ByteSize::new;
        Self {
            enabled: section.flag("enabled"),
            writers: section.number("writers", 1..=64),
            batch_max_rows: section.number("batch_max_rows", 1..=10_000),
            batch_max_bytes: section.size("batch_max_bytes", size(KIB)..=size(256 * MIB)),
            max_message_bytes: section.size("max_message_bytes", size(KIB)..=size(64 * MIB)),
            queue_max_bytes: section.size("queue_max_bytes", size(KIB)..=size(TIB)),
        }
    }
}

/// `[cache]`: orders held in memory.
#[derive(Debug, Clone)]
pub struct Cache {
    /// Bytes of memory for orders, their overhead included.
    pub max_bytes: ByteSize,
    /// Whether the cache is filled before the replica is ready.
    pub warm_up: bool,
    /// How long Postgres may be out of reach before the replica is ready as it is; zero for ever.
    pub cold_start_after: Duration,
    /// Time between two looks at what other replicas stored; zero is off.
    pub follow_interval: Duration,
    /// Lookups that may ask Postgres at the same time.
    pub miss_concurrency: usize,
    /// How long a lookup may wait and ask.
    pub miss_timeout: Duration,
}

impl Cache {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let size = ByteSize::new;
        Self {
            max_bytes: section.size("max_bytes", size(64 * KIB)..=size(16 * TIB)),
            warm_up: section.flag("warm_up"),
            cold_start_after: section.duration_or_off(
                "cold_start_after",
                Duration::from_secs(1)..=Duration::from_hours(24),
            ),
            follow_interval: section.duration_or_off(
                "follow_interval",
                Duration::from_millis(100)..=Duration::from_hours(1),
            ),
            miss_concurrency: section.number("miss_concurrency", 1..=1000),
            miss_timeout: section
                .duration("miss_timeout", Duration::from_millis(10)..=Duration::from_mins(1)),
        }
    }
}

/// `[erasure]`: orders that are erased.
#[derive(Debug, Clone)]
pub struct Erasure {
    /// How long ago a replica may have learnt what is erased and still answer from memory; zero
    /// for any time.
    pub max_staleness: Duration,
}

impl Erasure {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            max_staleness: section.duration_or_off(
                "max_staleness",
                Duration::from_secs(2)..=Duration::from_hours(24),
            ),
        }
    }
}

/// What the whole numbers of an order's amounts count; orders do not say it themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Amounts {
    /// The smallest units of the currency, such as cents.
    #[default]
    Minor,
    /// The currency's own units, such as dollars.
    Major,
}

/// `[http]`: the page and the API.
#[derive(Debug, Clone)]
pub struct Http {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Most connections at the same time.
    pub max_connections: usize,
    /// How long the head of a request may take.
    pub header_timeout: Duration,
    /// How long a connection may idle.
    pub idle_timeout: Duration,
    /// How many threads answer requests, each with a listener of its own.
    pub workers: usize,
    /// The value of `Cache-Control` in answers with an order.
    pub cache_control: HeaderValue,
    /// The path under which people see the site; empty for the root.
    pub base_path: String,
    /// How the page reads the amounts of an order.
    pub amounts: Amounts,
    /// The certificate of the port, if it speaks TLS.
    pub tls: PortTls,
}

impl Http {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            listen: section.address("listen"),
            max_connections: section.number("max_connections", 1..=1_000_000),
            header_timeout: section
                .duration("header_timeout", Duration::from_millis(100)..=Duration::from_mins(10)),
            idle_timeout: section
                .duration("idle_timeout", Duration::from_secs(1)..=Duration::from_hours(1)),
            workers: section.number("workers", 1..=1024),
            cache_control: section.required(
                "cache_control",
                "the value of a Cache-Control header such as `private, no-cache`",
                HeaderValue::from_static(""),
                |text| text.parse().ok().filter(|_| text.is_ascii()),
            ),
            base_path: section
                .text(
                    "base_path",
                    "`/`, or a path such as `/orders-lookup` that does not end with a slash and \
                     has letters, digits and `-._~/` only",
                    names::is_base_path,
                )
                .trim_end_matches('/')
                .to_owned(),
            amounts: section.required("amounts", "`minor` or `major`", Amounts::Minor, |text| {
                match text {
                    "minor" => Some(Amounts::Minor),
                    "major" => Some(Amounts::Major),
                    _ => None,
                }
            }),
            tls: PortTls::read(section),
        }
    }
}

impl Http {
    /// Whether no shared cache may keep an answer with an order (RFC 9111, 3.5).
    pub(super) fn keeps_orders_private(&self) -> bool {
        let value = self.cache_control.to_str().unwrap_or_default().to_ascii_lowercase();
        let names: Vec<&str> =
            value.split(',').map(|one| one.split('=').next().unwrap_or_default().trim()).collect();
        let has = |name: &str| names.contains(&name);
        (has("private") || has("no-store")) && !has("public") && !has("s-maxage")
    }
}

/// `[admin]`: health, metrics and rejects.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// The certificate of the port, if it speaks TLS.
    pub tls: PortTls,
}

impl Admin {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { listen: section.address("listen"), tls: PortTls::read(section) }
    }
}

/// `[shutdown]`: what happens at SIGTERM.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Time between "not ready" and refusing work.
    pub grace_before_drain: Duration,
    /// Time for the whole stop.
    pub timeout: Duration,
}

impl Shutdown {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            grace_before_drain: section
                .duration("grace_before_drain", Duration::ZERO..=Duration::from_mins(10)),
            timeout: section.duration("timeout", Duration::from_secs(1)..=Duration::from_hours(1)),
        }
    }
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people, coloured on a terminal.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// `[telemetry]`: logs and traces.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// How each line of the log is written.
    pub log_format: LogFormat,
    /// What is logged, in the notation of [`EnvFilter`].
    pub log_filter: String,
    /// Base address of an OTLP collector; without one there are no traces.
    pub otlp_endpoint: Option<String>,
    /// Share of traces kept, from 0 to 1.
    pub trace_sample_ratio: f64,
}

impl Telemetry {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            log_format: section.required(
                "log_format",
                "`text` or `json`",
                LogFormat::Text,
                |text| match text {
                    "text" => Some(LogFormat::Text),
                    "json" => Some(LogFormat::Json),
                    _ => None,
                },
            ),
            log_filter: section.text(
                "log_filter",
                "a level (`error`, `warn`, `info`, `debug`, `trace`, `off`) or a list such as \
                 `info,waybill::ingest=debug`",
                |text| EnvFilter::try_new(text).is_ok(),
            ),
            otlp_endpoint: section.http_url("otlp_endpoint"),
            trace_sample_ratio: section.ratio("trace_sample_ratio"),
        }
    }
}
