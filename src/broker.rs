//! What the settings say to the clients of the brokers, and what a broker's monitor says to us.

pub(crate) mod link;
pub mod monitor;
pub mod server_monitor;
pub mod stream_servers;

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use jetstream::ConsumerOptions;
use stan::async_nats::ConnectOptions;
use stan::{Options, StartPosition, SubscriptionOptions};

use crate::config::{Broker, BrokerUrl, JetStream, Login, NatsFiles};

/// How long a protocol request waits for its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// How to register as `client_id`.
///
/// # Errors
/// A credentials file that cannot be read or holds none.
pub fn options(settings: &Broker, client_id: &str) -> anyhow::Result<Options> {
    // Without the login: the client writes the addresses to the log.
    let mut options = Options::new(&settings.url.addresses, &settings.cluster_id, client_id);
    options.request_timeout = REQUEST_TIMEOUT;
    options.ping_interval = settings.ping_interval;
    options.ping_max_out = settings.ping_max_out;
    options.nats = nats_options(&settings.url, &settings.files, "broker")?;
    Ok(options)
}

/// The options of the link to a NATS server, of the settings of this section.
fn nats_options(
    url: &BrokerUrl,
    files: &NatsFiles,
    section: &str,
) -> anyhow::Result<ConnectOptions> {
    let mut nats = ConnectOptions::new();
    match &url.login {
        Some(Login::Password { user, password }) => {
            nats = nats.user_and_password(user.clone(), password.expose().to_owned());
        }
        Some(Login::Token(token)) => nats = nats.token(token.expose().to_owned()),
        None => {}
    }
    if let Some(file) = &files.tls_ca {
        nats = nats.add_root_certificates(file.clone());
    }
    if let (Some(certificate), Some(key)) = (&files.tls_cert, &files.tls_key) {
        // Over a link without TLS nobody would ask for the certificate.
        nats = nats.add_client_certificate(certificate.clone(), key.clone()).require_tls(true);
    }
    if let Some(file) = &files.credentials {
        let at = || format!("`{section}.credentials_file` {}", file.display());
        let credentials = fs::read_to_string(file).with_context(at)?;
        nats = nats.credentials(&credentials).with_context(at)?;
    }
    Ok(nats)
}

/// How to connect to the servers of the stream as `name`; nothing where the settings name none.
///
/// # Errors
/// A credentials file that cannot be read or holds none.
pub fn stream_options(
    settings: &JetStream,
    name: &str,
) -> anyhow::Result<Option<jetstream::Options>> {
    let Some(url) = &settings.url else { return Ok(None) };
    let mut options = jetstream::Options::new(&url.addresses, name);
    options.request_timeout = REQUEST_TIMEOUT;
    options.nats = nats_options(url, &settings.files, "jetstream")?;
    Ok(Some(options))
}

/// How to connect to the servers of the stream as `name`, and which consumer to be a member of;
/// nothing where no stream is read.
///
/// # Errors
/// A credentials file that cannot be read or holds none.
pub fn stream(
    settings: &JetStream,
    name: &str,
    queue_max_bytes: usize,
) -> anyhow::Result<Option<(jetstream::Options, ConsumerOptions)>> {
    let Some(options) = stream_options(settings, name)? else { return Ok(None) };
    let JetStream { stream, subject, consumer, .. } = settings;
    let mut consumer = ConsumerOptions::new(stream, subject, consumer);
    consumer.create = settings.create;
    consumer.replicas = settings.replicas;
    consumer.max_ack_pending = settings.max_ack_pending;
    consumer.ack_wait = settings.ack_wait;
    consumer.queue_max_bytes = queue_max_bytes;
    Ok(Some((options, consumer)))
}

/// The group that shares the channel's orders. It begins with the first message that there is:
/// should the broker ever lose the group's position, everything comes again, and every order
/// that is stored already turns out to be a duplicate.
#[must_use]
pub fn queue_group(settings: &Broker, queue_max_bytes: usize) -> SubscriptionOptions {
    let Broker { channel, queue_group, durable_name, .. } = settings;
    let mut group = SubscriptionOptions::durable_queue(channel, queue_group, durable_name);
    group.max_in_flight = settings.max_in_flight;
    group.ack_wait = settings.ack_wait;
    group.start_position = StartPosition::First;
    group.queue_max_bytes = queue_max_bytes;
    group
}
