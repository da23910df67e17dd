//! Messages sorted into orders and rejects, each with its message in hand.

use bytes::Bytes;
use order::{Order, OrderUid, Reason};
use stan::Message;

use crate::store::{NewOrder, NewReject};

/// Something that may be an order: a message off the channel, or a reject once more.
pub(crate) trait Candidate {
    /// The bytes of the message, as published.
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
pub(crate) struct Batch<M = Message> {
    pub(crate) orders: Vec<(M, Order)>,
    pub(crate) rejects: Vec<Reject<M>>,
}

/// A message that is kept as a reject.
pub(crate) struct Reject<M = Message> {
    pub(crate) message: M,
    pub(crate) reason: Reason,
    pub(crate) detail: String,
    /// Of a conflict: whether it is the same JSON, written differently.
    pub(crate) formatting_only: Option<bool>,
}

impl<M: Candidate> Batch<M> {
    pub(crate) fn parse(messages: Vec<M>, max_message_bytes: usize) -> Self {
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

    /// The messages alone, in no order.
    pub(crate) fn into_messages(self) -> impl Iterator<Item = M> {
        let orders = self.orders.into_iter().map(|(message, _)| message);
        orders.chain(self.rejects.into_iter().map(|reject| reject.message))
    }
}

/// The orders of a batch as the store takes them; `source` tells the column of that name.
pub(crate) fn rows<'a, M: Candidate>(
    orders: &'a [(M, Order)],
    source: impl Fn(&'a M) -> Option<&'a str>,
) -> Vec<NewOrder<'a>> {
    orders
        .iter()
        .map(|(message, order)| NewOrder {
            uid: order.uid().as_str(),
            document: order.document(),
            sequence: message.sequence(),
            source: source(message),
        })
        .collect()
}

impl<M: Candidate> Reject<M> {
    pub(crate) fn conflict(message: M, uid: &OrderUid, formatting_only: bool) -> Self {
        let how =
            if formatting_only { "the same content in other formatting" } else { "other content" };
        let detail = format!("order {uid} is stored already, with {how}");
        Self { message, reason: Reason::Conflict, detail, formatting_only: Some(formatting_only) }
    }

    pub(crate) fn by_database(message: M, detail: String) -> Self {
        Self { message, reason: Reason::Database, detail, formatting_only: None }
    }

    pub(crate) fn row<'a>(&'a self, channel: &'a str) -> NewReject<'a> {
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
