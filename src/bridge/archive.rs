//! The stream that the channel is copied into.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jetstream::{
    Connection, Error, Options, PublishAck, PublishError, Publisher, StoredMessage, Stream,
    StreamInfo, StreamOptions, Terms,
};

use super::window::MOST_MESSAGES;
use crate::reconcile::retry::Failure;

/// How long the server may take to say that it has stored a message. Then it is asked what it has.
const ACK_TIMEOUT: Duration = Duration::from_secs(3);

/// Deletions that are on their way at a time.
const DELETIONS: usize = 256;

/// `err_code` of an answer that there is no such stream.
const NO_STREAM: u32 = 10059;

/// What belongs under a sequence.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// A message of the channel.
    Message(Bytes),
    /// Nothing: the channel has no message of this sequence. A filler takes the number, under a
    /// subject of its own, and is deleted.
    Gap,
}

/// The stream, whose messages have the subject of its own name, and fillers that with `.gap`.
#[derive(Debug)]
pub(super) struct Archive {
    connection: Connection,
    options: StreamOptions,
    stream: Stream,
    gap_subject: String,
    messages: Publisher,
    gaps: Publisher,
}

impl Archive {
    /// Connects: one attempt. Nothing is made.
    pub(super) async fn connect(
        mut servers: Options,
        name: &str,
        replicas: usize,
    ) -> Result<Self, Failure> {
        servers.pub_ack_timeout = ACK_TIMEOUT;
        servers.max_pub_acks_in_flight = MOST_MESSAGES;
        let connection = Connection::connect(servers).await?;
        let gap_subject = format!("{name}.gap");
        let mut options = StreamOptions::new(name, &[name, &gap_subject]);
        options.deny_purge = true;
        options.replicas = replicas;
        let stream = connection.stream(name)?;
        let messages = connection.publisher(name).await?;
        let gaps = connection.publisher(&gap_subject).await?;
        Ok(Self { connection, options, stream, gap_subject, messages, gaps })
    }

    /// The stream as it is; none if it is still to be made.
    pub(super) async fn find(&self) -> Result<Option<StreamInfo>, Failure> {
        match self.stream.info().await {
            Ok(_) => Ok(Some(self.connection.ensure_stream(&self.options).await?)),
            Err(Error::Refused { code: NO_STREAM, .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the stream, whose first message is to have this sequence.
    pub(super) async fn create(&mut self, first: u64) -> Result<StreamInfo, Failure> {
        self.options.first_sequence = first;
        Ok(self.connection.ensure_stream(&self.options).await?)
    }

    /// The last sequence that it has, or had.
    pub(super) async fn last(&self) -> Result<u64, Failure> {
        Ok(self.stream.info().await?.last_sequence)
    }

    /// Sends what belongs under a sequence, to be stored under no other.
    pub(super) async fn publish(
        &self,
        sequence: u64,
        content: &Content,
    ) -> Result<PublishAck, PublishError> {
        let terms = Terms { message_id: None, expected_last_sequence: Some(sequence - 1) };
        match content {
            Content::Message(data) => self.messages.publish(data.clone(), terms).await,
            Content::Gap => self.gaps.publish(Bytes::new(), terms).await,
        }
    }

    /// Whether this is stored under its sequence, by reading it back. If it is not, somebody else
    /// was here.
    pub(super) async fn check(&self, sequence: u64, content: &Content) -> Result<(), Failure> {
        let name = &self.options.name;
        let foreign = match (self.stream.get(sequence).await?, content) {
            (Some(stored), Content::Message(data)) if self.is_copy(&stored, data) => return Ok(()),
            (Some(stored), Content::Gap) if stored.subject == self.gap_subject => return Ok(()),
            (None, Content::Gap) => return Ok(()),
            (Some(_), Content::Message(_)) => "another message than the channel",
            (Some(_), Content::Gap) => "a message where the channel has none",
            (None, Content::Message(_)) => "no message where the channel has one: it was deleted",
        };
        Err(Failure::Permanent(anyhow!(
            "stream {name} has under sequence {sequence} {foreign}; it must be a copy of this \
             channel that nobody else writes to"
        )))
    }

    /// Whether a stored message is the copy of one with these bytes.
    pub(super) fn is_copy(&self, stored: &StoredMessage, data: &[u8]) -> bool {
        stored.subject == self.options.name && stored.data == data
    }

    /// The messages that it has of a range, in order.
    pub(super) async fn read(
        &self,
        sequences: RangeInclusive<u64>,
    ) -> Result<Vec<StoredMessage>, Failure> {
        Ok(self.stream.read(sequences).try_collect().await?)
    }

    /// Deletes fillers, which may be deleted already.
    pub(super) async fn delete(&self, fillers: &[u64]) -> Result<(), Failure> {
        let deletions = stream::iter(fillers).map(|sequence| self.stream.delete(*sequence));
        let mut deletions = deletions.buffer_unordered(DELETIONS);
        while deletions.try_next().await?.is_some() {}
        Ok(())
    }

    /// Deletes fillers that an earlier run has left.
    pub(super) async fn delete_left_fillers(&self) -> Result<(), Failure> {
        let mut from = 1;
        while let Some(filler) = self.stream.next_of(&self.gap_subject, from).await? {
            self.stream.delete(filler.sequence).await?;
            from = filler.sequence + 1;
        }
        Ok(())
    }
}
