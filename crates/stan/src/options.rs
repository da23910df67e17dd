//! How to connect and what to subscribe to, with the names and defaults of stan.go.

use std::time::Duration;

use crate::error::Error;
use crate::name;

/// With fewer, one lost answer could end a registration.
pub(crate) const FEWEST_PINGS_OUT: u32 = 2;

/// How to register with a streaming server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// NATS server addresses, separated by commas.
    pub url: String,
    /// Cluster id of the streaming server.
    pub cluster_id: String,
    /// Our name there: `A–Z a–z 0–9 - _`, unique among live clients. A client that comes back
    /// under its old name takes over at once what its dead predecessor held.
    pub client_id: String,
    /// How long each protocol request waits for its answer (2 s).
    pub request_timeout: Duration,
    /// Time between our pings, whole seconds (5 s). The server may wish for another one, which is
    /// kept to up to a minute, or to this if it is longer.
    pub ping_interval: Duration,
    /// Pings that may stay unanswered before the session counts as lost (6, at least 2). The
    /// server may wish for another number, which is kept to from 2 to 100, or to this if it is
    /// larger.
    pub ping_max_out: u32,
    /// How long a publish waits for its acknowledgement (30 s).
    pub pub_ack_timeout: Duration,
    /// Publishes that may be unacknowledged at a time (16,384).
    pub max_pub_acks_in_flight: usize,
    /// Options of the NATS link: TLS, user and password, token, nkey, credentials.
    pub nats: async_nats::ConnectOptions,
}

impl Options {
    /// The defaults, for a server, a cluster id and a client id.
    #[must_use]
    pub fn new(url: &str, cluster_id: &str, client_id: &str) -> Self {
        Self {
            url: url.to_owned(),
            cluster_id: cluster_id.to_owned(),
            client_id: client_id.to_owned(),
            request_timeout: Duration::from_secs(2),
            ping_interval: Duration::from_secs(5),
            ping_max_out: 6,
            pub_ack_timeout: Duration::from_secs(30),
            max_pub_acks_in_flight: 16_384,
            nats: async_nats::ConnectOptions::new(),
        }
    }

    /// How long a registration lasts whose pings are not answered, as far as it is up to us.
    pub(crate) fn ping_budget(&self) -> Duration {
        self.ping_interval.saturating_mul(self.ping_max_out.saturating_add(1))
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.client_id.is_empty() || !self.client_id.chars().all(allowed) {
            return Err(Error::InvalidOption(format!(
                "client_id {:?} must be one or more of A-Z a-z 0-9 - _",
                self.client_id
            )));
        }
        name::check_cluster(&self.cluster_id)?;
        if self.ping_interval < Duration::from_secs(1) || self.ping_interval.subsec_nanos() != 0 {
            return Err(Error::InvalidOption(format!(
                "ping_interval {:?} must be a whole number of seconds, 1 or more",
                self.ping_interval
            )));
        }
        if self.ping_max_out < FEWEST_PINGS_OUT {
            return Err(Error::InvalidOption(format!(
                "ping_max_out {} must be {FEWEST_PINGS_OUT} or more",
                self.ping_max_out
            )));
        }
        if self.max_pub_acks_in_flight == 0 {
            return Err(Error::InvalidOption(
                "max_pub_acks_in_flight 0 must be 1 or more".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Where a subscription begins. It counts only for whoever creates the durable group; one that
/// joins or resumes goes on from the group's own position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartPosition {
    /// Only what is published from now on.
    NewOnly,
    /// The newest message, then what follows.
    LastReceived,
    /// What was published within this time.
    TimeDelta(Duration),
    /// From this sequence number on.
    Sequence(u64),
    /// The oldest message the server still has.
    First,
}

impl StartPosition {
    /// The protocol's number, start sequence and nanoseconds ago.
    pub(crate) fn on_the_wire(self) -> (i32, u64, i64) {
        match self {
            Self::NewOnly => (0, 0, 0),
            Self::LastReceived => (1, 0, 0),
            Self::TimeDelta(ago) => (2, 0, i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX)),
            Self::Sequence(sequence) => (3, sequence, 0),
            Self::First => (4, 0, 0),
        }
    }
}

/// What to subscribe to. Messages are acknowledged by hand.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SubscriptionOptions {
    /// The channel: parts between dots, none empty, without `*`, `>`, `/`, blanks or control
    /// characters, and at most 1,024 bytes.
    pub channel: String,
    /// With a queue group each message goes to one of its members; without one, to us.
    pub queue_group: Option<String>,
    /// With a durable name the position outlives the subscription: that of a queue group for
    /// whoever joins it, a plain one for this client id. No `:` in it.
    pub durable_name: Option<String>,
    /// Messages the server may have sent us unacknowledged (1,024). Redeliveries go beyond it.
    pub max_in_flight: u32,
    /// Whole seconds after which an unacknowledged message is sent again (30 s).
    pub ack_wait: Duration,
    /// Where to begin ([`StartPosition::NewOnly`], the protocol's default).
    pub start_position: StartPosition,
    /// Bytes that may wait in our queue (256 MiB): the payloads, and 128 for each message, so that
    /// empty ones do not wait without limit. What comes above is dropped unacknowledged, and the
    /// server sends it again.
    pub queue_max_bytes: usize,
}

impl SubscriptionOptions {
    /// A subscription of our own, with the defaults.
    #[must_use]
    pub fn plain(channel: &str) -> Self {
        Self {
            channel: channel.to_owned(),
            queue_group: None,
            durable_name: None,
            max_in_flight: 1_024,
            ack_wait: Duration::from_secs(30),
            start_position: StartPosition::NewOnly,
            queue_max_bytes: 256 * 1024 * 1024,
        }
    }

    /// A member of a queue group that is forgotten with its last member.
    #[must_use]
    pub fn queue(channel: &str, queue_group: &str) -> Self {
        Self { queue_group: Some(queue_group.to_owned()), ..Self::plain(channel) }
    }

    /// A member of a queue group whose position the server remembers.
    #[must_use]
    pub fn durable_queue(channel: &str, queue_group: &str, durable_name: &str) -> Self {
        Self { durable_name: Some(durable_name.to_owned()), ..Self::queue(channel, queue_group) }
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        name::check_channel(&self.channel).map_err(Error::InvalidOption)?;
        for (what, name) in
            [("queue_group", &self.queue_group), ("durable_name", &self.durable_name)]
        {
            // On the wire an empty name is none, so the subscription would be of another kind.
            if name.as_ref().is_some_and(String::is_empty) {
                return Err(Error::InvalidOption(format!("{what} \"\" must be none or not empty")));
            }
        }
        if self.ack_wait < Duration::from_secs(1) || self.ack_wait.subsec_nanos() != 0 {
            return Err(Error::InvalidOption(format!(
                "ack_wait {:?} must be a whole number of seconds, 1 or more",
                self.ack_wait
            )));
        }
        if self.max_in_flight == 0 {
            return Err(Error::InvalidOption("max_in_flight 0 must be 1 or more".to_owned()));
        }
        if let Some(name) = &self.durable_name
            && name.contains(':')
        {
            return Err(Error::InvalidOption(format!("durable_name {name:?} must have no ':'")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_outside_their_range_are_refused() {
        let good = Options::new("nats://127.0.0.1:4222", "c", "me");
        assert!(good.validate().is_ok());
        let broken: [fn(&mut Options); 7] = [
            |o| o.cluster_id = String::new(),
            |o| o.cluster_id = "a b".into(),
            |o| o.client_id = "a.b".into(),
            |o| o.client_id = String::new(),
            |o| o.ping_interval = Duration::from_millis(1500),
            |o| o.ping_max_out = 1,
            |o| o.max_pub_acks_in_flight = 0,
        ];
        for (index, broken) in broken.iter().enumerate() {
            let mut options = good.clone();
            broken(&mut options);
            assert!(options.validate().is_err(), "case {index}");
        }
    }

    #[test]
    fn a_group_outside_its_range_is_refused() {
        let good = SubscriptionOptions::durable_queue("orders", "q", "d");
        assert!(good.validate().is_ok());
        let broken: [fn(&mut SubscriptionOptions); 8] = [
            |g| g.channel = String::new(),
            |g| g.channel = "orders.>".into(),
            |g| g.queue_group = Some(String::new()),
            |g| g.durable_name = Some(String::new()),
            |g| g.ack_wait = Duration::from_millis(900),
            |g| g.ack_wait = Duration::from_millis(1900),
            |g| g.max_in_flight = 0,
            |g| g.durable_name = Some("a:b".into()),
        ];
        for (index, broken) in broken.iter().enumerate() {
            let mut group = good.clone();
            broken(&mut group);
            assert!(group.validate().is_err(), "case {index}");
        }
    }
}
