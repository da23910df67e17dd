//! Where messages come from.

use std::fmt;
use std::sync::Arc;

use clap::ValueEnum;

/// Which of the two systems, as `--to` and `--source` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// NATS Streaming: the channel of `broker.channel`.
    Stan,
    /// JetStream: the stream of `jetstream.stream`.
    #[value(name = "jetstream")]
    JetStream,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Stan, Self::JetStream];

    /// The label of metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Stan => "stan",
            Self::JetStream => "jetstream",
        }
    }
}

impl fmt::Display for Kind {
    /// What holds the messages: a channel or a stream.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stan => "channel",
            Self::JetStream => "stream",
        })
    }
}

/// Begins the name of every stream of JetStream; no channel of NATS Streaming may begin so.
pub const JETSTREAM: &str = "jetstream:";

/// A channel of NATS Streaming or a stream of JetStream. A sequence means a message of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source(Arc<str>);

impl Source {
    /// A channel of NATS Streaming.
    #[must_use]
    pub fn channel(name: &str) -> Self {
        Self(name.into())
    }

    /// A stream of JetStream.
    #[must_use]
    pub fn stream(name: &str) -> Self {
        Self(format!("{JETSTREAM}{name}").into())
    }

    /// The name: that of the channel, or such as `jetstream:ORDERS`. The column `channel` of a
    /// reject.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.0
    }

    /// Which of the two systems it is of.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if self.0.starts_with(JETSTREAM) { Kind::JetStream } else { Kind::Stan }
    }

    /// The column `source` of an order.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        column(&self.0)
    }
}

/// The column `source` of an order from the source of this name: that of a stream, nothing for a
/// channel.
#[must_use]
pub fn column(name: &str) -> Option<&str> {
    name.starts_with(JETSTREAM).then_some(name)
}

/// The stream of the source of this name, such as `ORDERS`; nothing for a channel.
#[must_use]
pub fn stream_of(name: &str) -> Option<&str> {
    name.strip_prefix(JETSTREAM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_of_the_channel_name_no_source_and_those_of_a_stream_do() {
        let channel = Source::channel("orders");
        assert_eq!((&**channel.name(), channel.column()), ("orders", None));
        let stream = Source::stream("ORDERS");
        let name = "jetstream:ORDERS";
        assert_eq!((&**stream.name(), stream.column()), (name, Some(name)));
        assert_eq!([channel.name(), stream.name()].map(|it| stream_of(it)), [None, Some("ORDERS")]);
    }
}
