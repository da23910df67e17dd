//! Sends acknowledgements to where the consumer takes them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use deliveries::Ack;
use tokio::sync::mpsc;

use crate::reply::AckPrefix;

/// Where the acks of a consumer go, as its last delivery told.
#[derive(Debug, Clone)]
pub(super) struct AckTarget(Arc<Mutex<AckPrefix>>);

impl AckTarget {
    pub(super) fn new(prefix: AckPrefix) -> Self {
        Self(Arc::new(Mutex::new(prefix)))
    }

    pub(super) fn get(&self) -> AckPrefix {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, prefix: AckPrefix) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = prefix;
    }
}

pub(super) const ACK: Bytes = Bytes::from_static(b"+ACK");
pub(super) const NAK: Bytes = Bytes::from_static(b"-NAK");

/// Publishes each ack. Ends when their sender is gone and the last of them is sent, when the NATS
/// client takes no more, or when the link is not the one that `holds` was made for: the client
/// would keep them and send them over the next link, where the same numbers may mean messages of
/// another stream.
pub(super) async fn send<E: fmt::Display>(
    mut acks: mpsc::UnboundedReceiver<Ack>,
    target: AckTarget,
    holds: impl Fn() -> bool,
    publish: impl AsyncFn(String, Bytes) -> Result<(), E>,
) {
    const MOST_AT_ONCE: usize = 256;
    let mut waiting = Vec::with_capacity(MOST_AT_ONCE);
    while acks.recv_many(&mut waiting, MOST_AT_ONCE).await > 0 {
        let prefix = target.get();
        if !holds() {
            return tracing::debug!("The link has changed; acks wait for the next one");
        }
        for ack in waiting.drain(..) {
            if let Err(error) = publish(prefix.subject(&ack), ACK).await {
                return tracing::debug!(%error, "The NATS client is closed; acks end");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use futures_util::FutureExt as _;

    use super::*;

    fn target() -> AckTarget {
        AckTarget::new(AckPrefix::of("S", "c"))
    }

    fn ack(sequence: u64) -> Ack {
        Ack { sequence, timestamp: 5, number: sequence + 1, redelivery_count: 0 }
    }

    #[tokio::test]
    async fn acks_are_sent_in_order_to_the_last_after_their_sender_is_gone() {
        let (sender, acks) = mpsc::unbounded_channel();
        // More than are taken at once.
        (1..=1_000).for_each(|sequence| sender.send(ack(sequence)).expect("taken"));
        drop(sender);
        let sent = RefCell::new(Vec::new());
        let publish = async |subject: String, payload: Bytes| {
            assert_eq!(payload, "+ACK");
            sent.borrow_mut().push(subject);
            Ok::<(), fmt::Error>(())
        };
        send(acks, target(), || true, publish).await;
        let expected =
            (1..=1_000).map(|sequence| format!("$JS.ACK.S.c.1.{sequence}.{}.5.0", sequence + 1));
        assert!(sent.into_inner().into_iter().eq(expected));
    }

    #[test]
    fn nothing_is_sent_over_another_link_or_a_closed_one_and_later_acks_are_kept() {
        for (holds, answer, attempts) in [(false, Ok(()), 0), (true, Err(fmt::Error), 1)] {
            let (sender, acks) = mpsc::unbounded_channel();
            sender.send(ack(1)).expect("taken");
            let count = Cell::new(0);
            let publish = async |_, _| {
                count.set(count.get() + 1);
                answer
            };
            let ended = send(acks, target(), || holds, publish).now_or_never();
            assert!(ended.is_some(), "nothing is left to wait for");
            assert_eq!(count.get(), attempts);
            assert!(sender.is_closed());
        }
    }
}
