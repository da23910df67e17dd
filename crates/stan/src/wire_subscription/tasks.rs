//! The two tasks of a subscription: one takes deliveries off the wire, the other sends acks.

use std::fmt;
use std::sync::Arc;

use async_nats::Message as NatsMessage;
use bytes::{Bytes, BytesMut};
use deliveries::{Ack, Deliveries, Delivery};
use futures_util::{Stream, StreamExt as _};
use nats_link::LogLimit;
use prost::Message as _;
use tokio::sync::mpsc;

use crate::protocol::{self, MsgProto};

/// Puts what comes for `channel` into the queue and counts what is no delivery of it.
pub(super) async fn receive(
    mut messages: impl Stream<Item = NatsMessage> + Unpin,
    channel: String,
    deliveries: Arc<Deliveries>,
) {
    let garbled = &deliveries.counters().garbled;
    let (other_channel, no_delivery) = (LogLimit::default(), LogLimit::default());
    while let Some(message) = messages.next().await {
        match MsgProto::decode(message.payload) {
            Ok(message) if message.subject == channel => deliveries.offer(delivery(message)),
            Ok(message) => {
                garbled.add(1);
                if let Some(held_back) = other_channel.due() {
                    tracing::warn!(
                        sequence = message.sequence,
                        held_back,
                        "A delivery for another channel was dropped"
                    );
                }
            }
            Err(error) => {
                garbled.add(1);
                if let Some(held_back) = no_delivery.due() {
                    tracing::warn!(
                        %error,
                        held_back,
                        "A delivery that is no STAN message was dropped"
                    );
                }
            }
        }
    }
}

fn delivery(message: MsgProto) -> Delivery {
    let MsgProto { sequence, timestamp, redelivered, redelivery_count, data, .. } = message;
    Delivery { sequence, timestamp, number: 0, redelivered, redelivery_count, data }
}

/// Encodes and sends each ack, which names its message by the sequence number. Ends when their
/// sender is gone and the last of them is sent, or when the NATS client takes no more.
pub(super) async fn send_acks<E: fmt::Display>(
    mut acks: mpsc::UnboundedReceiver<Ack>,
    channel: String,
    send: impl AsyncFn(Bytes) -> Result<(), E>,
) {
    const MOST_AT_ONCE: usize = 256;
    let mut waiting = Vec::with_capacity(MOST_AT_ONCE);
    let mut buffer = BytesMut::new();
    let mut ack = protocol::Ack { subject: channel, sequence: 0 };
    while acks.recv_many(&mut waiting, MOST_AT_ONCE).await > 0 {
        for Ack { sequence, .. } in waiting.drain(..) {
            ack.sequence = sequence;
            buffer.reserve(ack.encoded_len());
            ack.encode(&mut buffer).expect("the buffer has the room that was just reserved");
            let payload = buffer.split().freeze();
            if let Err(error) = send(payload).await {
                return tracing::debug!(%error, "The NATS client is closed; acks end");
            }
        }
    }
}

#[cfg(test)]
mod tests;
