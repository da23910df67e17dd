//! What limits deleted before the group got it, and whether the channel or stream began anew,
//! remembered for the life of the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use humantime::format_rfc3339_seconds;

use crate::broker::monitor::Channel;
use crate::ranges::Ranges;

/// The losses seen so far, of a channel or of a stream. Clones share them.
///
/// The broker says nothing when its limits delete a message, and the group passes over the gap,
/// so a loss shows only for as long as the group has not moved on. Two looks are compared for
/// that: what was deleted between them, beyond what the group was known to have at the earlier
/// one, is perhaps lost. Nobody tells whether the group had got it before.
#[derive(Debug, Clone, Default)]
pub struct LossTracker(Arc<Mutex<Tracked>>);

#[derive(Debug, Default)]
struct Tracked {
    /// The highest sequence the channel is known to have had.
    highest: u64,
    /// When the stream was made, if that is told.
    created: Option<String>,
    /// The latest time that the channel began anew, in words.
    reset: Option<String>,
    /// Where the group was at the last look; none if it had not begun.
    place: Option<Place>,
    /// The highest sequence that is in lost or perhaps.
    recorded_to: u64,
    lost: Ranges,
    perhaps: Ranges,
}

/// A channel or a stream at one look.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// How many messages are stored.
    pub(super) messages: u64,
    /// Number of the oldest of them.
    pub(super) first: u64,
    /// Number of the newest message, be it stored or not.
    pub(super) last: u64,
    /// When it was made, where that is told: at another time another one was.
    pub(super) created: Option<String>,
    /// Where the group is; none if it has not begun.
    pub(super) group: Option<Place>,
}

/// Where a group is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Number of the newest message that was sent to it.
    pub(super) sent: u64,
    /// It is known to have all up to this one.
    pub(super) kept: u64,
}

impl Seen {
    /// A channel, and the newest message sent to the group, if it has begun. What the group has
    /// acknowledged is not told.
    pub(super) fn of_channel(channel: &Channel, last_sent: Option<u64>) -> Self {
        Self {
            messages: channel.msgs,
            first: channel.first_seq,
            last: channel.last_seq,
            created: None,
            group: last_sent.map(|sent| Place { sent, kept: sent }),
        }
    }
}

/// New losses of one look, in words; empty if there are none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct NewLosses {
    /// Sequences that were deleted ahead of the group.
    pub(super) lost: String,
    /// Sequences that were deleted between two looks.
    pub(super) perhaps: String,
    /// That the channel began anew.
    pub(super) reset: String,
}

impl LossTracker {
    fn tracked(&self) -> MutexGuard<'_, Tracked> {
        // Nothing in the critical sections panics half way, so a poisoned tracked is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a sequence that was stored before this process began.
    pub(super) fn remember_stored(&self, sequence: u64) {
        let mut tracked = self.tracked();
        tracked.highest = tracked.highest.max(sequence);
    }

    /// How and when the channel began anew, if it did.
    #[must_use]
    pub fn describe_reset(&self) -> Option<String> {
        self.tracked().reset.clone()
    }

    /// Takes a look.
    pub(super) fn observe(&self, seen: &Seen) -> NewLosses {
        self.tracked().observe(seen)
    }

    /// How many messages are lost, and how many perhaps.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let tracked = self.tracked();
        (tracked.lost.count(), tracked.perhaps.count())
    }

    /// What is lost and what is perhaps, each in words; none if nothing is.
    #[must_use]
    pub fn describe(&self) -> (Option<String>, Option<String>) {
        let tracked = self.tracked();
        let words = |ranges: &Ranges| (!ranges.is_empty()).then(|| format!("sequences {ranges}"));
        (words(&tracked.lost), words(&tracked.perhaps))
    }
}

impl Tracked {
    fn observe(&mut self, seen: &Seen) -> NewLosses {
        let reset = self.find_reset(seen);
        NewLosses { reset, ..self.find_losses(seen) }
    }

    /// Sequences never go back, so a lower one is that of another channel or stream under the same
    /// name. Of a channel 0 says nothing: a broker that reads its store, or stands by, knows none.
    fn find_reset(&mut self, seen: &Seen) -> String {
        if seen.last == 0 && seen.created.is_none() {
            return String::new();
        }
        let highest = std::mem::replace(&mut self.highest, seen.last);
        let created = std::mem::replace(&mut self.created, seen.created.clone());
        let now = format_rfc3339_seconds(SystemTime::now());
        let reset = if seen.last < highest {
            let last = seen.last;
            format!("its newest sequence was {highest} or more before and was {last} at {now}")
        } else if let (Some(before), Some(present)) = (created, &self.created)
            && before != *present
        {
            format!("it was made at {present}, and the one before at {before}")
        } else {
            return String::new();
        };
        // The new one counts from 1 again.
        (self.place, self.recorded_to) = (None, 0);
        self.reset = Some(reset.clone());
        reset
    }

    fn find_losses(&mut self, seen: &Seen) -> NewLosses {
        // A group that has not begun has lost nothing: it begins with what there is.
        let Some(group) = seen.group else {
            self.place = None;
            return NewLosses::default();
        };
        // The foremost member may have left since, or the group have begun anew; what it was known
        // to have it has still.
        let before = self.place.unwrap_or(group);
        let now = Place { sent: group.sent.max(before.sent), kept: group.kept.max(before.kept) };
        self.place = Some(now);
        let deleted_to = match seen.messages {
            0 => seen.last,
            _ => seen.first.saturating_sub(1),
        };
        let perhaps = (before.kept.max(self.recorded_to) + 1, deleted_to.min(now.sent));
        let lost = (now.sent.max(self.recorded_to) + 1, deleted_to);
        self.recorded_to = self.recorded_to.max(deleted_to);
        let lost = add(&mut self.lost, lost);
        NewLosses { lost, perhaps: add(&mut self.perhaps, perhaps), reset: String::new() }
    }
}

fn add(ranges: &mut Ranges, (from, to): (u64, u64)) -> String {
    if from > to {
        return String::new();
    }
    ranges.add(from, to);
    let mut new = Ranges::default();
    new.add(from, to);
    new.to_string()
}

#[cfg(test)]
mod tests;
