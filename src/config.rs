//! Settings: the embedded defaults, then a file, the environment and `--set`.
//!
//! `waybill.default.toml` is the manual of every key. A key exists when a section
//! reads it: its name, kind and valid range stand together in that one line.

mod access;
mod audit;
mod broker;
mod bytesize;
mod database;
mod error;
mod jetstream;
mod kinds;
mod layer;
mod names;
mod nats_files;
mod nats_url;
mod postgres_parameters;
mod postgres_servers;
mod postgres_url;
mod reader;
mod rejects;
mod secret;
mod sections;
mod show;
mod suggest;
#[cfg(test)]
mod tests;
mod tls;
mod url;

use std::{
    collections::BTreeMap, io::IsTerminal, net::SocketAddr, num::NonZero, path::Path, thread,
};

use config::{Config, Source, Value, ValueKind};

use crate::source;
use layer::Layer;
use reader::{Effective, Reader};

pub use access::{Access, AccessMode};
pub use audit::{Audit, AuditTarget, OnOverflow};
pub use broker::Broker;
pub use bytesize::{ByteSize, InvalidByteSize};
pub use database::Database;
pub use error::SettingsError;
pub use jetstream::JetStream;
pub(crate) use names::check_stream;
pub use nats_files::NatsFiles;
pub use nats_url::{BrokerUrl, Login};
pub use postgres_servers::{ServerUrls, TargetSession, server_urls};
pub use rejects::Rejects;
pub use secret::Secret;
pub use sections::{Admin, Amounts, Cache, Erasure, Http, Ingest, LogFormat, Shutdown, Telemetry};
pub use tls::PortTls;

/// The built-in defaults, which are also the manual.
const DEFAULTS: &str = include_str!("../waybill.default.toml");

/// Whether two settings go together, their names, and the rule.
type Check = (bool, [&'static str; 2], &'static str);

/// Every setting with its value, each within its range.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[broker]`: the channel that orders come from.
    pub broker: Broker,
    /// `[jetstream]`: the stream that orders come from, beside the channel or instead of it.
    pub jetstream: JetStream,
    /// `[database]`: the Postgres that keeps orders and rejects.
    pub database: Database,
    /// From the one to the other.
    pub ingest: Ingest,
    /// What could not become an order.
    pub rejects: Rejects,
    /// `[cache]`: how many bytes of orders are held in memory.
    pub cache: Cache,
    /// `[erasure]`: how long a replica may not know what is erased.
    pub erasure: Erasure,
    /// The page and the API.
    pub http: Http,
    /// `[admin]`: the port for health, metrics and rejects.
    pub admin: Admin,
    /// `[audit]`: a record of who read or changed what.
    pub audit: Audit,
    /// `[access]`: who may read orders and use the admin port.
    pub access: Access,
    /// `[shutdown]`: the times that a stop at SIGTERM may take.
    pub shutdown: Shutdown,
    /// `[telemetry]`: format and filter of logs, export of traces.
    pub telemetry: Telemetry,
    effective: Vec<Effective>,
}

impl Settings {
    /// Reads the settings: the defaults, over them `config_file` (or else
    /// `waybill.toml` in the working directory, if there is one), over it the
    /// `WAYBILL_<SECTION>__<KEY>` of `environment`, over those `overrides`, each
    /// `section.key=value`.
    ///
    /// # Errors
    ///
    /// Every mistake in them at once.
    pub fn load(
        config_file: Option<&Path>,
        overrides: &[String],
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let environment: Vec<_> = environment.collect();
        let mut problems = Vec::new();
        let layers = [
            Layer::defaults(&mut problems),
            surroundings(&environment),
            Layer::file(config_file, &mut problems),
            Layer::environment(&environment),
            Layer::overrides(overrides, &mut problems),
        ];
        Self::from_layers(&layers, problems)
    }

    fn from_layers(layers: &[Layer], mut problems: Vec<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(merge(layers, &mut problems));
        let mut settings = Self {
            broker: Broker::read(&mut reader.section("broker")),
            jetstream: JetStream::read(&mut reader.section("jetstream")),
            database: Database::read(&mut reader.section("database")),
            ingest: Ingest::read(&mut reader.section("ingest")),
            rejects: Rejects::read(&mut reader.section("rejects")),
            cache: Cache::read(&mut reader.section("cache")),
            erasure: Erasure::read(&mut reader.section("erasure")),
            http: Http::read(&mut reader.section("http")),
            admin: Admin::read(&mut reader.section("admin")),
            audit: Audit::read(&mut reader.section("audit")),
            access: Access::read(&mut reader.section("access")),
            shutdown: Shutdown::read(&mut reader.section("shutdown")),
            telemetry: Telemetry::read(&mut reader.section("telemetry")),
            effective: Vec::new(),
        };
        problems.extend(suggest::unknown_names(&reader, layers));
        let (effective, wrong) = reader.finish();
        problems.extend(wrong);
        settings.effective = effective;
        if problems.is_empty() {
            problems = settings.contradictions();
            problems.extend(settings.access.contradictions());
        }
        if problems.is_empty() { Ok(settings) } else { Err(SettingsError { problems }) }
    }

    /// Where orders come from if one of the two is meant: the channel, unless a stream is read in
    /// its place.
    #[must_use]
    pub fn main_source(&self) -> source::Kind {
        if self.broker.enabled || self.jetstream.url.is_none() {
            source::Kind::Stan
        } else {
            source::Kind::JetStream
        }
    }

    /// Values that are valid each but not together.
    fn contradictions(&self) -> Vec<String> {
        let ingest = &self.ingest;
        let checks: [Check; 11] = [
            (
                ingest.batch_max_bytes >= ingest.max_message_bytes,
                ["ingest.batch_max_bytes", "ingest.max_message_bytes"],
                "the first must not be smaller, or the longest message fits no batch",
            ),
            (
                ingest.queue_max_bytes >= ingest.max_message_bytes,
                ["ingest.queue_max_bytes", "ingest.max_message_bytes"],
                "the first must not be smaller, or the longest message is never taken",
            ),
            (
                self.erasure.max_staleness.is_zero()
                    || self.erasure.max_staleness > self.cache.follow_interval,
                ["erasure.max_staleness", "cache.follow_interval"],
                "the first must be longer, or nothing is ever answered from memory",
            ),
            (
                self.shutdown.grace_before_drain < self.shutdown.timeout,
                ["shutdown.grace_before_drain", "shutdown.timeout"],
                "the first must be shorter, or no time is left to stop in",
            ),
            (
                self.audit.target != AuditTarget::File || self.audit.file.is_some(),
                ["audit.target", "audit.file"],
                "with `file` the second must name one",
            ),
            (
                !overlap(self.http.listen, self.admin.listen),
                ["http.listen", "admin.listen"],
                "the two must differ",
            ),
            (
                self.database.url_file.is_none() || !self.is_set("database.url"),
                ["database.url", "database.url_file"],
                "only one of the two may be set",
            ),
            (
                self.broker.files.is_pair(),
                ["broker.tls_cert_file", "broker.tls_key_file"],
                "a certificate and its key must be set both or not at all",
            ),
            (
                self.jetstream.files.is_pair(),
                ["jetstream.tls_cert_file", "jetstream.tls_key_file"],
                "a certificate and its key must be set both or not at all",
            ),
            (
                !ingest.enabled || self.broker.enabled || self.jetstream.url.is_some(),
                ["broker.enabled", "jetstream.url"],
                "orders must come from one of the two, or `ingest.enabled` be false",
            ),
            (
                self.access.mode == AccessMode::None || self.http.keeps_orders_private(),
                ["access.mode", "http.cache_control"],
                "where tokens are needed, the second must have `private` or `no-store` and neither \
                 `public` nor `s-maxage`, or a shared cache would answer those without",
            ),
        ];
        let checks = checks.into_iter().chain(self.tls_checks());
        let broken = checks.filter(|(holds, ..)| !holds);
        broken
            .map(|(_, [first, second], rule)| {
                let (first, second) = (self.describe(first), self.describe(second));
                format!("{first} contradicts {second}: {rule}")
            })
            .collect()
    }

    /// Whether the files for the TLS of both ports fit each other, as settings.
    fn tls_checks(&self) -> [Check; 4] {
        const PAIR: &str = "a certificate and its key must be set both or not at all";
        const ASKS: &str =
            "clients are asked for certificates over TLS alone: the first must be set";
        let (http, admin) = (&self.http.tls, &self.admin.tls);
        [
            (http.is_pair(), ["http.tls_cert_file", "http.tls_key_file"], PAIR),
            (admin.is_pair(), ["admin.tls_cert_file", "admin.tls_key_file"], PAIR),
            (http.asks_over_tls(), ["http.tls_cert_file", "http.tls_client_ca_file"], ASKS),
            (admin.asks_over_tls(), ["admin.tls_cert_file", "admin.tls_client_ca_file"], ASKS),
        ]
    }

    fn find(&self, name: &str) -> Option<&Effective> {
        let is_it = |setting: &&Effective| format!("{}.{}", setting.section, setting.key) == name;
        self.effective.iter().find(is_it)
    }

    /// Whether someone set it, rather than the defaults.
    fn is_set(&self, name: &str) -> bool {
        self.find(name).is_some_and(|setting| setting.origin.is_some())
    }

    fn describe(&self, name: &str) -> String {
        match self.find(name) {
            Some(setting) => {
                let origin = setting.origin.as_deref().unwrap_or("the defaults");
                let text = &setting.text;
                format!("setting `{name}` from {origin} (`{text}`)")
            }
            None => format!("setting `{name}`"),
        }
    }
}

/// Defaults that depend on where the program runs: the host's name, its CPUs and
/// whether someone looks at the log.
fn surroundings(environment: &[(String, String)]) -> Layer {
    let mut layer = Layer::default();
    let mut insert = |section: &str, key: &str, value: ValueKind, origin: &str| {
        layer.insert(section, key, Value::new(Some(&origin.to_owned()), value));
    };
    // A pod's name is in HOSTNAME even where the kernel's host name is cut short.
    let host_name = environment
        .iter()
        .find(|(name, value)| name == "HOSTNAME" && !value.is_empty())
        .map_or_else(kernel_host_name, |(_, value)| value.clone());
    let client_id = host_name.replace(|letter| !names::is_client_id_character(letter), "-");
    insert("broker", "client_id", client_id.into(), "the host name");
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    let cpus = u64::try_from(cpus).unwrap_or(u64::MAX);
    insert("http", "workers", cpus.into(), "the CPUs allowed");
    let (format, terminal) = if std::io::stderr().is_terminal() {
        ("text", "standard error, a terminal")
    } else {
        ("json", "standard error, not a terminal")
    };
    insert("telemetry", "log_format", format.into(), terminal);
    layer
}

fn kernel_host_name() -> String {
    let names = rustix::system::uname();
    names.nodename().to_string_lossy().into_owned()
}

/// Lays each layer over those before it: (section, key) → value.
fn merge(layers: &[Layer], problems: &mut Vec<String>) -> BTreeMap<(String, String), Value> {
    let mut builder = Config::builder();
    for layer in layers {
        builder = builder.add_source(layer.clone());
    }
    let mut values = BTreeMap::new();
    match builder.build().and_then(|merged| merged.collect()) {
        Ok(sections) => {
            for (section, keys) in sections {
                for (key, value) in keys.into_table().unwrap_or_default() {
                    values.insert((section.clone(), key), value);
                }
            }
        }
        Err(error) => problems.push(format!("cannot merge the settings: {error}")),
    }
    values
}

/// Whether listening on both at once fails.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (any || one.ip() == other.ip())
}
