//! What servers may lose: with an old primary, or with their power.

use std::collections::HashSet;

use tokio::sync::watch;

use super::Ledger;
use crate::origin::{Origin, Place};

impl Ledger {
    /// The new primary has only what these uids name: of the others, acknowledged or not yet, what
    /// was served may come out otherwise, because another of two conflicting orders may be the
    /// first to be put back.
    pub(crate) fn lost_with_a_primary(&self, present: &HashSet<String>) {
        let mut history = self.history();
        let history = &mut *history;
        history.failed_over = true;
        history.tally.primaries += 1;
        history.served.retain(|uid, _| present.contains(uid));
        history.tally.lost_and_repaired += history.acked_uids.difference(present).count() as u64;
    }

    /// Which life the servers of this origin are in.
    pub(crate) fn life(&self, origin: Origin) -> watch::Receiver<u32> {
        self.lives[&origin].subscribe()
    }

    /// The servers of this origin have lost their power, and what they had not confirmed with it:
    /// other messages may come in its place. All must be seen anew.
    pub(crate) fn power_was_cut(&self, origin: Origin) {
        let mut history = self.history();
        let history = &mut *history;
        let of_origin = |place: &Place| place.0 == origin;
        history.lost_power.insert(origin);
        history.unacked.retain(|place| !of_origin(place));
        history.vanished.extend(history.messages.extract_if(.., |place, _| of_origin(place)));
        self.lives[&origin].send_modify(|life| *life += 1);
    }
}
