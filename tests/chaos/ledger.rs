//! What was published, what the channel holds, what was acknowledged and what was served.
//!
//! Everybody writes down here what they see, and some contradictions show at once: an order
//! that changes, a "no" after an acknowledgement. The rest is left to the checker at the end.

mod answers;
mod erasures;
mod losses;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use order::generate::{Expected, Generated};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::origin::{Origin, Place};
use crate::report::Tally;

pub(crate) type Digest = [u8; 32];

pub(crate) fn digest(payload: &[u8]) -> Digest {
    Sha256::digest(payload).into()
}

/// Nanoseconds since 1970, as the broker stamps messages.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// What must become of a message with certain bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// It is an order: stored, or a reject when other bytes have its uid.
    Order(String),
    /// It is a reject with this reason.
    Refused(&'static str),
}

/// How a publish ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The broker has it.
    Confirmed,
    /// Nobody knows.
    Maybe,
    /// It was never sent.
    Unsent,
}

/// Everything that was published with the same bytes.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) payload: Bytes,
    pub(crate) expectation: Expectation,
    pub(crate) confirmed: u64,
    pub(crate) maybe: u64,
    pub(crate) unsent: u64,
}

/// One message of the channel or the stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) digest: Digest,
    pub(crate) timestamp: i64,
    pub(crate) acked: bool,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) published: HashMap<Digest, Published>,
    /// Uids of messages that are about to be published.
    announced: Vec<String>,
    /// As an ordinary subscriber sees them.
    pub(crate) messages: BTreeMap<Place, Entry>,
    unacked: BTreeSet<Place>,
    /// What was seen before the power of its server was cut, and not again since.
    pub(crate) vanished: BTreeMap<Place, Entry>,
    /// Whose servers have lost their power.
    pub(crate) lost_power: BTreeSet<Origin>,
    /// When the newest acknowledged message was stored, in nanoseconds since 1970.
    newest_acked: BTreeMap<Origin, i64>,
    /// Uids of acknowledged orders, and when that was seen first.
    acked: Vec<(String, Instant)>,
    acked_uids: HashSet<String>,
    /// What was served first under each uid.
    pub(crate) served: HashMap<String, Bytes>,
    /// Uids of orders that are being erased, or were.
    pub(crate) erasing: HashSet<String>,
    /// Those that were, and when that was done.
    pub(crate) erased: HashMap<String, Instant>,
    /// Which replica has said of which uid that it was erased.
    gone: HashSet<(String, String)>,
    /// While commits that an old primary lost are being put back, what contradicts them is no
    /// violation.
    pub(crate) failover_window: bool,
    /// Whether a primary took commits along.
    pub(crate) failed_over: bool,
    pub(crate) tally: Tally,
}

/// The history, shared by all who write in it.
#[derive(Debug)]
pub(crate) struct Ledger {
    history: Mutex<History>,
    /// How often the servers of each origin have lost their power.
    lives: BTreeMap<Origin, watch::Sender<u32>>,
}

impl Ledger {
    /// With messages from these.
    pub(crate) fn new(origins: &[Origin]) -> Self {
        let newest_acked = origins.iter().map(|origin| (*origin, 0)).collect();
        let lives = origins.iter().map(|origin| (*origin, watch::Sender::new(0))).collect();
        Self { history: Mutex::new(History { newest_acked, ..History::default() }), lives }
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        // A panic of one writer is reported on its own; the history is whole between statements.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn announce(&self, uid: &str) {
        self.history().announced.push(uid.to_owned());
    }

    /// A uid that is published soon.
    pub(crate) fn next_announced(&self) -> Option<String> {
        self.history().announced.last().cloned()
    }

    /// A message is about to be sent.
    pub(crate) fn publish(&self, message: &Generated) -> Digest {
        let digest = digest(&message.payload);
        let expectation = match (message.expected, &message.uid) {
            (Expected::Refused(reason), _) => Expectation::Refused(reason.as_str()),
            (_, Some(uid)) => Expectation::Order(uid.as_str().to_owned()),
            (_, None) => Expectation::Refused("an order without a uid"),
        };
        let payload = message.payload.clone();
        let fresh = Published { payload, expectation, confirmed: 0, maybe: 0, unsent: 0 };
        self.history().published.entry(digest).or_insert(fresh);
        digest
    }

    pub(crate) fn published(&self, digest: Digest, outcome: Outcome) {
        let mut history = self.history();
        let history = &mut *history;
        let Some(published) = history.published.get_mut(&digest) else { return };
        let (one, all) = match outcome {
            Outcome::Confirmed => (&mut published.confirmed, &mut history.tally.confirmed),
            Outcome::Maybe => (&mut published.maybe, &mut history.tally.maybe),
            Outcome::Unsent => (&mut published.unsent, &mut history.tally.unsent),
        };
        *one += 1;
        *all += 1;
    }

    /// The channel or the stream holds this message, as seen in one life of its servers.
    pub(crate) fn observe(&self, life: u32, place: Place, timestamp: i64, payload: &[u8]) {
        let digest = digest(payload);
        let mut history = self.history();
        if life != *self.life(place.0).borrow() {
            return;
        }
        if !history.published.contains_key(&digest) {
            history
                .tally
                .violation("unexpected", format!("message {place:?} was published by nobody"));
        }
        let history = &mut *history;
        let known = history.vanished.get(&place).filter(|entry| entry.digest == digest);
        let acked = known.is_some_and(|entry| entry.acked);
        if known.is_some() {
            history.vanished.remove(&place);
        }
        let before = history.messages.entry(place).or_insert_with(|| {
            if !acked {
                history.unacked.insert(place);
            }
            Entry { digest, timestamp, acked }
        });
        let before = before.digest;
        if before != digest {
            history.tally.violation("wrong", format!("a server changed message {place:?}"));
        }
    }

    /// What is known of a message that was acknowledged: its digest and, of an order, its uid.
    pub(crate) fn message(&self, place: Place) -> Option<(Digest, Option<String>)> {
        let history = self.history();
        let digest = history.messages.get(&place)?.digest;
        let uid = match &history.published.get(&digest)?.expectation {
            Expectation::Order(uid) => Some(uid.clone()),
            Expectation::Refused(_) => None,
        };
        Some((digest, uid))
    }

    /// The service has acknowledged this message, which bears this digest.
    pub(crate) fn acked(&self, place: Place, digest: Digest, uid: Option<String>, at: Instant) {
        let mut history = self.history();
        let history = &mut *history;
        // After a cut of the power another message may have the place.
        if let Some(entry) = history.messages.get_mut(&place)
            && entry.digest == digest
        {
            entry.acked = true;
            let newest = history.newest_acked.entry(place.0).or_default();
            *newest = entry.timestamp.max(*newest);
            history.unacked.remove(&place);
        } else if let Some(entry) = history.vanished.get_mut(&place)
            && entry.digest == digest
        {
            // It was known before the cut, and is not seen again yet.
            entry.acked = true;
        }
        if let Some(uid) = uid
            && history.acked_uids.insert(uid.clone())
        {
            history.acked.push((uid, at));
        }
    }

    /// Whether something published after `moment` is acknowledged, of each origin.
    pub(crate) fn flows_since(&self, moment: i64) -> bool {
        let history = self.history();
        history.newest_acked.values().all(|newest| *newest > moment)
    }

    /// Whether everything published before `moment` is acknowledged.
    pub(crate) fn has_caught_up_with(&self, moment: i64) -> bool {
        // A server may be away, and the observer not there yet.
        self.flows_since(moment) && {
            let history = self.history();
            let mut unacked =
                history.unacked.iter().filter_map(|place| history.messages.get(place));
            unacked.all(|entry| entry.timestamp > moment)
        }
    }

    pub(crate) fn violation(&self, kind: &'static str, what: String) {
        self.history().tally.violation(kind, what);
    }
}
