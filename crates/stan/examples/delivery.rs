//! Takes deliveries off the wire, for `benches/guard`, which counts the instructions.
//!
//! `delivery TIMES`: a delivery of 1 kB is decoded, queued, taken and acknowledged.
#![expect(dead_code, reason = "the module is that of a library")]

#[path = "../src/protocol.rs"]
mod protocol;

use std::sync::Arc;

use bytes::Bytes;
use deliveries::{Deliveries, Delivery, Message, Messages};
use futures_util::FutureExt as _;
use prost::Message as _;
use tokio::sync::mpsc;

use protocol::MsgProto;

/// Deliveries that come before they are taken.
const AT_ONCE: usize = 100;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let times = arguments.next().and_then(|times| times.parse().ok());
    let times: u64 = times.expect("usage: delivery TIMES");
    let deliveries = Deliveries::new(1 << 30);
    let messages = Messages::new(Arc::clone(&deliveries));
    let (sender, mut acks) = mpsc::unbounded_channel();
    deliveries.attach(sender, false);
    let payload = Bytes::from(vec![b'x'; 1_000]);
    for first in (1..=times).step_by(AT_ONCE) {
        for sequence in first..first + AT_ONCE as u64 {
            let delivery = MsgProto {
                sequence,
                subject: "orders".to_owned(),
                timestamp: 1,
                data: payload.clone(),
                ..MsgProto::default()
            };
            let wire = Bytes::from(delivery.encode_to_vec());
            let message = MsgProto::decode(wire).expect("what was encoded decodes");
            let MsgProto { sequence, timestamp, redelivered, redelivery_count, data, .. } = message;
            let number = 0;
            deliveries.offer(Delivery {
                sequence,
                timestamp,
                number,
                redelivered,
                redelivery_count,
                data,
            });
        }
        let taken = messages.recv_batch(AT_ONCE, usize::MAX).now_or_never();
        taken.expect("they have come").into_iter().for_each(Message::ack);
        for _ in 0..AT_ONCE {
            acks.try_recv().expect("each is acknowledged");
        }
    }
}
