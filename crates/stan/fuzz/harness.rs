//! What the fuzz targets do with their input; the unit tests do the same with the corpus.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use deliveries::{Ack, Deliveries, Delivery, Message, Messages, OVERHEAD};
use futures_util::FutureExt as _;
use prost::Message as _;
use tokio::sync::mpsc;

use crate::protocol::{
    CloseResponse, ConnectResponse, MsgProto, PingResponse, PubAck, SubscriptionResponse,
};

/// What the queue may hold here: two messages of 64 bytes together.
const MAX_BYTES: usize = 2 * OVERHEAD + 64;

/// Decodes the bytes as everything that a server sends. What decodes must mean the same after
/// it was encoded again.
pub(crate) fn decode(data: &[u8]) {
    round_trip::<ConnectResponse>(data);
    round_trip::<SubscriptionResponse>(data);
    round_trip::<PingResponse>(data);
    round_trip::<CloseResponse>(data);
    round_trip::<PubAck>(data);
    round_trip::<MsgProto>(data);
}

fn round_trip<M: prost::Message + Default + PartialEq + std::fmt::Debug>(data: &[u8]) {
    if let Ok(message) = M::decode(Bytes::copy_from_slice(data)) {
        let again = M::decode(Bytes::from(message.encode_to_vec()));
        assert!(again.is_ok_and(|again| again == message), "{message:?}");
    }
}

/// Reads the bytes as steps: a byte that says what happens and, for a delivery, its length and
/// itself. After each step no message may be in hand twice, nor the queue over its budget.
pub(crate) fn deliveries(mut steps: &[u8]) {
    let deliveries = Deliveries::new(MAX_BYTES);
    let messages = Messages::new(Arc::clone(&deliveries));
    let (sender, mut acks) = mpsc::unbounded_channel();
    deliveries.attach(sender, false);
    let mut taken: Vec<Message> = Vec::new();
    let mut acked = 0;
    while let Some((&step, rest)) = steps.split_first() {
        steps = rest;
        match step % 8 {
            0 | 1 => {
                let Some((&length, rest)) = steps.split_first() else { return };
                let (delivery, rest) = rest.split_at(rest.len().min(length.into()));
                steps = rest;
                if let Ok(message) = MsgProto::decode(Bytes::copy_from_slice(delivery)) {
                    let MsgProto { sequence, timestamp, redelivered, data, .. } = message;
                    let delivery =
                        Delivery { sequence, timestamp, redelivered, data, ..Delivery::default() };
                    deliveries.offer(delivery);
                }
            }
            2 => taken.extend(messages.recv().now_or_never().flatten()),
            3 => taken.extend(messages.recv_batch(4, 16).now_or_never().unwrap_or_default()),
            4 => taken.pop().into_iter().for_each(Message::ack),
            5 => drop(taken.pop()),
            6 => deliveries.detach(),
            _ => {
                acked += count(&mut acks);
                let (sender, receiver) = mpsc::unbounded_channel();
                deliveries.attach(sender, step & 8 != 0);
                acks = receiver;
            }
        }
        let depth = deliveries.depth();
        let bytes = depth.bytes + depth.messages * OVERHEAD;
        assert!(bytes <= MAX_BYTES || depth.messages == 1, "{depth:?}");
        let names: HashSet<_> = taken.iter().map(|m| (m.sequence, m.timestamp)).collect();
        assert_eq!(names.len(), taken.len(), "a message is in hand twice");
    }
    let stats = deliveries.counters().snapshot();
    assert_eq!(acked + count(&mut acks), stats.acks, "{stats:?}");
    assert!(stats.redelivered <= stats.delivered, "{stats:?}");
    taken.clear();
    deliveries.close();
}

fn count(acks: &mut mpsc::UnboundedReceiver<Ack>) -> u64 {
    std::iter::from_fn(|| acks.try_recv().ok()).map(|_| 1).sum()
}
