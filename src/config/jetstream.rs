//! The stream that orders come from beside the channel of NATS Streaming, or instead of it.

use std::time::Duration;

use super::nats_url::{self, BROKER_URL, BrokerUrl};
use super::reader::{Section, Shown};
use super::{NatsFiles, names};

/// `[jetstream]`: a stream of NATS JetStream.
#[derive(Debug, Clone)]
pub struct JetStream {
    /// Its servers, and the login that stands in their URLs; none where no stream is read.
    pub url: Option<BrokerUrl>,
    /// The stream that holds the orders.
    pub stream: String,
    /// The subject that orders are published to.
    pub subject: String,
    /// The durable pull consumer that the replicas share.
    pub consumer: String,
    /// Whether stream and consumer are made if they are absent.
    pub create: bool,
    /// Of a stream that is made: how many servers store it.
    pub replicas: usize,
    /// Of a consumer that is made: messages that all replicas together may have unacknowledged.
    pub max_ack_pending: u32,
    /// Of a consumer that is made: after how long an unacknowledged message comes again.
    pub ack_wait: Duration,
    /// The monitoring address of one of the servers, to report how full its store is.
    pub monitor_url: Option<String>,
    /// What the link is made with.
    pub files: NatsFiles,
}

impl JetStream {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            url: section.read_or_reason("url", BROKER_URL, Shown::Masked, nats_url::parse),
            stream: section.text("stream", names::STREAM, names::is_stream),
            subject: section.text(
                "subject",
                "a subject without blanks and wildcards, and without empty parts between dots",
                names::is_channel,
            ),
            consumer: section.text("consumer", names::STREAM, names::is_stream),
            create: section.flag("create"),
            replicas: section.number("replicas", 1..=5),
            max_ack_pending: section.number("max_ack_pending", 1..=1_000_000),
            ack_wait: section.seconds("ack_wait", Duration::from_secs(1)..=Duration::from_hours(1)),
            monitor_url: section.http_url("monitor_url"),
            files: NatsFiles::read(section),
        }
    }
}
