//! A look at what NATS clients publish through a proxy: some of it is held until somebody has
//! decided whether it may go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// How long what comes after a held publication waits for the decision, to keep its place. A
/// decision that takes longer lets the others go first: they may be answers to heartbeats.
const KEEPS_ITS_PLACE: Duration = Duration::from_millis(50);

/// Frames between reading and writing.
const QUEUE: usize = 1024;

/// A message as a client publishes it, without headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication<'a> {
    /// The NATS subject that it goes to.
    pub subject: &'a str,
    /// Where an answer should go.
    pub reply: Option<&'a str>,
    /// The bytes of the message.
    pub payload: &'a [u8],
}

/// What is held, and who decides.
#[derive(Debug, Clone)]
pub struct Tap {
    /// Whether this publication is held.
    pub holds: fn(&Publication<'_>) -> bool,
    /// Where it goes to be decided on. While nobody listens there, everything passes.
    pub held: mpsc::UnboundedSender<Held>,
}

/// A publication that waits for a decision; dropped without one, it is swallowed.
#[derive(Debug)]
pub struct Held {
    /// The NATS subject that it goes to.
    pub subject: String,
    /// The bytes of the message.
    pub payload: Vec<u8>,
    decision: oneshot::Sender<bool>,
}

impl Held {
    /// Lets it go on to the server.
    pub fn pass(self) {
        // The connection may have ended meanwhile; then there is nowhere to go.
        let _ = self.decision.send(true);
    }

    /// Whether the connection has ended that it came by, so that nobody will see it.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.decision.is_closed()
    }

    /// Drops the message: the other side never sees it.
    pub fn swallow(self) {
        let _ = self.decision.send(false);
    }
}

/// A part of the stream that is passed on as a whole.
enum Frame {
    Passing(Vec<u8>),
    Held { bytes: Vec<u8>, decision: oneshot::Receiver<bool>, since: Instant },
}

/// Passes what clients send on to the server, with a tap. Ends with either side.
pub(super) async fn pass(from: OwnedReadHalf, to: OwnedWriteHalf, hole: &AtomicBool, tap: Tap) {
    let (sender, frames) = mpsc::channel(QUEUE);
    tokio::join!(read(from, sender, tap), write(frames, to, hole));
}

async fn read(mut from: OwnedReadHalf, frames: mpsc::Sender<Frame>, tap: Tap) {
    let mut buffer = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        buffer.extend_from_slice(&chunk[..count]);
        while let Some(length) = first_frame(&buffer) {
            let bytes: Vec<u8> = buffer.drain(..length).collect();
            if frames.send(tap.look_at(bytes)).await.is_err() {
                return;
            }
        }
    }
}

impl Tap {
    fn look_at(&self, bytes: Vec<u8>) -> Frame {
        let Some(seen) = publication(&bytes).filter(|seen| (self.holds)(seen)) else {
            return Frame::Passing(bytes);
        };
        let (decides, decision) = oneshot::channel();
        let (subject, payload) = (seen.subject.to_owned(), seen.payload.to_vec());
        match self.held.send(Held { subject, payload, decision: decides }) {
            Ok(()) => Frame::Held { bytes, decision, since: Instant::now() },
            Err(_) => Frame::Passing(bytes),
        }
    }
}

async fn write(mut frames: mpsc::Receiver<Frame>, mut to: OwnedWriteHalf, hole: &AtomicBool) {
    // What was decided on too late to keep its place; dropped with the connection.
    let mut late: JoinSet<Option<Vec<u8>>> = JoinSet::new();
    loop {
        let bytes = tokio::select! {
            frame = frames.recv() => match frame {
                None => return,
                Some(Frame::Passing(bytes)) => Some(bytes),
                Some(Frame::Held { bytes, mut decision, since }) => {
                    let in_time = timeout_at(since + KEEPS_ITS_PLACE, &mut decision).await;
                    if let Ok(decided) = in_time {
                        decided.unwrap_or(false).then_some(bytes)
                    } else {
                        late.spawn(async { decision.await.ok()?.then_some(bytes) });
                        None
                    }
                }
            },
            Some(decided) = late.join_next() => decided.ok().flatten(),
        };
        let swallowed = hole.load(Ordering::SeqCst);
        if let Some(bytes) = bytes
            && !swallowed
            && to.write_all(&bytes).await.is_err()
        {
            return;
        }
    }
}

/// The length of the first whole frame: a line, and the payload that it announces.
fn first_frame(buffer: &[u8]) -> Option<usize> {
    let line = line_end(buffer)?;
    let words = std::str::from_utf8(&buffer[..line]).unwrap_or_default();
    let mut words = words.split_ascii_whitespace();
    let payload = match words.next() {
        Some("PUB" | "HPUB") => words.next_back().and_then(|size| size.parse().ok()),
        _ => None,
    };
    let length = payload.map_or(line + 2, |payload: usize| line + 2 + payload + 2);
    (buffer.len() >= length).then_some(length)
}

/// What a frame publishes, if it does and has no headers.
fn publication(frame: &[u8]) -> Option<Publication<'_>> {
    let line = line_end(frame)?;
    let mut words = std::str::from_utf8(&frame[..line]).ok()?.split_ascii_whitespace();
    if words.next() != Some("PUB") {
        return None;
    }
    let (subject, second) = (words.next()?, words.next()?);
    let reply = words.next().map(|_size| second);
    let payload = frame.get(line + 2..frame.len() - 2)?;
    Some(Publication { subject, reply, payload })
}

fn line_end(buffer: &[u8]) -> Option<usize> {
    buffer.windows(2).position(|bytes| bytes == b"\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_into_whole_frames() {
        let stream =
            b"CONNECT {\"verbose\":false}\r\nPING\r\nPUB a 4\r\n\r\n\r\n\r\nPUB b c 0\r\n\r\n";
        let mut rest = &stream[..];
        let mut frames = Vec::new();
        while let Some(length) = first_frame(rest) {
            frames.push(&rest[..length]);
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
        assert_eq!(frames.len(), 4);
        assert_eq!(
            publication(frames[2]),
            Some(Publication { subject: "a", reply: None, payload: b"\r\n\r\n" })
        );
        assert_eq!(
            publication(frames[3]),
            Some(Publication { subject: "b", reply: Some("c"), payload: b"" })
        );
        assert_eq!(publication(frames[1]), None);
    }

    #[test]
    fn a_frame_that_is_not_whole_is_waited_for() {
        let stream = b"PUB a 4\r\nabcd\r\n";
        for length in 0..stream.len() {
            assert_eq!(first_frame(&stream[..length]), None, "{length}");
        }
        assert_eq!(first_frame(stream), Some(stream.len()));
    }
}
