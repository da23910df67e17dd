//! Limits in time on a connection: for the head of a request, for idling, for a stuck reader.
//!
//! hyper has one timer, for the head, and counts idle keep-alive time as part of it; it also
//! makes a timer for each request. Here a connection has one timer, set anew when it fires.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
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

/// What a connection is doing and since when; milliseconds since it began, zero for "not".
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    /// When the head now being read began.
    head_since: AtomicU64,
    /// When a byte last went either way.
    moved_at: AtomicU64,
    /// When the request now being answered came.
    answering_since: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        let zero = AtomicU64::default;
        let activity = Self {
            began: Instant::now(),
            head_since: zero(),
            moved_at: zero(),
            answering_since: zero(),
        };
        // The first head is due from the start: a peer that connects and stays silent is no user.
        activity.head_since.store(1, Ordering::Relaxed);
        Arc::new(activity)
    }

    fn now(&self) -> u64 {
        // Never zero, which stands for "not".
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// A whole head has come.
    pub(super) fn request_began(&self) {
        self.head_since.store(0, Ordering::Relaxed);
        self.answering_since.store(self.now(), Ordering::Relaxed);
    }

    /// The answer is made; what remains is for the peer to take it.
    pub(super) fn answer_made(&self) {
        self.answering_since.store(0, Ordering::Relaxed);
        self.moved_at.store(self.now(), Ordering::Relaxed);
    }

    fn bytes_came(&self) {
        let now = self.now();
        self.moved_at.store(now, Ordering::Relaxed);
        if self.answering_since.load(Ordering::Relaxed) == 0 {
            // Only the first bytes of a head set its time, or a slow sender would move it on.
            let _ = self.head_since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn bytes_went(&self) {
        self.moved_at.store(self.now(), Ordering::Relaxed);
    }

    /// When the connection has expired, if nothing more happens.
    fn due(&self, limits: Limits) -> Instant {
        let at = |since: u64, limit| self.began + Duration::from_millis(since) + limit;
        let head_since = self.head_since.load(Ordering::Relaxed);
        let answering_since = self.answering_since.load(Ordering::Relaxed);
        if answering_since != 0 {
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

/// A stream that tells its [`Activity`] about bytes, and reads nothing from a peer that does
/// not take what it was answered: hyper bounds the bodies it keeps for such a peer, not the
/// heads.
#[derive(Debug)]
pub(super) struct TimedIo<T> {
    stream: T,
    activity: Arc<Activity>,
    /// The peer took none of our bytes at the last attempt.
    stuck: bool,
    /// A read was put off meanwhile.
    read_waits: bool,
}

impl<T> TimedIo<T> {
    pub(super) fn new(stream: T, activity: Arc<Activity>) -> Self {
        Self { stream, activity, stuck: false, read_waits: false }
    }

    fn wrote(&mut self, polled: &Poll<io::Result<usize>>, cx: &Context<'_>) {
        self.stuck = polled.is_pending();
        if self.stuck {
            return;
        }
        self.activity.bytes_went();
        if std::mem::take(&mut self.read_waits) {
            cx.waker().wake_by_ref();
        }
    }
}

impl<T: Read + Unpin> Read for TimedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.stuck {
            self.read_waits = true;
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if matches!(polled, Poll::Ready(Ok(()))) {
            self.activity.bytes_came();
        }
        polled
    }
}

impl<T: Write + Unpin> Write for TimedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(&polled, cx);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(&polled, cx);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
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
        assert_eq!(seconds_left(&Activity::new()).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_first_byte_of_a_head_sets_its_time() {
        let activity = Activity::new();
        activity.request_began();
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
        let activity = Activity::new();
        activity.request_began();
        activity.answer_made();
        advance(Duration::from_secs(70)).await;
        activity.bytes_went();
        assert_eq!(seconds_left(&activity).await, 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_being_answered_has_no_end() {
        let activity = Activity::new();
        activity.request_began();
        activity.bytes_came();
        timeout(100 * LIMITS.idle, activity.expired(LIMITS)).await.unwrap_err();
        activity.answer_made();
        assert_eq!(seconds_left(&activity).await, 75);
    }

    #[tokio::test]
    async fn nothing_is_read_from_a_peer_that_takes_nothing() {
        let (ours, mut peer) = duplex(8);
        let mut stream = TokioIo::new(TimedIo::new(TokioIo::new(ours), Activity::new()));
        peer.write_all(b"request").await.unwrap();
        stream.write_all(b"response").await.unwrap();
        assert!(stream.write_all(b"more").now_or_never().is_none(), "there is no room");
        let mut read = [0; 7];
        assert!(stream.read(&mut read).now_or_never().is_none(), "though there is a request");
        peer.read_exact(&mut [0; 8]).await.unwrap();
        stream.write_all(b"more").await.unwrap();
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"request");
    }
}
