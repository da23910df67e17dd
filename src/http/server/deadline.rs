//! Limits in time on a connection: for the head of a request, for idling, for a stuck reader.
//!
//! hyper has one timer, for the head, and counts idle keep-alive time as part of it; it also
//! makes a timer for each request. Here a connection has one timer, set anew when it fires.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long a connection may take over what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From the first byte of a request to the end of its head.
    pub(super) head: Duration,
    /// Between requests, and while the peer takes none of our bytes.
    pub(super) idle: Duration,
}

impl Limits {
    pub(super) fn at_most(self, most: Duration) -> Self {
        Self { head: self.head.min(most), idle: self.idle.min(most) }
    }
}

/// What a connection is doing and since when; microseconds since it began, zero for "not".
#[derive(Debug)]
pub(super) struct Activity {
    peer: IpAddr,
    began: Instant,
    /// When the head now being read began.
    head_since: AtomicU64,
    /// When a byte last went either way.
    moved_at: AtomicU64,
    /// A request is being answered.
    answering: AtomicBool,
    /// Part of a request has come, and more of it may be on its way.
    partial: AtomicBool,
}

impl Activity {
    pub(super) fn new(peer: IpAddr) -> Arc<Self> {
        let activity = Self {
            peer,
            began: Instant::now(),
            head_since: AtomicU64::default(),
            moved_at: AtomicU64::default(),
            answering: AtomicBool::default(),
            partial: AtomicBool::default(),
        };
        // The first head is due from the start: a peer that connects and stays silent is no user.
        activity.head_since.store(1, Ordering::Relaxed);
        Arc::new(activity)
    }

    /// The address at the other end.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    fn now(&self) -> u64 {
        // Never zero, which stands for "not".
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// A whole head has come, and a body comes after it or none does.
    pub(super) fn request_began(&self, has_body: bool) {
        self.partial.store(has_body, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        self.answering.store(true, Ordering::Relaxed);
    }

    /// The answer is made; what remains is for the peer to take it.
    pub(super) fn answer_made(&self) {
        self.answering.store(false, Ordering::Relaxed);
        self.moved_at.store(self.now(), Ordering::Relaxed);
    }

    /// When bytes last went either way.
    pub(super) fn read_at(&self) -> Instant {
        self.began + Duration::from_micros(self.moved_at.load(Ordering::Relaxed))
    }

    /// The body of the request was read to its end.
    pub(super) fn request_ended(&self) {
        self.partial.store(false, Ordering::Relaxed);
    }

    /// Whether more may come of the request that came last: a body, or the rest of a head.
    pub(super) fn is_partial(&self) -> bool {
        self.partial.load(Ordering::Relaxed)
    }

    pub(super) fn bytes_came(&self) {
        let now = self.now();
        self.moved_at.store(now, Ordering::Relaxed);
        if !self.answering.load(Ordering::Relaxed) {
            self.partial.store(true, Ordering::Relaxed);
            // Only the first bytes of a head set its time, or a slow sender would move it on.
            // All of this happens on the connection's own thread, one thing after another.
            if self.head_since.load(Ordering::Relaxed) == 0 {
                self.head_since.store(now, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn bytes_went(&self) {
        self.moved_at.store(self.now(), Ordering::Relaxed);
    }

    /// When the connection has expired, if nothing more happens.
    fn due(&self, limits: Limits) -> Instant {
        let at = |since: u64, limit| self.began + Duration::from_micros(since) + limit;
        let head_since = self.head_since.load(Ordering::Relaxed);
        if self.answering.load(Ordering::Relaxed) {
            // Our own work has limits of its own; this one only has to be later than those.
            at(self.now(), limits.idle)
        } else if head_since != 0 {
            at(head_since, limits.head)
        } else {
            at(self.moved_at.load(Ordering::Relaxed), limits.idle)
        }
    }

    /// Ends when the connection has expired.
    pub(super) async fn expired(&self, limits: Limits) {
        loop {
            let due = self.due(limits);
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::time::{advance, timeout};

    use super::*;

    const LIMITS: Limits = Limits { head: Duration::from_secs(10), idle: Duration::from_secs(75) };

    /// When the connection is over its limits, in whole seconds from now on.
    async fn seconds_left(activity: &Activity) -> u64 {
        let now = Instant::now();
        activity.expired(LIMITS).await;
        now.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_is_due_from_the_start() {
        assert_eq!(seconds_left(&Activity::new(Ipv4Addr::LOCALHOST.into())).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_first_byte_of_a_head_sets_its_time() {
        let activity = Activity::new(Ipv4Addr::LOCALHOST.into());
        activity.request_began(false);
        activity.answer_made();
        advance(Duration::from_secs(20)).await;
        for _ in 0..3 {
            activity.bytes_came();
            advance(Duration::from_secs(3)).await;
        }
        assert_eq!(seconds_left(&activity).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_either_way_begin_the_idle_time_anew() {
        let activity = Activity::new(Ipv4Addr::LOCALHOST.into());
        activity.request_began(false);
        activity.answer_made();
        advance(Duration::from_secs(70)).await;
        activity.bytes_went();
        assert_eq!(seconds_left(&activity).await, 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_being_answered_has_no_end() {
        let activity = Activity::new(Ipv4Addr::LOCALHOST.into());
        activity.request_began(false);
        activity.bytes_came();
        timeout(100 * LIMITS.idle, activity.expired(LIMITS)).await.unwrap_err();
        activity.answer_made();
        assert_eq!(seconds_left(&activity).await, 75);
    }
}
