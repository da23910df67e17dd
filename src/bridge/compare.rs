//! Whether channel and stream hold the same bytes under the same sequences.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use stan::Message;

use super::archive::Archive;
use super::{Observer, Stage};
use crate::digest::Sha256Digest;
use crate::ranges::Ranges;
use crate::reconcile::reader::channel::{ChannelReader, ChannelStep};
use crate::reconcile::retry::retry;

/// What a comparison has found. The digests are over all messages compared, in the order of their
/// sequences: the sequence and the length of the payload, 8 bytes each, the highest first, then
/// the payload. Messages that the channel has no more are not compared.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Whether both hold the same.
    pub equal: bool,
    /// The first sequence that was compared; none if the channel holds nothing.
    pub first: Option<u64>,
    /// The last one.
    pub last: Option<u64>,
    /// Messages of the channel that were compared.
    pub messages: u64,
    /// Of those that the channel holds.
    pub channel_sha256: Sha256Digest,
    /// Of those that the stream holds under the same sequences.
    pub stream_sha256: Sha256Digest,
    /// Messages that the stream does not hold.
    pub missing: u64,
    /// Messages of which the stream holds other bytes.
    pub differing: u64,
    /// The sequences that differ or are missing, the first ranges of them.
    pub at: String,
}

#[derive(Default)]
struct Compared {
    channel: Sha256,
    stream: Sha256,
    first: Option<u64>,
    last: Option<u64>,
    messages: u64,
    missing: u64,
    differing: u64,
    at: Ranges,
}

/// Reads both sides of these sequences.
pub(super) async fn compare(
    archive: &Archive,
    reader: &mut ChannelReader,
    sequences: RangeInclusive<u64>,
    patience: Duration,
    observer: &dyn Observer,
) -> anyhow::Result<Comparison> {
    let mut compared = Compared::default();
    let (mut next, last) = sequences.into_inner();
    observer.begin(Stage::Compare, next, Some(last));
    reader.read(next, Some(last));
    while next <= last {
        let step = async |reader: &mut ChannelReader| reader.step().await;
        let step = retry(patience, &mut { observer }, reader, step).await?;
        match step {
            ChannelStep::Gone { to, .. } => next = to + 1,
            ChannelStep::Messages(messages) => {
                let range = next..=next + messages.len() as u64 - 1;
                next = range.end() + 1;
                let read = async |(): &mut ()| archive.read(range.clone()).await;
                let stored = retry(patience, &mut { observer }, &mut (), read).await?;
                let mut stored = stored.into_iter().peekable();
                for message in &messages {
                    let copy = stored.next_if(|stored| stored.sequence == message.sequence);
                    let is_copy =
                        copy.as_ref().map(|stored| archive.is_copy(stored, &message.data));
                    compared.add(message, copy.as_ref().map(|stored| &*stored.data), is_copy);
                }
                messages.into_iter().for_each(Message::ack);
            }
        }
        observer.progress(next);
    }
    Ok(compared.finish())
}

impl Compared {
    /// `copy` is what the stream holds under the sequence, and whether it is the same.
    fn add(&mut self, message: &Message, copy: Option<&[u8]>, is_copy: Option<bool>) {
        let sequence = message.sequence;
        self.first.get_or_insert(sequence);
        self.last = Some(sequence);
        self.messages += 1;
        update(&mut self.channel, sequence, &message.data);
        if let Some(copy) = copy {
            update(&mut self.stream, sequence, copy);
        }
        match is_copy {
            Some(true) => return,
            Some(false) => self.differing += 1,
            None => self.missing += 1,
        }
        self.at.add(sequence, sequence);
    }

    fn finish(self) -> Comparison {
        let channel_sha256 = Sha256Digest::from(self.channel);
        let stream_sha256 = Sha256Digest::from(self.stream);
        Comparison {
            equal: channel_sha256 == stream_sha256 && self.at.is_empty(),
            first: self.first,
            last: self.last,
            messages: self.messages,
            channel_sha256,
            stream_sha256,
            missing: self.missing,
            differing: self.differing,
            at: self.at.to_string(),
        }
    }
}

fn update(digest: &mut Sha256, sequence: u64, payload: &[u8]) {
    digest.update(sequence.to_be_bytes());
    digest.update((payload.len() as u64).to_be_bytes());
    digest.update(payload);
}
