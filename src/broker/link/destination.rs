//! Where a link publishes to.

use std::sync::Arc;
use std::time::Duration;

use super::error::PublishError;
use crate::broker;
use crate::config::{Settings, SettingsError};
use crate::source::Kind;

/// How long to wait for each answer, the first one included: in its first seconds a pod may not
/// be let through yet, and a call of NATS Streaming that was lost is repeated after 1 s, 3 s and
/// 7 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A channel or a subject, and how to connect to its servers.
#[derive(Debug)]
pub(crate) enum Destination {
    /// A channel of NATS Streaming.
    Stan(stan::Options, String),
    /// A subject that a stream of JetStream stores.
    JetStream(jetstream::Options, Arc<str>),
}

impl Destination {
    /// That of the settings, whose messages may be unacknowledged `window` at a time.
    ///
    /// # Errors
    /// A credentials file that cannot be read or holds none, or a stream whose servers the
    /// settings do not name.
    pub(crate) fn new(settings: &Settings, kind: Kind, window: usize) -> anyhow::Result<Self> {
        match kind {
            Kind::Stan => {
                let mut options = broker::options(&settings.broker, "")?;
                options.request_timeout = ANSWER_TIMEOUT;
                options.pub_ack_timeout = ANSWER_TIMEOUT;
                options.max_pub_acks_in_flight = window;
                Ok(Self::Stan(options, settings.broker.channel.clone()))
            }
            Kind::JetStream => {
                let options = broker::stream_options(&settings.jetstream, "waybill-publish")?;
                let mut options = options.ok_or_else(SettingsError::no_stream)?;
                options.request_timeout = ANSWER_TIMEOUT;
                options.pub_ack_timeout = ANSWER_TIMEOUT;
                options.max_pub_acks_in_flight = window;
                Ok(Self::JetStream(options, settings.jetstream.subject.as_str().into()))
            }
        }
    }

    /// The servers' addresses, without a login.
    pub(crate) fn addresses(&self) -> &str {
        match self {
            Self::Stan(options, _) => &options.url,
            Self::JetStream(options, _) => &options.url,
        }
    }

    /// What becomes of a message while there is no connection.
    pub(super) fn disconnected(&self) -> PublishError {
        match self {
            Self::Stan(..) => stan::PublishError::Disconnected.into(),
            Self::JetStream(..) => jetstream::PublishError::Disconnected.into(),
        }
    }
}
