//! What the settings say to the STAN client, and what the broker's monitor says to us.

pub(crate) mod link;
pub mod monitor;

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use stan::async_nats::ConnectOptions;
use stan::{Options, StartPosition, SubscriptionOptions};

use crate::config::{Broker, Login};

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
    let mut nats = ConnectOptions::new();
    match &settings.url.login {
        Some(Login::Password { user, password }) => {
            nats = nats.user_and_password(user.clone(), password.expose().to_owned());
        }
        Some(Login::Token(token)) => nats = nats.token(token.expose().to_owned()),
        None => {}
    }
    if let Some(file) = &settings.tls_ca_file {
        nats = nats.add_root_certificates(file.clone());
    }
    if let (Some(certificate), Some(key)) = (&settings.tls_cert_file, &settings.tls_key_file) {
        // Over a link without TLS nobody would ask for the certificate.
        nats = nats.add_client_certificate(certificate.clone(), key.clone()).require_tls(true);
    }
    if let Some(file) = &settings.credentials_file {
        let at = || format!("`broker.credentials_file` {}", file.display());
        let credentials = fs::read_to_string(file).with_context(at)?;
        nats = nats.credentials(&credentials).with_context(at)?;
    }
    options.nats = nats;
    Ok(options)
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
