//! Where orders come from.

use std::{path::PathBuf, time::Duration};

use super::{
    BrokerUrl, names,
    nats_url::{self, BROKER_URL},
    reader::Section,
};

/// `[broker]`: the NATS Streaming server.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Its servers, and the login that stands in their URLs.
    pub url: BrokerUrl,
    /// The server's cluster id.
    pub cluster_id: String,
    /// The channel that holds the orders.
    pub channel: String,
    /// The group the replicas share the channel in.
    pub queue_group: String,
    /// The name under which the server remembers the group's position.
    pub durable_name: String,
    /// This replica's name at the server.
    pub client_id: String,
    /// Messages the server sends before it waits for acknowledgements.
    pub max_in_flight: u32,
    /// Time without an acknowledgement after which a message comes again; whole
    /// seconds.
    pub ack_wait: Duration,
    /// Time between two pings; whole seconds.
    pub ping_interval: Duration,
    /// Unanswered pings after which the session counts as lost.
    pub ping_max_out: u32,
    /// The server's monitoring address, to report the lag.
    pub monitor_url: Option<String>,
    /// NATS credentials: a JWT and its seed.
    pub credentials_file: Option<PathBuf>,
    /// Trusted authorities for `tls://`, as PEM.
    pub tls_ca_file: Option<PathBuf>,
    /// The certificate we show to the server, as PEM.
    pub tls_cert_file: Option<PathBuf>,
    /// Its private key, as PEM.
    pub tls_key_file: Option<PathBuf>,
}

impl Broker {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let hour = Duration::from_hours(1);
        let second = Duration::from_secs(1);
        Self {
            url: section.required_secret_url(
                "url",
                BROKER_URL,
                BrokerUrl::default(),
                nats_url::parse,
            ),
            cluster_id: section.text(
                "cluster_id",
                "1 to 128 letters, digits, `-`, `_` and `.`",
                names::is_cluster_id,
            ),
            channel: section.text(
                "channel",
                "a name without blanks, `*`, `>` and `/`, and without empty parts between dots",
                names::is_channel,
            ),
            queue_group: section.text("queue_group", names::GROUP, names::is_group),
            durable_name: section.text("durable_name", names::GROUP, names::is_group),
            client_id: section.text(
                "client_id",
                "1 to 128 letters, digits, `-` and `_`",
                names::is_client_id,
            ),
            max_in_flight: section.number("max_in_flight", 1..=1_000_000),
            ack_wait: section.seconds("ack_wait", second..=hour),
            ping_interval: section.seconds("ping_interval", second..=hour),
            ping_max_out: section.number("ping_max_out", 2..=1000),
            monitor_url: section.http_url("monitor_url"),
            credentials_file: section.file("credentials_file"),
            tls_ca_file: section.file("tls_ca_file"),
            tls_cert_file: section.file("tls_cert_file"),
            tls_key_file: section.file("tls_key_file"),
        }
    }
}
