//! A delivered message, with its acknowledgement travelling along.

use std::sync::Arc;

use bytes::Bytes;

use crate::queue::{Deliveries, Delivery};

/// A message of a channel or stream. It is acknowledged by [`Message::ack`]; dropped without it, the
/// server sends it again after the ack wait.
#[derive(Debug)]
pub struct Message {
    /// Number of the message within its channel or stream, from 1.
    pub sequence: u64,
    /// When the server stored it, in nanoseconds since 1970.
    pub timestamp: i64,
    /// Whether the server sent it before, to us or to another member.
    pub redelivered: bool,
    /// How often it was sent again, as the server counts.
    pub redelivery_count: u32,
    /// The payload, as it was published.
    pub data: Bytes,
    deliveries: Arc<Deliveries>,
    acked: bool,
}

impl Message {
    /// Takes what waits in the queue, as [`Deliveries::take`].
    pub(crate) async fn take(
        deliveries: &Arc<Deliveries>,
        max: usize,
        max_bytes: usize,
    ) -> Vec<Self> {
        let taken = deliveries.take(max, max_bytes).await;
        taken.into_iter().map(|delivery| Self::new(delivery, Arc::clone(deliveries))).collect()
    }

    fn new(delivery: Delivery, deliveries: Arc<Deliveries>) -> Self {
        let Delivery { sequence, timestamp, redelivered, redelivery_count, data, .. } = delivery;
        let acked = false;
        Self { sequence, timestamp, redelivered, redelivery_count, data, deliveries, acked }
    }

    /// Acknowledges: the server will not send the message again.
    ///
    /// It never waits: the acknowledgement is queued and sent by a task of the client, to
    /// wherever the server takes it by then. When the registration is lost meanwhile, it is kept
    /// until the server sends the message again, and answered then.
    ///
    /// It takes the message, so that nothing is acknowledged twice:
    ///
    /// ```compile_fail,E0382
    /// # async fn example(messages: deliveries::Messages) {
    /// let message = messages.recv().await.unwrap();
    /// message.ack();
    /// message.ack();
    /// # }
    /// ```
    pub fn ack(mut self) {
        self.acked = true;
        self.deliveries.ack(self.sequence, self.timestamp);
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        if !self.acked {
            self.deliveries.release(self.sequence, self.timestamp);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_message_is_acked_by_its_user_and_released_when_dropped() {
        let deliveries = Deliveries::new(1000);
        let (sender, mut acks) = mpsc::unbounded_channel();
        deliveries.attach(sender, false);
        for sequence in 1..=2 {
            deliveries.offer(Delivery { sequence, ..Delivery::default() });
        }
        let mut taken = Message::take(&deliveries, 2, usize::MAX).await;
        taken.pop().expect("the second").ack();
        assert_eq!(acks.try_recv().map(|ack| ack.sequence), Ok(2));
        assert_eq!(deliveries.depth().in_hand, 1);
        drop(taken);
        assert!(acks.try_recv().is_err(), "a dropped message is not acknowledged");
        assert_eq!(deliveries.depth().in_hand, 0);
    }
}
