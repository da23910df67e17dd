//! The reply subject of a pulled message, which tells what it is and takes its acknowledgement:
//! `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<timestamp>.<pending>`,
//! or with the domain and a hash of the account after `ACK`, and perhaps more at the end (ADR-15).

use deliveries::Ack;

/// What of a reply subject is the same for all messages of a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AckPrefix(String);

/// What a reply subject tells of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply<'a> {
    prefix: &'a str,
    /// How often the message was sent, this time included.
    pub(crate) deliveries: u32,
    pub(crate) stream_sequence: u64,
    pub(crate) consumer_sequence: u64,
    /// When the server stored the message, in nanoseconds since 1970.
    pub(crate) timestamp: i64,
}

impl<'a> Reply<'a> {
    /// Nothing if it is no reply subject of a pulled message.
    pub(crate) fn parse(subject: &'a str) -> Option<Self> {
        let rest = subject.strip_prefix("$JS.ACK.")?;
        // Tokens before the count of deliveries: stream and consumer, or four.
        let named = if rest.bytes().filter(|byte| *byte == b'.').count() == 6 { 2 } else { 4 };
        let mut dots = rest.match_indices('.').map(|(at, _)| at);
        let end = dots.nth(named - 1)?;
        let mut numbers = rest[end + 1..].split('.');
        let deliveries = numbers.next()?.parse().ok()?;
        let stream_sequence = numbers.next()?.parse().ok()?;
        let consumer_sequence = numbers.next()?.parse().ok()?;
        let timestamp = numbers.next()?.parse().ok()?;
        numbers.next()?;
        let prefix = &subject[..subject.len() - rest.len() + end];
        Some(Self { prefix, deliveries, stream_sequence, consumer_sequence, timestamp })
    }

    pub(crate) fn prefix(&self) -> AckPrefix {
        AckPrefix(self.prefix.to_owned())
    }

    pub(crate) fn has_prefix(&self, prefix: &AckPrefix) -> bool {
        self.prefix == prefix.0
    }

    pub(crate) fn ack(&self) -> Ack {
        Ack {
            sequence: self.stream_sequence,
            timestamp: self.timestamp,
            number: self.consumer_sequence,
            redelivery_count: self.deliveries.saturating_sub(1),
        }
    }
}

impl AckPrefix {
    /// As a server without domains writes it.
    pub(crate) fn of(stream: &str, consumer: &str) -> Self {
        Self(format!("$JS.ACK.{stream}.{consumer}"))
    }

    /// Where acknowledgements of this delivery go. The number of messages that were to follow it,
    /// which the server does not read, is left out as 0.
    pub(crate) fn subject(&self, ack: &Ack) -> String {
        let Ack { sequence, timestamp, number, redelivery_count } = ack;
        let deliveries = u64::from(*redelivery_count) + 1;
        format!("{}.{deliveries}.{sequence}.{number}.{timestamp}.0", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_written_back() {
        for (subject, written) in [
            ("$JS.ACK.ORDERS.waybill.1.7.9.1700.42", "$JS.ACK.ORDERS.waybill.1.7.9.1700.0"),
            (
                "$JS.ACK._.a1b2.ORDERS.waybill.3.7.9.1700.42",
                "$JS.ACK._.a1b2.ORDERS.waybill.3.7.9.1700.0",
            ),
            (
                "$JS.ACK.hub.a1b2.ORDERS.waybill.1.7.9.1700.0.random",
                "$JS.ACK.hub.a1b2.ORDERS.waybill.1.7.9.1700.0",
            ),
        ] {
            let reply = Reply::parse(subject).expect(subject);
            assert_eq!((reply.stream_sequence, reply.consumer_sequence), (7, 9), "{subject}");
            assert_eq!(reply.timestamp, 1700, "{subject}");
            assert!(reply.has_prefix(&reply.prefix()));
            assert_eq!(reply.prefix().subject(&reply.ack()), written);
        }
    }

    #[test]
    fn what_is_no_reply_subject_of_a_pulled_message_is_not_taken_for_one() {
        for subject in [
            "",
            "_INBOX.a.b",
            "$JS.ACK.",
            "$JS.ACK.ORDERS.waybill.1.7.9.1700",
            "$JS.ACK.ORDERS.waybill.one.7.9.1700.42",
            "$JS.ACK.ORDERS.waybill.1.-7.9.1700.42",
            "$JS.FC.ORDERS.waybill.1.7.9.1700.42",
        ] {
            assert_eq!(Reply::parse(subject), None, "{subject}");
        }
    }
}
