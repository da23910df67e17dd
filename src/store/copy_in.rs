//! Writing a batch of new orders by `COPY`, which costs Postgres about half of what the statement
//! costs that looks for conflicts.
//!
//! It is all or nothing: one order whose uid is there already undoes the batch, which then goes
//! the other way. So it is tried where that is rare.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgConnection;

use super::connection::with_timeout;
use super::copy_binary::SIGNATURE;
use super::{NewOrder, bigint};

/// Below this the second round trip of a `COPY` costs more than it saves.
const LEAST_ROWS: usize = 16;

/// Most batches that go the other way after a collision.
const LONGEST_PAUSE: u32 = 256;

/// Flags and the length of a header extension, neither of which is used.
const NO_FLAGS: [u8; 8] = [0; 8];

/// Instead of a row's number of fields: the end of the stream.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// Instead of a field's length: it is null.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// Bytes that are collected before they are sent: Postgres reads one piece while the next is made,
/// and neither side needs memory for the whole batch.
const PIECE: usize = 32 << 10;

/// Whether `COPY` is worth a try. Clones share it.
///
/// After a batch that met a known uid some batches do without, twice as many each time in a row,
/// so that a flood of orders sent again costs next to no attempts in vain.
#[derive(Debug, Clone, Default)]
pub(super) struct CopyGate(Arc<Pause>);

#[derive(Debug, Default)]
struct Pause {
    /// Batches that still go the other way.
    left: AtomicU32,
    /// How many it were after the last collision; 0 after a success.
    last: AtomicU32,
}

impl CopyGate {
    /// Whether to write this batch by `COPY`.
    pub(super) fn is_open(&self, rows: usize) -> bool {
        let count_down = |left: u32| left.checked_sub(1);
        rows >= LEAST_ROWS
            && self.0.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count_down).is_err()
    }

    /// A batch of new orders only was written.
    pub(super) fn succeeded(&self) {
        self.0.last.store(0, Ordering::Relaxed);
    }

    /// A batch held an order that was there already.
    pub(super) fn collided(&self) {
        let pause = (self.0.last.load(Ordering::Relaxed) * 2).clamp(1, LONGEST_PAUSE);
        self.0.last.store(pause, Ordering::Relaxed);
        self.0.left.store(pause, Ordering::Relaxed);
    }
}

/// Inserts orders in one transaction, all or none, and returns how many rows that made: fewer
/// than orders when a trigger leaves some out.
pub(super) async fn copy_in(
    connection: &mut PgConnection,
    orders: &[&NewOrder<'_>],
) -> sqlx::Result<u64> {
    let copy = async {
        let statement = "copy orders (order_uid, document, channel_sequence, source) \
             from stdin (format binary)";
        let mut copy = connection.copy_in_raw(statement).await?;
        for piece in copy_stream(orders) {
            copy.send(piece).await?;
        }
        copy.finish().await
    };
    with_timeout(copy).await
}

/// Orders as the stream that Postgres documents for `COPY … FROM STDIN (FORMAT BINARY)`, with the
/// columns `order_uid`, `document`, `channel_sequence` and `source`, in pieces of 32 KiB or little
/// more.
///
/// # Panics
/// With a document of 2 GiB or more, which no broker delivers.
pub fn copy_stream(orders: &[&NewOrder<'_>]) -> impl Iterator<Item = Vec<u8>> {
    let mut head = [SIGNATURE, &NO_FLAGS].concat();
    let mut left = orders.iter();
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let mut piece = std::mem::take(&mut head);
        piece.reserve(PIECE);
        while piece.len() < PIECE {
            if let Some(order) = left.next() {
                row(&mut piece, order);
            } else {
                piece.extend_from_slice(&TRAILER);
                is_over = true;
                break;
            }
        }
        Some(piece)
    })
}

fn row(stream: &mut Vec<u8>, order: &NewOrder<'_>) {
    stream.extend_from_slice(&4_i16.to_be_bytes());
    field(stream, order.uid.as_bytes());
    field(stream, order.document);
    field(stream, &bigint(order.sequence).to_be_bytes());
    match order.source {
        Some(source) => field(stream, source.as_bytes()),
        None => stream.extend_from_slice(&NULL),
    }
}

fn field(stream: &mut Vec<u8>, content: &[u8]) {
    let length = i32::try_from(content.len()).expect("a message of the broker is below 2 GiB");
    stream.extend_from_slice(&length.to_be_bytes());
    stream.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_one_that_postgres_documents() {
        let order = NewOrder { uid: "ab", document: b"{}", sequence: 258, source: None };
        let moved = NewOrder { source: Some("js"), ..order };
        let mut expected = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        let row = b"\0\x04\0\0\0\x02ab\0\0\0\x02{}\0\0\0\x08\0\0\0\0\0\0\x01\x02";
        expected.extend_from_slice(&[row, &b"\xff\xff\xff\xff"[..]].concat());
        expected.extend_from_slice(&[row, &b"\0\0\0\x02js"[..]].concat());
        expected.extend_from_slice(b"\xff\xff");
        assert_eq!(copy_stream(&[&order, &moved]).collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn many_orders_come_in_pieces_that_are_one_stream() {
        let document = [b'x'; 10_000];
        let order = NewOrder { uid: "a", document: &document, sequence: 1, source: None };
        let pieces: Vec<_> = copy_stream(&[&order; 10]).collect();
        assert_eq!(pieces.len(), 3);
        let stream = pieces.concat();
        assert_eq!(stream.len(), 19 + 10 * (2 + 4 + 1 + 4 + 10_000 + 4 + 8 + 4) + 2);
        assert!(stream.ends_with(&TRAILER));
    }

    #[test]
    fn collisions_in_a_row_close_the_gate_for_longer_and_longer() {
        let gate = CopyGate::default();
        assert!(gate.is_open(LEAST_ROWS) && !gate.is_open(LEAST_ROWS - 1));
        let pause = || (0..1_000).take_while(|_| !gate.is_open(LEAST_ROWS)).count();
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 256] {
            gate.collided();
            assert_eq!(pause(), expected);
        }
        gate.succeeded();
        gate.collided();
        assert_eq!(pause(), 1);
    }
}
