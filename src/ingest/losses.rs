//! What the broker's limits deleted before the group got it, and whether the channel began anew,
//! remembered for the life of the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use humantime::format_rfc3339_seconds;

use crate::broker::monitor::Channel;
use crate::ranges::Ranges;

/// The losses seen so far. Clones share them.
///
/// The broker says nothing when its limits delete a message, and the group passes over the gap,
/// so a loss shows only for as long as the group has not moved on. Two looks are compared for
/// that: what was deleted between them, beyond the group's position at the earlier one, is
/// perhaps lost. The monitor does not tell whether the group had got it before.
#[derive(Debug, Clone, Default)]
pub struct LossTracker(Arc<Mutex<Tracked>>);

#[derive(Debug, Default)]
struct Tracked {
    /// The highest sequence the channel is known to have had.
    highest: u64,
    /// The latest time that the channel began anew, in words.
    reset: Option<String>,
    /// The group's position at the last look; none if it had not begun.
    position: Option<u64>,
    /// The highest sequence that is in lost or perhaps.
    recorded_to: u64,
    lost: Ranges,
    perhaps: Ranges,
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

    /// Takes a look: the channel, and the newest message sent to the group, if it has begun.
    pub(super) fn observe(&self, channel: &Channel, last_sent: Option<u64>) -> NewLosses {
        self.tracked().observe(channel, last_sent)
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
    fn observe(&mut self, channel: &Channel, last_sent: Option<u64>) -> NewLosses {
        let reset = self.find_reset(channel.last_seq);
        NewLosses { reset, ..self.find_losses(channel, last_sent) }
    }

    /// A channel's sequences never go back, so a lower one is that of another channel under the
    /// same name. 0 says nothing: a broker that reads its store, or stands by, knows no channel.
    fn find_reset(&mut self, last_seq: u64) -> String {
        if last_seq == 0 {
            return String::new();
        }
        let highest = std::mem::replace(&mut self.highest, last_seq);
        if last_seq >= highest {
            return String::new();
        }
        let now = format_rfc3339_seconds(SystemTime::now());
        let reset =
            format!("its newest sequence was {highest} or more before and was {last_seq} at {now}");
        self.reset = Some(reset.clone());
        reset
    }

    fn find_losses(&mut self, channel: &Channel, last_sent: Option<u64>) -> NewLosses {
        if self.position.is_some_and(|position| position > channel.last_seq) {
            // The broker has a new store and counts from 1 again.
            (self.position, self.recorded_to) = (None, 0);
        }
        // A group that has not begun has lost nothing: it begins with what there is.
        let Some(last_sent) = last_sent else {
            self.position = None;
            return NewLosses::default();
        };
        // The foremost member may have left since; its position is still the group's.
        let before = self.position.unwrap_or(last_sent);
        let now = last_sent.max(before);
        self.position = Some(now);
        let deleted_to = match channel.msgs {
            0 => channel.last_seq,
            _ => channel.first_seq.saturating_sub(1),
        };
        let perhaps = (before.max(self.recorded_to) + 1, deleted_to.min(now));
        let lost = (now.max(self.recorded_to) + 1, deleted_to);
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
mod tests {
    use super::*;

    fn channel(first_seq: u64, last_seq: u64) -> Channel {
        let msgs = (last_seq + 1).saturating_sub(first_seq);
        Channel { msgs, first_seq, last_seq, subscriptions: Vec::new() }
    }

    fn lost(words: &str) -> NewLosses {
        NewLosses { lost: words.to_owned(), ..NewLosses::default() }
    }

    fn perhaps(words: &str) -> NewLosses {
        NewLosses { perhaps: words.to_owned(), ..NewLosses::default() }
    }

    #[test]
    fn what_is_deleted_ahead_of_the_group_is_lost_and_told_once() {
        let losses = LossTracker::default();
        assert_eq!(losses.observe(&channel(1, 10), Some(10)), NewLosses::default());
        assert_eq!(losses.observe(&channel(71, 100), Some(10)), lost("11–70"));
        assert_eq!(losses.observe(&channel(71, 100), Some(10)), NewLosses::default());
        assert_eq!(losses.observe(&channel(81, 110), Some(10)), lost("71–80"));
        assert_eq!(losses.describe(), (Some("sequences 11–80".to_owned()), None));
    }

    #[test]
    fn a_loss_is_remembered_when_the_group_has_moved_past() {
        let losses = LossTracker::default();
        assert_eq!(losses.observe(&channel(71, 100), Some(10)), lost("11–70"));
        assert_eq!(losses.observe(&channel(71, 100), Some(100)), NewLosses::default());
        assert_eq!(losses.counts(), (60, 0));
    }

    #[test]
    fn a_group_that_jumped_between_two_looks_has_perhaps_lost_what_it_jumped_over() {
        let losses = LossTracker::default();
        assert_eq!(losses.observe(&channel(1, 10), Some(10)), NewLosses::default());
        assert_eq!(losses.observe(&channel(71, 100), Some(100)), perhaps("11–70"));
        assert_eq!(losses.observe(&channel(71, 100), Some(100)), NewLosses::default());
        assert_eq!(losses.counts(), (0, 60));
    }

    #[test]
    fn the_deletion_of_what_the_group_had_at_the_look_before_is_no_loss() {
        let losses = LossTracker::default();
        assert_eq!(losses.observe(&channel(1, 100), Some(90)), NewLosses::default());
        assert_eq!(losses.observe(&channel(91, 190), Some(150)), NewLosses::default());
        assert_eq!(losses.counts(), (0, 0));
    }

    #[test]
    fn a_foremost_member_that_leaves_does_not_take_the_groups_position_along() {
        let losses = LossTracker::default();
        assert_eq!(losses.observe(&channel(1, 100), Some(90)), NewLosses::default());
        assert_eq!(losses.observe(&channel(76, 100), Some(70)), NewLosses::default());
    }

    #[test]
    fn an_empty_channel_whose_messages_expired_has_lost_what_the_group_had_not_got() {
        let losses = LossTracker::default();
        let expired = Channel { last_seq: 20, ..Channel::default() };
        assert_eq!(losses.observe(&expired, Some(15)), lost("16–20"));
    }

    #[test]
    fn a_group_that_has_not_begun_and_a_channel_that_is_new_have_lost_nothing() {
        let losses = LossTracker::default();
        assert_eq!(losses.observe(&channel(71, 100), None), NewLosses::default());
        assert_eq!(losses.observe(&Channel::default(), Some(0)), NewLosses::default());
    }

    #[test]
    fn a_broker_with_a_new_store_is_watched_from_its_beginning() {
        let losses = LossTracker::default();
        assert_eq!(losses.observe(&channel(71, 100), Some(10)), lost("11–70"));
        assert_eq!(losses.observe(&channel(71, 100), Some(100)), NewLosses::default());
        let new = losses.observe(&channel(1, 5), Some(5));
        assert!(new.reset.starts_with("its newest sequence was 100 or more"), "{new:?}");
        assert_eq!(losses.observe(&channel(9, 20), Some(5)), lost("6–8"));
    }

    #[test]
    fn a_channel_that_began_anew_is_told_once_also_when_only_postgres_knows_the_old_one() {
        let losses = LossTracker::default();
        losses.remember_stored(5);
        assert_eq!(losses.observe(&Channel::default(), None), NewLosses::default());
        assert_eq!(losses.describe_reset(), None, "the broker may be reading its store");
        let new = losses.observe(&channel(1, 2), None);
        assert!(new.reset.starts_with("its newest sequence was 5 or more"), "{new:?}");
        assert_eq!(losses.observe(&channel(1, 3), None), NewLosses::default());
        assert_eq!(losses.describe_reset(), Some(new.reset));
    }
}
