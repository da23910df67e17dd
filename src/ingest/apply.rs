//! What the outcomes of a batch mean for its messages: the one place that says so.

use bytes::Bytes;
use order::{Order, OrderUid};

use super::batch::{Candidate, Reject};
use crate::store::Outcome;

/// The messages of a batch by what must be done with them now.
pub(crate) struct Applied<M> {
    /// New orders, committed.
    pub(crate) stored: Vec<(M, Order)>,
    /// Orders whose very bytes were stored before.
    pub(crate) duplicates: Vec<(M, Order)>,
    /// Messages that must be kept as rejects: conflicts, and what Postgres refused.
    pub(crate) rejects: Vec<Reject<M>>,
    /// Orders that were erased and are not stored again.
    pub(crate) erased: Vec<(M, Order)>,
    /// Orders that must be sent again: nothing is known of them.
    pub(crate) indeterminate: Vec<(M, Order)>,
    /// What is stored under the ids of conflicts.
    pub(crate) winners: Vec<(OrderUid, Bytes)>,
}

impl<M: Candidate> Applied<M> {
    /// `outcomes` are those of `orders`, in the same order.
    pub(crate) fn new(orders: Vec<(M, Order)>, outcomes: Vec<Outcome>) -> Self {
        let mut applied = Self {
            stored: Vec::with_capacity(orders.len()),
            duplicates: Vec::new(),
            rejects: Vec::new(),
            erased: Vec::new(),
            indeterminate: Vec::new(),
            winners: Vec::new(),
        };
        for ((message, order), outcome) in orders.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Stored => applied.stored.push((message, order)),
                Outcome::Duplicate => applied.duplicates.push((message, order)),
                Outcome::Erased => applied.erased.push((message, order)),
                Outcome::Indeterminate => applied.indeterminate.push((message, order)),
                Outcome::Conflict { kept, formatting_only } => {
                    applied.rejects.push(Reject::conflict(message, order.uid(), formatting_only));
                    applied.winners.push((order.into_parts().0, kept));
                }
                Outcome::Refused { detail } => {
                    applied.rejects.push(Reject::by_database(message, detail));
                }
            }
        }
        applied
    }
}
