//! Messages sorted into orders and rejects, each with its message in hand.

use stan::Message;

use crate::order::{Order, OrderUid, Reason};
use crate::store::NewReject;

/// What a batch of messages holds.
pub(crate) struct Batch {
    pub(crate) orders: Vec<(Message, Order)>,
    pub(crate) rejects: Vec<Reject>,
}

/// A message that is kept as a reject.
pub(crate) struct Reject {
    pub(crate) message: Message,
    pub(crate) reason: Reason,
    pub(crate) detail: String,
    /// Of a conflict: whether it is the same JSON, written differently.
    pub(crate) formatting_only: Option<bool>,
}

impl Batch {
    pub(crate) fn parse(messages: Vec<Message>, max_message_bytes: usize) -> Self {
        let mut batch = Self { orders: Vec::with_capacity(messages.len()), rejects: Vec::new() };
        for message in messages {
            match Order::parse(message.data.clone(), max_message_bytes) {
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
    pub(crate) fn into_messages(self) -> impl Iterator<Item = Message> {
        let orders = self.orders.into_iter().map(|(message, _)| message);
        orders.chain(self.rejects.into_iter().map(|reject| reject.message))
    }
}

impl Reject {
    pub(crate) fn conflict(message: Message, uid: &OrderUid, formatting_only: bool) -> Self {
        let how =
            if formatting_only { "the same content in other formatting" } else { "other content" };
        let detail = format!("order {uid} is stored already, with {how}");
        Self { message, reason: Reason::Conflict, detail, formatting_only: Some(formatting_only) }
    }

    pub(crate) fn by_database(message: Message, detail: String) -> Self {
        Self { message, reason: Reason::Database, detail, formatting_only: None }
    }

    pub(crate) fn row<'a>(&'a self, channel: &'a str) -> NewReject<'a> {
        NewReject {
            channel,
            sequence: self.message.sequence,
            reason: self.reason.as_str(),
            detail: &self.detail,
            formatting_only: self.formatting_only,
            payload: &self.message.data,
        }
    }
}
