//! The stream under a connection: tells when bytes go either way, reads nothing from a peer that
//! is stuck, and closes so that the last answer arrives.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use tokio::time::{Sleep, sleep};

use super::deadline::Activity;

/// How long a peer may go on sending a request that is already answered.
const LINGER: Duration = Duration::from_secs(5);

/// Reads of such a request in one turn.
const LINGER_READS: usize = 16;

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
    /// Ends the reading of what still comes after the last answer.
    lingers: Option<Pin<Box<Sleep>>>,
}

impl<T> TimedIo<T> {
    pub(super) fn new(stream: T, activity: Arc<Activity>) -> Self {
        Self { stream, activity, stuck: false, read_waits: false, lingers: None }
    }

    /// Notes whether the peer takes our bytes.
    fn took(&mut self, is_stuck: bool, cx: &Context<'_>) {
        self.stuck = is_stuck;
        if self.stuck {
            return;
        }
        self.activity.bytes_went();
        if std::mem::take(&mut self.read_waits) {
            cx.waker().wake_by_ref();
        }
    }
}

impl<T: Read + Unpin> TimedIo<T> {
    /// Reads and drops what still comes of a request that was answered before its end: to close with
    /// bytes unread resets the connection, and the peer may then see an error in place of the
    /// answer (RFC 9112, section 9.6).
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let end = self.lingers.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut piece = [0; 4096];
        for _ in 0..LINGER_READS {
            let mut read = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut self.stream).poll_read(cx, read.unfilled()))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        // Others on this thread are waiting too.
        cx.waker().wake_by_ref();
        Poll::Pending
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

impl<T: Read + Write + Unpin> Write for TimedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.took(polled.is_pending(), cx);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.took(polled.is_pending(), cx);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        // TLS takes bytes before the peer does, and is stuck here; TCP never is.
        if polled.is_pending() || self.stuck {
            self.took(polled.is_pending(), cx);
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingers.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if !self.activity.is_partial() {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_linger(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn nothing_is_read_from_a_peer_that_takes_nothing() {
        let (ours, mut peer) = duplex(8);
        let mut stream = TokioIo::new(TimedIo::new(
            TokioIo::new(ours),
            Activity::new(Ipv4Addr::LOCALHOST.into()),
        ));
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

    /// Takes all bytes at once, as TLS does, and is rid of them when the peer has taken them.
    struct Buffered<T> {
        stream: T,
        unsent: Vec<u8>,
    }

    impl<T: Read + Unpin> Read for Buffered<T> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_read(cx, buf)
        }
    }

    impl<T: Write + Unpin> Write for Buffered<T> {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.unsent.extend(buf);
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let this = self.get_mut();
            while !this.unsent.is_empty() {
                let sent = ready!(Pin::new(&mut this.stream).poll_write(cx, &this.unsent))?;
                this.unsent.drain(..sent);
            }
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn nothing_is_read_from_a_peer_that_does_not_take_what_is_encrypted_for_it() {
        let (ours, mut peer) = duplex(8);
        let buffered = Buffered { stream: TokioIo::new(ours), unsent: Vec::new() };
        let mut stream =
            TokioIo::new(TimedIo::new(buffered, Activity::new(Ipv4Addr::LOCALHOST.into())));
        peer.write_all(b"request").await.unwrap();
        stream.write_all(b"a long response").await.unwrap();
        assert!(stream.flush().now_or_never().is_none(), "there is no room");
        let mut read = [0; 7];
        assert!(stream.read(&mut read).now_or_never().is_none(), "though there is a request");
        peer.read_exact(&mut [0; 8]).await.unwrap();
        stream.flush().await.unwrap();
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"request");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_sends_a_body_for_ever_is_closed_in_the_end() {
        let (ours, mut peer) = duplex(8);
        let activity = Activity::new(Ipv4Addr::LOCALHOST.into());
        activity.request_began(true);
        let mut stream = TokioIo::new(TimedIo::new(TokioIo::new(ours), activity));
        let began = Instant::now();
        tokio::select! {
            shut = stream.shutdown() => shut.unwrap(),
            () = async { while peer.write_all(b"body").await.is_ok() { sleep(LINGER / 100).await } } => {}
        }
        assert_eq!(began.elapsed().as_secs(), LINGER.as_secs());
    }
}
