//! Looks at channels and streams, one after the other.

use super::*;

fn seen(first_seq: u64, last_seq: u64, last_sent: Option<u64>) -> Seen {
    let msgs = (last_seq + 1).saturating_sub(first_seq);
    let channel = Channel { msgs, first_seq, last_seq, subscriptions: Vec::new() };
    Seen::of_channel(&channel, last_sent)
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
    assert_eq!(losses.observe(&seen(1, 10, Some(10))), NewLosses::default());
    assert_eq!(losses.observe(&seen(71, 100, Some(10))), lost("11–70"));
    assert_eq!(losses.observe(&seen(71, 100, Some(10))), NewLosses::default());
    assert_eq!(losses.observe(&seen(81, 110, Some(10))), lost("71–80"));
    assert_eq!(losses.describe(), (Some("sequences 11–80".to_owned()), None));
}

#[test]
fn a_loss_is_remembered_when_the_group_has_moved_past() {
    let losses = LossTracker::default();
    assert_eq!(losses.observe(&seen(71, 100, Some(10))), lost("11–70"));
    assert_eq!(losses.observe(&seen(71, 100, Some(100))), NewLosses::default());
    assert_eq!(losses.counts(), (60, 0));
}

#[test]
fn a_group_that_jumped_between_two_looks_has_perhaps_lost_what_it_jumped_over() {
    let losses = LossTracker::default();
    assert_eq!(losses.observe(&seen(1, 10, Some(10))), NewLosses::default());
    assert_eq!(losses.observe(&seen(71, 100, Some(100))), perhaps("11–70"));
    assert_eq!(losses.observe(&seen(71, 100, Some(100))), NewLosses::default());
    assert_eq!(losses.counts(), (0, 60));
}

#[test]
fn the_deletion_of_what_the_group_had_at_the_look_before_is_no_loss() {
    let losses = LossTracker::default();
    assert_eq!(losses.observe(&seen(1, 100, Some(90))), NewLosses::default());
    assert_eq!(losses.observe(&seen(91, 190, Some(150))), NewLosses::default());
    assert_eq!(losses.counts(), (0, 0));
}

#[test]
fn a_foremost_member_that_leaves_does_not_take_the_groups_position_along() {
    let losses = LossTracker::default();
    assert_eq!(losses.observe(&seen(1, 100, Some(90))), NewLosses::default());
    assert_eq!(losses.observe(&seen(76, 100, Some(70))), NewLosses::default());
}

#[test]
fn an_empty_channel_whose_messages_expired_has_lost_what_the_group_had_not_got() {
    let losses = LossTracker::default();
    let expired = Channel { last_seq: 20, ..Channel::default() };
    let expired = Seen::of_channel(&expired, Some(15));
    assert_eq!(losses.observe(&expired), lost("16–20"));
}

#[test]
fn a_group_that_has_not_begun_and_a_channel_that_is_new_have_lost_nothing() {
    let losses = LossTracker::default();
    assert_eq!(losses.observe(&seen(71, 100, None)), NewLosses::default());
    assert_eq!(losses.observe(&seen(0, 0, Some(0))), NewLosses::default());
}

#[test]
fn a_broker_with_a_new_store_is_watched_from_its_beginning() {
    let losses = LossTracker::default();
    assert_eq!(losses.observe(&seen(71, 100, Some(10))), lost("11–70"));
    assert_eq!(losses.observe(&seen(71, 100, Some(100))), NewLosses::default());
    let new = losses.observe(&seen(1, 5, Some(5)));
    assert!(new.reset.starts_with("its newest sequence was 100 or more"), "{new:?}");
    assert_eq!(losses.observe(&seen(9, 20, Some(5))), lost("6–8"));
}

#[test]
fn a_channel_that_began_anew_is_told_once_also_when_only_postgres_knows_the_old_one() {
    let losses = LossTracker::default();
    losses.remember_stored(5);
    assert_eq!(losses.observe(&Seen::default()), NewLosses::default());
    assert_eq!(losses.describe_reset(), None, "the broker may be reading its store");
    let new = losses.observe(&seen(1, 2, None));
    assert!(new.reset.starts_with("its newest sequence was 5 or more"), "{new:?}");
    assert_eq!(losses.observe(&seen(1, 3, None)), NewLosses::default());
    assert_eq!(losses.describe_reset(), Some(new.reset));
}

/// A stream made in the year `made`, whose group was sent all up to `sent` and has acknowledged all
/// up to `kept`.
fn stream(first: u64, last: u64, sent: u64, kept: u64, made: &str) -> Seen {
    Seen {
        created: Some(made.to_owned()),
        group: Some(Place { sent, kept }),
        ..seen(first, last, None)
    }
}

#[test]
fn what_a_stream_deletes_before_it_is_sent_is_lost_and_before_it_is_acknowledged_perhaps() {
    let losses = LossTracker::default();
    assert_eq!(losses.observe(&stream(11, 100, 50, 10, "2026")), NewLosses::default());
    assert_eq!(losses.observe(&stream(21, 100, 50, 10, "2026")), perhaps("11–20"));
    let both = NewLosses { lost: "51–60".to_owned(), ..perhaps("21–50") };
    assert_eq!(losses.observe(&stream(61, 100, 50, 10, "2026")), both);
    assert_eq!(losses.counts(), (10, 40));
    assert_eq!(losses.observe(&stream(61, 100, 100, 100, "2026")), NewLosses::default());
    assert_eq!(losses.observe(&stream(99, 100, 100, 100, "2026")), NewLosses::default());
}

/// An erased order was acknowledged, or deleted from the middle.
#[test]
fn a_consumer_made_anew_does_not_make_losses_of_what_was_acknowledged_before() {
    let losses = LossTracker::default();
    assert_eq!(losses.observe(&stream(1, 100, 100, 100, "2026")), NewLosses::default());
    assert_eq!(losses.observe(&stream(1, 100, 0, 0, "2026")), NewLosses::default());
    assert_eq!(losses.observe(&stream(31, 100, 0, 0, "2026")), NewLosses::default());
}

#[test]
fn a_stream_that_was_purged_has_lost_what_was_not_acknowledged() {
    let losses = LossTracker::default();
    assert_eq!(losses.observe(&stream(1, 100, 80, 70, "2026")), NewLosses::default());
    let both = NewLosses { lost: "81–100".to_owned(), ..perhaps("71–80") };
    assert_eq!(losses.observe(&stream(101, 100, 80, 70, "2026")), both);
    assert_eq!(losses.describe_reset(), None);
}

#[test]
fn a_stream_made_anew_is_told_once_also_when_it_has_more_than_the_one_before() {
    let losses = LossTracker::default();
    assert_eq!(losses.observe(&stream(1, 5, 5, 5, "2026")), NewLosses::default());
    let new = losses.observe(&stream(1, 9, 0, 0, "2027"));
    assert_eq!(new.reset, "it was made at 2027, and the one before at 2026");
    assert_eq!(losses.observe(&stream(1, 9, 9, 9, "2027")), NewLosses::default());
    // What the new one loses is counted from its own beginning.
    assert_eq!(losses.observe(&stream(1, 9, 0, 0, "2028")).lost, "");
    assert_eq!(losses.observe(&stream(4, 9, 0, 0, "2028")), lost("1–3"));
}

#[test]
fn an_empty_stream_that_was_not_empty_before_began_anew() {
    let losses = LossTracker::default();
    losses.remember_stored(5);
    let new = losses.observe(&stream(0, 0, 0, 0, "2027"));
    assert!(new.reset.starts_with("its newest sequence was 5 or more"), "{new:?}");
}
