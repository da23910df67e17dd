//! What is erased.

use std::collections::HashMap;
use std::time::Instant;

use super::{Expectation, Ledger};

impl Ledger {
    /// Some orders that were acknowledged and not erased, which are about to be: half of them with
    /// rivals, whose rejects must go along.
    pub(crate) fn begin_erasing(&self, count: usize, rng: &mut fastrand::Rng) -> Vec<String> {
        let mut history = self.history();
        let mut left: Vec<String> = history
            .acked_uids
            .iter()
            .filter(|uid| !history.erasing.contains(*uid))
            .cloned()
            .collect();
        left.sort_unstable();
        rng.shuffle(&mut left);
        let mut payloads: HashMap<&str, u32> = HashMap::new();
        for message in history.published.values() {
            if let Expectation::Order(uid) = &message.expectation {
                *payloads.entry(uid).or_default() += 1;
            }
        }
        let has_rivals = |uid: &String| payloads.get(&**uid).is_some_and(|count| *count > 1);
        // Others as well: what has no reject must not come back either.
        let (mut victims, others): (Vec<_>, Vec<_>) = left.into_iter().partition(has_rivals);
        victims.truncate(count / 2);
        let wanted = count - victims.len();
        victims.extend(others.into_iter().take(wanted));
        history.erasing.extend(victims.iter().cloned());
        victims
    }

    /// These are erased.
    pub(crate) fn erased(&self, uids: &[String]) {
        let (mut history, now) = (self.history(), Instant::now());
        history.tally.erased += uids.len() as u64;
        history.erased.extend(uids.iter().map(|uid| (uid.clone(), now)));
    }

    pub(crate) fn all_erased(&self) -> Vec<String> {
        self.history().erased.keys().cloned().collect()
    }
}
