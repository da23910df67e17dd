//! What is asked for, and what the replicas answer.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Expectation, Ledger, digest};

/// By then a replica must have learnt that an order was erased, whatever kept it from asking.
const LEARNT_WITHIN: Duration = Duration::from_secs(20);

impl Ledger {
    /// A uid to ask for: of an order just acknowledged, of any, of one yet to come, of none.
    pub(crate) fn pick(&self, rng: &mut fastrand::Rng) -> String {
        const RECENT: usize = 100;
        let history = self.history();
        let recent = |all: usize, rng: &mut fastrand::Rng| {
            (all > 0).then(|| all - 1 - rng.usize(0..all.min(RECENT)))
        };
        let acked = history.acked.len();
        let uid = match rng.u8(0..20) {
            0 => None,
            1..=5 => recent(history.announced.len(), rng).map(|at| &history.announced[at]),
            6..=12 => recent(acked, rng).map(|at| &history.acked[at].0),
            _ => (acked > 0).then(|| &history.acked[rng.usize(0..acked)].0),
        };
        uid.cloned().unwrap_or_else(|| format!("nobody-published-{:016x}", rng.u64(..)))
    }

    /// A replica served this.
    pub(crate) fn served(&self, replica: &str, uid: &str, body: &Bytes, asked: Instant) {
        let mut history = self.history();
        let history = &mut *history;
        history.tally.lookups += 1;
        let expectation =
            history.published.get(&digest(body)).map(|published| &published.expectation);
        let (kind, whose) = match expectation {
            Some(Expectation::Order(published)) if published == uid => ("", ""),
            Some(_) => ("wrong", "another's bytes"),
            None => ("unexpected", "bytes that nobody published"),
        };
        if !kind.is_empty() {
            history.tally.violation(kind, format!("{replica} serves {whose} as {uid}"));
        }
        if history.failover_window {
            // It may come from the memory of a replica that has yet to be restarted.
            return;
        }
        let is_late = |since: &Instant| asked.saturating_duration_since(*since) > LEARNT_WITHIN;
        if history.gone.contains(&(replica.to_owned(), uid.to_owned())) {
            let what = format!("{replica} serves {uid} again, which it had said to be erased");
            history.tally.violation("resurrected", what);
        } else if history.erased.get(uid).is_some_and(is_late) {
            let what = format!("{replica} serves {uid} {LEARNT_WITHIN:?} after it was erased");
            history.tally.violation("resurrected", what);
        }
        let first = history.served.entry(uid.to_owned()).or_insert_with(|| body.clone());
        if first != body {
            history
                .tally
                .violation("changed", format!("{replica} serves {uid} otherwise than before"));
        }
    }

    /// A replica said at `answered` that there is no such order, when asked at `asked`.
    pub(crate) fn denied(&self, replica: &str, uid: &str, asked: Instant, answered: Instant) {
        let mut history = self.history();
        history.tally.lookups += 1;
        history.tally.absent += 1;
        if history.failover_window || !history.acked_uids.contains(uid) {
            return;
        }
        let known = history.acked.iter().rev().find(|(known, _)| known == uid).map(|(_, at)| *at);
        if let Some(since) = known
            && since < asked
        {
            let late = answered.duration_since(since);
            history.tally.stale(late);
            history.tally.violation(
                "stale",
                format!("{replica} denies {uid} {late:?} after its acknowledgement"),
            );
        }
    }

    /// A replica said that the order was erased.
    pub(crate) fn gone(&self, replica: &str, uid: &str) {
        let mut history = self.history();
        history.tally.lookups += 1;
        history.tally.gone += 1;
        if history.erasing.contains(uid) {
            history.gone.insert((replica.to_owned(), uid.to_owned()));
        } else {
            let what = format!("{replica} says that {uid} was erased, which nobody did");
            history.tally.violation("wrong", what);
        }
    }

    pub(crate) fn cannot_tell(&self, took: Duration) {
        let mut history = self.history();
        history.tally.lookups += 1;
        history.tally.cannot_tell += 1;
        history.tally.slowest_cannot_tell = history.tally.slowest_cannot_tell.max(took);
    }

    pub(crate) fn no_answer(&self) {
        self.history().tally.no_answer += 1;
    }
}
