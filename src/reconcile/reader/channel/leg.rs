//! One subscription of the reader.

use std::collections::VecDeque;

use stan::{Message, Subscription};

/// A subscription, and what of it is not handed out yet.
pub(super) struct Leg {
    pub(super) subscription: Subscription,
    /// The sequence that it was to begin with.
    pub(super) begin: u64,
    /// Taken from the subscription and not handed out yet.
    pub(super) held: VecDeque<Message>,
    /// Whether nothing was handed out yet.
    pub(super) fresh: bool,
}

impl Leg {
    /// Hands out the messages that follow each other from `next` on, up to `last`. What is left
    /// with a lower sequence is of another channel than the message before.
    pub(super) fn following(
        &mut self,
        next: &mut u64,
        last: Option<u64>,
        previous: &mut Option<(u64, i64)>,
    ) -> Vec<Message> {
        let mut following = Vec::with_capacity(self.held.len());
        while let Some(message) = self.held.pop_front() {
            let id = (message.sequence, message.timestamp);
            let is_other = previous.is_some_and(|previous| previous.0 == id.0 && previous != id);
            if (self.begin..*next).contains(&message.sequence) && !is_other {
                // Sent again, because its ack was late or lost, or to be compared.
                self.fresh = false;
                message.ack();
            } else if message.sequence == *next && last.is_none_or(|last| *next <= last) {
                *next += 1;
                *previous = Some(id);
                self.fresh = false;
                following.push(message);
            } else {
                self.held.push_front(message);
                break;
            }
        }
        following
    }
}
