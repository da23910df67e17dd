//! The receiving end of a subscription.

use std::sync::Arc;

use futures_util::{Stream, stream};

use crate::message::Message;
use crate::queue::Deliveries;

/// The receiving end of a subscription. Clones take from the same queue, each message going to
/// one of them.
#[derive(Debug, Clone)]
pub struct Messages(Arc<Deliveries>);

impl Messages {
    /// Takes from this queue.
    #[must_use]
    pub fn new(deliveries: Arc<Deliveries>) -> Self {
        Self(deliveries)
    }

    /// The next message, or none when the stream has ended.
    pub async fn recv(&self) -> Option<Message> {
        Message::take(&self.0, 1, usize::MAX).await.pop()
    }

    /// Waits for a message, then takes all that waits, up to `max` messages and `max_bytes` of
    /// payload, but at least one. Empty when the stream has ended.
    pub async fn recv_batch(&self, max: usize, max_bytes: usize) -> Vec<Message> {
        Message::take(&self.0, max, max_bytes).await
    }

    /// The messages as a [`Stream`], which ends as [`Messages::recv`] does.
    pub fn into_stream(self) -> impl Stream<Item = Message> + Send + Unpin {
        Box::pin(stream::unfold(self, |messages| async {
            let message = messages.recv().await?;
            Some((message, messages))
        }))
    }
}
