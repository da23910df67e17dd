//! Where orders come from.

use std::time::Duration;

use super::{
    BrokerUrl, NatsFiles, names,
    nats_url::{self, BROKER_URL},
    reader::Section,
};
use crate::source;

/// `[broker]`: the NATS Streaming server.
#[derive(Debug, Clone)]
pub struct Broker {
    /// Whether orders are read off its channel.
    pub enabled: bool,
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
    /// What the link is made with.
    pub files: NatsFiles,
}

impl Broker {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let hour = Duration::from_hours(1);
        let second = Duration::from_secs(1);
        Self {
            enabled: section.flag("enabled"),
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
                "a name without blanks, `*`, `>` and `/`, and without empty parts between dots, \
                 that does not begin with `jetstream:`",
                |name| names::is_channel(name) && !name.starts_with(source::JETSTREAM),
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
            files: NatsFiles::read(section),
        }
    }
}
