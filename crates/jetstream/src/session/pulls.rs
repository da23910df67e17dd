//! What was pulled and may still come, so that it fits into the queue.
//!
//! One pull is open at a time: a message does not tell which pull it came of, and where deliveries
//! are replicated the server says that a pull is used up before its last messages come. So they
//! are counted here, as the server counts them.

use std::time::Duration;

use deliveries::OVERHEAD;
use tokio::time::Instant;

/// Messages of one pull, at the most: at 100,000 a second one lasts for 50 ms, beside which the way
/// of the next pull to the server is short. Other members are not held up: the server goes round
/// their pulls message by message.
const MOST_MESSAGES: usize = 5_000;

/// Bytes of one pull, at the most: payloads, subjects and headers.
const MOST_BYTES: usize = 16 << 20;

/// The part of the queue that one pull may fill.
const SHARES: usize = 8;

/// A request for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pull {
    /// Names it in the reply subject.
    pub(super) number: u64,
    pub(super) messages: usize,
    /// None = a single message, however large.
    pub(super) bytes: Option<usize>,
}

/// Limits that a consumer may have for each pull; none, if there is none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    pub(super) messages: Option<usize>,
    pub(super) bytes: Option<usize>,
}

/// The pulls of one generation.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    open: Option<Open>,
    last_number: u64,
    limits: Limits,
    /// The next message is larger than a pull could take.
    is_next_large: bool,
}

/// A pull, of which more may come.
#[derive(Debug)]
struct Open {
    since: Instant,
    /// What may still come.
    messages: usize,
    bytes: usize,
    is_used: bool,
}

/// A pull that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) lasted: Duration,
    /// Whether messages came of it.
    pub(super) is_used: bool,
}

impl Pulls {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The next pull to send, if it is time for one. `room` is what fits into the queue, `budget`
    /// what fits into it when it is empty.
    pub(super) fn next(&mut self, room: usize, budget: usize) -> Option<Pull> {
        if self.is_open() {
            return None;
        }
        let (messages, bytes) = if self.is_next_large || budget < 2 * SHARES * OVERHEAD {
            // It comes alone, into an empty queue.
            (room == budget).then_some((1, None))?
        } else {
            // In what is then free there is room also for pulls that were given up and come late.
            (room >= budget / 2).then(|| self.sized(budget / SHARES))?
        };
        self.is_next_large = false;
        self.last_number += 1;
        let most = bytes.unwrap_or(usize::MAX);
        self.open = Some(Open { since: Instant::now(), messages, bytes: most, is_used: false });
        Some(Pull { number: self.last_number, messages, bytes })
    }

    /// How many messages and bytes to ask for, so that they need no more than `share` in the queue.
    fn sized(&self, share: usize) -> (usize, Option<usize>) {
        let most_messages = self.limits.messages.unwrap_or(usize::MAX).min(MOST_MESSAGES);
        let most_bytes = self.limits.bytes.unwrap_or(usize::MAX).min(MOST_BYTES);
        let messages = (share / 2 / OVERHEAD).clamp(1, most_messages);
        let bytes = share.saturating_sub(messages * OVERHEAD).clamp(1, most_bytes);
        (messages, Some(bytes))
    }

    /// Notes a message of `bytes`: payload, headers, subject and reply subject.
    pub(super) fn came(&mut self, bytes: usize) {
        if let Some(open) = &mut self.open {
            open.is_used = true;
            open.messages = open.messages.saturating_sub(1);
            open.bytes = open.bytes.saturating_sub(bytes);
            // Nothing is said of a pull whose bytes are used up to the last one.
            if open.messages == 0 || open.bytes == 0 {
                self.open = None;
            }
        }
    }

    /// Notes that the server ended a pull; nothing if that is not the open one.
    pub(super) fn ended(&mut self, number: u64) -> Option<Ended> {
        let open = self.open.take_if(|_| number == self.last_number)?;
        Some(Ended { lasted: open.since.elapsed(), is_used: open.is_used })
    }

    /// Counts on no end of the open pull any more.
    pub(super) fn give_up(&mut self) {
        self.open = None;
    }

    /// The next pull is to take a message that is too large for one of the usual size.
    pub(super) fn take_large(&mut self) {
        self.is_next_large = true;
    }

    /// When the open pull was sent.
    pub(super) fn since(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: usize = 100 * OVERHEAD;

    #[test]
    fn what_is_pulled_fits_into_the_queue_with_what_waits_there() {
        for room in [BUDGET, BUDGET - 1, BUDGET / 2] {
            let mut pulls = Pulls::default();
            let pull = pulls.next(room, BUDGET).expect("at least half is free");
            let bytes = pull.messages * OVERHEAD + pull.bytes.expect("a limit");
            assert!(4 * bytes <= room, "{pull:?}, and three that were given up");
            assert!(bytes > BUDGET / SHARES / 2, "{pull:?}");
            assert_eq!(pulls.next(room, BUDGET), None, "one is open");
        }
        assert_eq!(Pulls::default().next(BUDGET / 2 - 1, BUDGET), None, "the queue is half full");
    }

    #[test]
    fn a_pull_that_is_used_up_or_ended_is_followed_by_the_next() {
        let mut pulls = Pulls::default();
        let first = pulls.next(BUDGET, BUDGET).expect("a pull");
        for _ in 0..first.messages {
            assert!(pulls.is_open());
            pulls.came(1);
        }
        let second = pulls.next(BUDGET, BUDGET).expect("the first is used up");
        assert_eq!(pulls.ended(first.number), None, "it is over");
        pulls.came(second.bytes.expect("a limit"));
        let third = pulls.next(BUDGET, BUDGET).expect("the bytes of the second are used up");
        assert!(pulls.ended(third.number).is_some_and(|third| !third.is_used));
        let fourth = pulls.next(BUDGET, BUDGET).expect("the third was ended");
        pulls.came(1);
        assert!(pulls.ended(fourth.number).is_some_and(|fourth| fourth.is_used));
        let fifth = pulls.next(BUDGET, BUDGET).expect("the fourth was ended");
        pulls.give_up();
        let sixth = pulls.next(BUDGET, BUDGET).expect("the fifth was given up");
        assert_eq!(pulls.ended(fifth.number), None, "it comes late");
        assert!(pulls.ended(sixth.number).is_some());
        assert_eq!(pulls.since(), None);
    }

    #[test]
    fn a_message_too_large_for_the_budget_is_pulled_alone_into_an_empty_queue() {
        let mut pulls = Pulls::default();
        let first = pulls.next(BUDGET, BUDGET).expect("a pull");
        pulls.ended(first.number);
        pulls.take_large();
        assert_eq!(pulls.next(BUDGET - 1, BUDGET), None, "the queue is not empty");
        let alone = pulls.next(BUDGET, BUDGET).expect("a pull");
        assert_eq!((alone.messages, alone.bytes), (1, None));
        pulls.came(10 * BUDGET);
        assert!(pulls.next(BUDGET, BUDGET).is_some_and(|pull| pull.bytes.is_some()));
        let mut tiny = Pulls::default();
        assert_eq!(tiny.next(1, 1).map(|pull| (pull.messages, pull.bytes)), Some((1, None)));
    }

    #[test]
    fn the_consumers_own_limits_are_kept_to() {
        let mut pulls = Pulls::new(Limits { messages: Some(3), bytes: Some(50) });
        let pull = pulls.next(BUDGET, BUDGET).expect("a pull");
        assert_eq!((pull.messages, pull.bytes), (3, Some(50)));
    }

    #[test]
    fn a_flood_is_pulled_in_parts() {
        let mut pulls = Pulls::default();
        let pull = pulls.next(1 << 30, 1 << 30).expect("a pull");
        assert_eq!((pull.messages, pull.bytes), (MOST_MESSAGES, Some(MOST_BYTES)));
    }
}
