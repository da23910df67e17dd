//! Messages sorted into orders and rejects, each with its message in hand.

use bytes::Bytes;
use stan::Message;

use crate::order::{Order, OrderUid, Reason};
use crate::store::NewReject;

/// Something that may be an order: a message off the channel, or a reject once more.
pub(super) trait Candidate {
    /// What was published.
    fn payload(&self) -> &Bytes;
    /// Its sequence in its channel.
    fn sequence(&self) -> u64;
}

impl Candidate for Message {
    fn payload(&self) -> &Bytes {
        &self.data
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// What a batch of messages holds.
pub(super) struct Batch<M = Message> {
    pub(super) orders: Vec<(M, Order)>,
    pub(super) rejects: Vec<Reject<M>>,
}

/// A message that is kept as a reject.
pub(super) struct Reject<M = Message> {
    pub(super) message: M,
    pub(super) reason: Reason,
    pub(super) detail: String,
    /// Of a conflict: whether it is the same JSON, written differently.
    pub(super) formatting_only: Option<bool>,
}

impl<M: Candidate> Batch<M> {
    pub(super) fn parse(messages: Vec<M>, max_message_bytes: usize) -> Self {
        let mut batch = Self { orders: Vec::with_capacity(messages.len()), rejects: Vec::new() };
        for message in messages {
            match Order::parse(message.payload().clone(), max_message_bytes) {
                Ok(order) => batch.orders.push((message, order)),
                Err(refusal) => batch.rejects.push(Reject {
                    message,
                    reason: refusal.reason,
                    detail: refusal.detail,
                    formatting_only: None,
                }),
            }
        }
        batch
    }
}

impl<M: Candidate> Reject<M> {
    pub(super) fn conflict(message: M, uid: &OrderUid, formatting_only: bool) -> Self {
        let how =
            if formatting_only { "the same content in other formatting" } else { "other content" };
        let detail = format!("order {uid} is stored already, with {how}");
        Self { message, reason: Reason::Conflict, detail, formatting_only: Some(formatting_only) }
    }

    pub(super) fn by_database(message: M, detail: String) -> Self {
        Self { message, reason: Reason::Database, detail, formatting_only: None }
    }

    pub(super) fn row<'a>(&'a self, channel: &'a str) -> NewReject<'a> {
        NewReject {
            channel,
            sequence: self.message.sequence(),
            reason: self.reason.as_str(),
            detail: &self.detail,
            formatting_only: self.formatting_only,
            payload: self.message.payload(),
        }
    }
}
