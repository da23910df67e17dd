//! How to connect, and what to consume.

use std::time::Duration;

use nats_link::LinkOptions;

use crate::error::Error;
use crate::name;

/// How to connect to the servers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// NATS server addresses, separated by commas.
    pub url: String,
    /// Our name in the server's list of connections.
    pub name: String,
    /// How long each request waits for its answer, and at first how much later than announced the
    /// end of a pull may come (2 s).
    pub request_timeout: Duration,
    /// Time between the pings that notice a dead link, which takes three of them (5 s).
    pub ping_interval: Duration,
    /// How long a publish waits for its acknowledgement (30 s).
    pub pub_ack_timeout: Duration,
    /// Publishes that may be unacknowledged at a time (16,384).
    pub max_pub_acks_in_flight: usize,
    /// Options of the NATS link: TLS, user and password, token, nkey, credentials.
    pub nats: async_nats::ConnectOptions,
}

/// How long a link is dialled that nobody uses any more, in pings.
const DIALLED_FOR: u32 = 6;

impl Options {
    /// The defaults, for servers and our name there.
    #[must_use]
    pub fn new(url: &str, name: &str) -> Self {
        Self {
            url: url.to_owned(),
            name: name.to_owned(),
            request_timeout: Duration::from_secs(2),
            ping_interval: Duration::from_secs(5),
            pub_ack_timeout: Duration::from_secs(30),
            max_pub_acks_in_flight: 16_384,
            nats: async_nats::ConnectOptions::new(),
        }
    }

    pub(crate) fn link(&self) -> LinkOptions {
        LinkOptions {
            url: self.url.clone(),
            name: self.name.clone(),
            connect_timeout: self.request_timeout,
            ping_interval: self.ping_interval,
            dial_for: self.ping_interval.saturating_mul(DIALLED_FOR),
            nats: self.nats.clone(),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        for (what, time) in [
            ("request_timeout", self.request_timeout),
            ("ping_interval", self.ping_interval),
            ("pub_ack_timeout", self.pub_ack_timeout),
        ] {
            if time.is_zero() {
                return Err(Error::InvalidOption(format!("{what} 0s must be longer than that")));
            }
        }
        if self.max_pub_acks_in_flight == 0 {
            let text = "max_pub_acks_in_flight 0 must be 1 or more";
            return Err(Error::InvalidOption(text.to_owned()));
        }
        Ok(())
    }
}

/// A stream that loses nothing: with file storage, without limits and with `discard = new`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StreamOptions {
    /// The stream.
    pub name: String,
    /// The subjects whose messages it stores.
    pub subjects: Vec<String>,
    /// Of a stream that is made: the sequence of its first message (1).
    pub first_sequence: u64,
    /// Whether nobody may delete all of its messages at once, until it is deleted itself (`false`).
    /// One that is there must forbid it too.
    pub deny_purge: bool,
    /// Of a stream that is made: how many servers store it (1).
    pub replicas: usize,
}

impl StreamOptions {
    /// The defaults, for a stream and its subjects.
    #[must_use]
    pub fn new(name: &str, subjects: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
            first_sequence: 1,
            deny_purge: false,
            replicas: 1,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        name::check_name("stream", &self.name)?;
        self.subjects.iter().try_for_each(|subject| name::check_subject(subject))?;
        if self.subjects.is_empty() {
            return Err(Error::InvalidOption("subjects must be one or more".to_owned()));
        }
        if self.first_sequence == 0 {
            return Err(Error::InvalidOption("first_sequence 0 must be 1 or more".to_owned()));
        }
        if !matches!(self.replicas, 1..=5) {
            let text = format!("replicas {} must be from 1 to 5", self.replicas);
            return Err(Error::InvalidOption(text));
        }
        Ok(())
    }
}

/// Which durable pull consumer to be a member of. Messages are acknowledged by hand.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConsumerOptions {
    /// The stream.
    pub stream: String,
    /// The subject whose messages are consumed.
    pub subject: String,
    /// The durable consumer, which all members share.
    pub consumer: String,
    /// Whether stream and consumer are made if they are absent (`true`): the stream with file
    /// storage, without limits and with `discard = new`, the consumer from the first message on,
    /// with explicit acks and without a limit of deliveries. One that is there is taken as it is,
    /// or refused where messages could be lost.
    pub create: bool,
    /// Of a stream that is made: how many servers store it (1).
    pub replicas: usize,
    /// Of a consumer that is made: messages that all members together may have unacknowledged
    /// (8,192).
    pub max_ack_pending: u32,
    /// Of a consumer that is made: after how long an unacknowledged message is sent again (30 s).
    pub ack_wait: Duration,
    /// Bytes that may wait in our queue (256 MiB): the payloads, and 128 for each message. Nothing
    /// is pulled beyond it, but for a single message that is larger.
    pub queue_max_bytes: usize,
}

impl ConsumerOptions {
    /// The defaults, for a stream, a subject of it, and the consumer's name.
    #[must_use]
    pub fn new(stream: &str, subject: &str, consumer: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            subject: subject.to_owned(),
            consumer: consumer.to_owned(),
            create: true,
            replicas: 1,
            max_ack_pending: 8_192,
            ack_wait: Duration::from_secs(30),
            queue_max_bytes: 256 * 1024 * 1024,
        }
    }

    pub(crate) fn stream_options(&self) -> StreamOptions {
        let replicas = self.replicas;
        StreamOptions { replicas, ..StreamOptions::new(&self.stream, &[&self.subject]) }
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        self.stream_options().validate()?;
        name::check_name("consumer", &self.consumer)?;
        if self.max_ack_pending == 0 {
            return Err(Error::InvalidOption("max_ack_pending 0 must be 1 or more".to_owned()));
        }
        if self.ack_wait < Duration::from_secs(1) {
            let text = format!("ack_wait {:?} must be 1s or longer", self.ack_wait);
            return Err(Error::InvalidOption(text));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_outside_their_range_are_refused() {
        let good = Options::new("nats://127.0.0.1:4222", "me");
        assert!(good.validate().is_ok());
        let broken: [fn(&mut Options); 4] = [
            |o| o.request_timeout = Duration::ZERO,
            |o| o.ping_interval = Duration::ZERO,
            |o| o.pub_ack_timeout = Duration::ZERO,
            |o| o.max_pub_acks_in_flight = 0,
        ];
        for (index, broken) in broken.iter().enumerate() {
            let mut options = good.clone();
            broken(&mut options);
            assert!(options.validate().is_err(), "case {index}");
        }
    }

    #[test]
    fn a_consumer_outside_its_range_is_refused() {
        let good = ConsumerOptions::new("ORDERS", "orders", "waybill");
        assert!(good.validate().is_ok());
        let broken: [fn(&mut ConsumerOptions); 7] = [
            |c| c.stream = "a.b".to_owned(),
            |c| c.subject = "orders.>".to_owned(),
            |c| c.consumer = String::new(),
            |c| c.replicas = 0,
            |c| c.replicas = 6,
            |c| c.max_ack_pending = 0,
            |c| c.ack_wait = Duration::from_millis(900),
        ];
        for (index, broken) in broken.iter().enumerate() {
            let mut consumer = good.clone();
            broken(&mut consumer);
            assert!(consumer.validate().is_err(), "case {index}");
        }
    }

    #[test]
    fn a_stream_outside_its_range_is_refused() {
        let good = StreamOptions::new("ORDERS", &["orders"]);
        assert!(good.validate().is_ok());
        let broken: [fn(&mut StreamOptions); 5] = [
            |s| s.name = "a.b".to_owned(),
            |s| s.subjects = vec!["orders.*".to_owned()],
            |s| s.subjects.clear(),
            |s| s.first_sequence = 0,
            |s| s.replicas = 6,
        ];
        for (index, broken) in broken.iter().enumerate() {
            let mut stream = good.clone();
            broken(&mut stream);
            assert!(stream.validate().is_err(), "case {index}");
        }
    }
}
