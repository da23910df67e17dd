//! What was published, what the channel holds, what was acknowledged and what was served.
//!
//! Everybody writes down here what they see, and some contradictions show at once: an order
//! that changes, a "no" after an acknowledgement. The rest is left to the checker at the end.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// By then a replica must have learnt that an order was erased, whatever kept it from asking.
const LEARNT_WITHIN: Duration = Duration::from_secs(20);

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

    pub(crate) fn cannot_tell(&self, took: Duration) {
        let mut history = self.history();
        history.tally.lookups += 1;
        history.tally.cannot_tell += 1;
        history.tally.slowest_cannot_tell = history.tally.slowest_cannot_tell.max(took);
    }

    pub(crate) fn no_answer(&self) {
        self.history().tally.no_answer += 1;
    }

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

    pub(crate) fn violation(&self, kind: &'static str, what: String) {
        self.history().tally.violation(kind, what);
    }
}
