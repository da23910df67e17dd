//! The queue between the wire and the user: bounded by bytes, each message in it once.
//!
//! It outlives the subscriptions that fill it. A message is *in hand* from its arrival until it
//! is acknowledged or dropped; while it is, redeliveries of it are dropped here.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use foldhash::fast::RandomState;
use tokio::sync::{Notify, mpsc};

use crate::stats::Counters;

/// Acknowledgements remembered for messages whose session was lost before they were sent.
const MOST_SETTLED: usize = 65_536;

/// Bytes of a block that payloads are copied into.
const BLOCK: usize = 32 << 10;

/// What a message costs us beside its payload, about: its place in the queue and among those in
/// hand, and its share of the buffer that it was read into.
pub const OVERHEAD: usize = 128;

/// The queue. The client offers to it what comes off the wire, [`Messages`](crate::Messages) take
/// from it.
#[derive(Debug)]
pub struct Deliveries {
    state: Mutex<State>,
    arrived: Notify,
    taken: Notify,
    max_bytes: usize,
    counters: Counters,
}

/// Copies payloads one behind the other into blocks, each freed with the last payload in it.
///
/// Bytes off the wire keep alive the whole buffer that they were read into, and beside a long
/// message that is megabytes for a short one. An allocation for each payload would cost a tenth
/// of all that a message takes.
#[derive(Debug, Default)]
struct Block(BytesMut);

impl Block {
    fn copy(&mut self, payload: &[u8]) -> Bytes {
        if payload.len() > BLOCK / 4 {
            return Bytes::copy_from_slice(payload);
        }
        if self.0.capacity() < payload.len() {
            self.0 = BytesMut::with_capacity(BLOCK);
        }
        self.0.extend_from_slice(payload);
        self.0.split().freeze()
    }
}

#[derive(Debug, Default)]
struct State {
    block: Block,
    queue: VecDeque<Delivery>,
    queued_bytes: usize,
    /// How each came last, by sequence number and timestamp: those name one message, also across
    /// stores of the server.
    in_hand: HashMap<(u64, i64), InHand, RandomState>,
    /// Acknowledged while there was no registration to send the ack under.
    settled: HashMap<u64, Settled>,
    /// Where acknowledgements go; none between two subscriptions.
    acks: Option<mpsc::UnboundedSender<Ack>>,
    /// Counts the registrations. Numbers given out under an earlier one may mean other messages
    /// now (the server may have lost its store), so their acks are held back.
    generation: u64,
    closed: bool,
}

/// A message as it comes off the wire and waits in the queue. Whoever takes it owes the queue an
/// ack or a release.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    /// Number of the message within its channel or stream, from 1.
    pub sequence: u64,
    /// When the server stored it, in nanoseconds since 1970.
    pub timestamp: i64,
    /// Number of this delivery among all of the consumer's; 0 where the protocol counts none.
    pub number: u64,
    /// Whether the server sent the message before.
    pub redelivered: bool,
    /// How often it sent it before.
    pub redelivery_count: u32,
    /// The payload. The queue keeps a copy, so that the buffer off the wire can be freed.
    pub data: Bytes,
}

/// What tells the server which delivery is acknowledged, or handed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Number of the message within its channel or stream.
    pub sequence: u64,
    /// When the server stored it, in nanoseconds since 1970.
    pub timestamp: i64,
    /// Number of its last delivery; see [`Delivery::number`].
    pub number: u64,
    /// How often the server had sent it before that delivery.
    pub redelivery_count: u32,
}

/// The last delivery of a message, and the generation in which it came.
#[derive(Debug, Clone, Copy)]
struct InHand {
    generation: u64,
    number: u64,
    redelivery_count: u32,
}

impl InHand {
    fn ack(self, sequence: u64, timestamp: i64) -> Ack {
        let Self { number, redelivery_count, .. } = self;
        Ack { sequence, timestamp, number, redelivery_count }
    }
}

#[derive(Debug, Clone, Copy)]
struct Settled {
    ack: Ack,
    generation: u64,
}

/// How much a subscription holds in this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueDepth {
    /// Messages waiting to be taken.
    pub messages: usize,
    /// Bytes of the payloads of those messages.
    pub bytes: usize,
    /// Messages taken or waiting, not yet acknowledged or dropped.
    pub in_hand: usize,
}

impl Deliveries {
    /// An empty queue for `max_bytes`: of payloads, and [`OVERHEAD`] for each message.
    #[must_use]
    pub fn new(max_bytes: usize) -> Arc<Self> {
        let (arrived, taken) = (Notify::new(), Notify::new());
        let (state, counters) = (Mutex::default(), Counters::default());
        Arc::new(Self { state, arrived, taken, max_bytes, counters })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in the critical sections panics half way, so a poisoned state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends acknowledgements to `acks` from now on. Under the same registration those that
    /// waited go out at once; under a new one they wait until the server sends the message again.
    ///
    /// A registration is what the server knows deliveries under: a subscription of NATS Streaming,
    /// or a consumer of JetStream from its creation to its deletion. Under another one the same
    /// number may mean another message.
    pub fn attach(&self, acks: mpsc::UnboundedSender<Ack>, same_registration: bool) {
        let mut state = self.state();
        if !same_registration {
            state.generation += 1;
        }
        let generation = state.generation;
        let counters = &self.counters;
        state.settled.retain(|_, settled| {
            let goes_out = settled.generation == generation;
            if goes_out && acks.send(settled.ack).is_ok() {
                counters.acks.add(1);
            }
            // What did not come again during a whole registration went to another member.
            !goes_out && settled.generation + 1 >= generation
        });
        state.acks = Some(acks);
    }

    /// Keeps acknowledgements from now on.
    pub fn detach(&self) {
        self.state().acks = None;
    }

    /// Takes a delivery from the wire.
    pub fn offer(&self, mut delivery: Delivery) {
        let Delivery { sequence, timestamp, number, redelivery_count, .. } = delivery;
        let mut state = self.state();
        if state.closed {
            return;
        }
        let came = InHand { generation: state.generation, number, redelivery_count };
        if let Some(before) = state.in_hand.get_mut(&(sequence, timestamp)) {
            // The server means this message under the present registration too.
            *before = came;
            return self.counters.duplicates_suppressed.add(1);
        }
        if let Some(settled) = state.settled.remove(&sequence)
            && settled.ack.timestamp == timestamp
        {
            self.counters.duplicates_suppressed.add(1);
            return self.send_ack(&mut state, sequence, timestamp, came);
        }
        let size = delivery.data.len();
        let queued = state.queued_bytes + state.queue.len() * OVERHEAD;
        if !state.queue.is_empty() && queued + size + OVERHEAD > self.max_bytes {
            return self.counters.shed.add(1);
        }
        let redelivered = delivery.redelivered;
        state.in_hand.insert((sequence, timestamp), came);
        state.queued_bytes += size;
        delivery.data = state.block.copy(&delivery.data);
        state.queue.push_back(delivery);
        drop(state);
        self.counters.delivered.add(1);
        self.counters.redelivered.add(u64::from(redelivered));
        self.arrived.notify_one();
    }

    pub(crate) fn ack(&self, sequence: u64, timestamp: i64) {
        let mut state = self.state();
        if let Some(came) = state.in_hand.remove(&(sequence, timestamp)) {
            self.send_ack(&mut state, sequence, timestamp, came);
        }
    }

    fn send_ack(&self, state: &mut State, sequence: u64, timestamp: i64, came: InHand) {
        let ack = came.ack(sequence, timestamp);
        let same_registration = came.generation == state.generation;
        match &state.acks {
            Some(acks) if same_registration && acks.send(ack).is_ok() => {
                self.counters.acks.add(1);
            }
            // A forgotten one costs a redelivery, no more.
            _ if state.settled.len() >= MOST_SETTLED => {}
            _ => {
                state.settled.insert(sequence, Settled { ack, generation: came.generation });
            }
        }
    }

    /// Forgets a message that was dropped unacknowledged; an acknowledged one is gone already.
    pub(crate) fn release(&self, sequence: u64, timestamp: i64) {
        self.state().in_hand.remove(&(sequence, timestamp));
    }

    /// Forgets all that is in hand: acks of it are not sent any more. What came under the present
    /// registration is answered, for a protocol that can hand it back to the server.
    pub fn release_all(&self) -> Vec<Ack> {
        let mut state = self.state();
        let generation = state.generation;
        let released = std::mem::take(&mut state.in_hand).into_iter();
        let of_this = released.filter(|(_, came)| came.generation == generation);
        of_this.map(|((sequence, timestamp), came)| came.ack(sequence, timestamp)).collect()
    }

    /// Ends the stream; what is queued is dropped unacknowledged.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.queue.clear();
        state.queued_bytes = 0;
        drop(state);
        self.arrived.notify_waiters();
    }

    /// What happened here so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes that may be offered before the queue is full: payloads, and [`OVERHEAD`] for each.
    #[must_use]
    pub fn room(&self) -> usize {
        let state = self.state();
        self.max_bytes.saturating_sub(state.queued_bytes + state.queue.len() * OVERHEAD)
    }

    /// Returns when messages were taken since the last call. For one caller at a time.
    pub async fn until_taken(&self) {
        self.taken.notified().await;
    }

    /// What it holds.
    #[must_use]
    pub fn depth(&self) -> QueueDepth {
        let state = self.state();
        QueueDepth {
            messages: state.queue.len(),
            bytes: state.queued_bytes,
            in_hand: state.in_hand.len(),
        }
    }

    /// Waits for a message, then takes all that waits up to the limits; at least one.
    /// Empty when the stream has ended.
    pub(crate) async fn take(&self, max: usize, max_bytes: usize) -> Vec<Delivery> {
        loop {
            let mut arrived = pin!(self.arrived.notified());
            arrived.as_mut().enable();
            {
                let mut state = self.state();
                if state.closed {
                    return Vec::new();
                }
                let taken = state.take(max.max(1), max_bytes);
                if !taken.is_empty() {
                    // One wake-up may stand for many arrivals: pass it on.
                    if !state.queue.is_empty() {
                        self.arrived.notify_one();
                    }
                    drop(state);
                    self.taken.notify_one();
                    return taken;
                }
            }
            arrived.await;
        }
    }
}

impl State {
    fn take(&mut self, max: usize, max_bytes: usize) -> Vec<Delivery> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(next) = self.queue.front() {
            let size = next.data.len();
            if taken.len() >= max || (!taken.is_empty() && bytes + size > max_bytes) {
                break;
            }
            bytes += size;
            self.queued_bytes -= size;
            taken.extend(self.queue.pop_front());
        }
        taken
    }
}

#[cfg(test)]
mod tests;
