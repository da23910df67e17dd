//! The channel's messages strictly in the order of their sequences, and what is not there.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::anyhow;
use stan::{Connection, Message, Options, StartPosition, Subscription, SubscriptionOptions};
use tokio::time::timeout;

use super::super::retry::Failure;
use super::super::{ChannelOrigin, Reconcile, extent};
use super::{Read, Step};
use crate::broker::monitor::Monitor;

/// How long the broker may send nothing while messages must come, before it is asked anew; less
/// if the whole patience is shorter.
const SILENCE: Duration = Duration::from_secs(10);

/// Messages the broker may send ahead of the comparison.
const MAX_IN_FLIGHT: u32 = 1024;

/// Reads in legs: each is a subscription that begins with the next sequence. Whenever something
/// is amiss (a lost registration, a delivery that was dropped on the way) a new one begins.
pub(in super::super) struct ChannelReader {
    options: Options,
    subscription: SubscriptionOptions,
    monitor: Option<Monitor>,
    batch_max_rows: usize,
    batch_max_bytes: usize,
    silence: Duration,
    next: u64,
    last: u64,
    connection: Option<Connection>,
    leg: Option<Leg>,
    /// A sequence at which something else came than itself.
    suspected: Option<u64>,
}

struct Leg {
    subscription: Subscription,
    /// Taken from the subscription and not handed out yet.
    held: VecDeque<Message>,
    /// Whether nothing was handed out yet.
    fresh: bool,
}

impl ChannelReader {
    pub(super) fn new(reconcile: &Reconcile, origin: &ChannelOrigin) -> Self {
        let ChannelOrigin { options, broker } = origin;
        let Reconcile { limits, queue_max_bytes, .. } = reconcile;
        let mut subscription = SubscriptionOptions::plain(&broker.channel);
        subscription.max_in_flight = MAX_IN_FLIGHT;
        subscription.ack_wait = broker.ack_wait;
        subscription.queue_max_bytes = *queue_max_bytes;
        Self {
            options: options.clone(),
            subscription,
            monitor: Monitor::new(broker),
            batch_max_rows: limits.batch_max_rows,
            batch_max_bytes: limits.batch_max_bytes,
            silence: SILENCE.min(reconcile.patience),
            next: reconcile.from,
            last: 0,
            connection: None,
            leg: None,
            suspected: None,
        }
    }

    /// Sets the last sequence to read.
    pub(super) fn read_to(&mut self, last: u64) {
        self.last = last;
    }

    /// The sequence of the channel's newest message; 0 if it never had one.
    ///
    /// The monitor knows it. Without one the broker is asked for the channel's last message. It
    /// sends nothing from an empty channel and has no other way to say so; that silence proves
    /// nothing.
    pub(super) async fn last_sequence(&mut self) -> Result<u64, Failure> {
        match &self.monitor {
            Some(monitor) => Ok(extent::ask(monitor).await?.last_seq),
            None => self.newest().await,
        }
    }

    /// The sequence of the channel's newest message, as the broker sends it.
    async fn newest(&mut self) -> Result<u64, Failure> {
        let mut options = self.subscription.clone();
        options.max_in_flight = 1;
        options.start_position = StartPosition::LastReceived;
        let subscription = self.subscribe(options).await?;
        let newest = timeout(self.silence, subscription.messages().recv()).await;
        let sequence = match newest {
            Ok(Some(message)) => {
                let sequence = message.sequence;
                message.ack();
                Ok(sequence)
            }
            Ok(None) => Err(lost()),
            Err(_) => Err(Failure::Permanent(anyhow!(
                "the broker sent no message within {:?}; whether the channel is empty only its \
                 monitor can tell: set broker.monitor_url",
                self.silence
            ))),
        };
        if sequence.is_ok() {
            subscription.close().await?;
        }
        sequence
    }

    /// What comes next. After an error it may be asked again, and nothing is passed over.
    ///
    /// A jump in the sequences is no proof that messages are gone: deliveries may be dropped on
    /// the way. A new subscription that begins where the jump was, and jumps again with its very
    /// first message, is: the broker begins with the first message that it has.
    pub(super) async fn step(&mut self) -> Result<Step, Failure> {
        loop {
            if self.leg.is_none() {
                let mut options = self.subscription.clone();
                options.start_position = StartPosition::Sequence(self.next);
                let subscription = self.subscribe(options).await?;
                self.leg = Some(Leg { subscription, held: VecDeque::new(), fresh: true });
            }
            let Some(leg) = &mut self.leg else { continue };
            if leg.held.is_empty() {
                let messages = leg.subscription.messages();
                let batch = messages.recv_batch(self.batch_max_rows, self.batch_max_bytes);
                match timeout(self.silence, batch).await {
                    Err(_) => return self.judge_silence().await,
                    Ok(batch) if batch.is_empty() => {
                        self.hang_up();
                        return Err(lost());
                    }
                    Ok(batch) => leg.held.extend(batch),
                }
            }
            let following = leg.following(&mut self.next, self.last);
            if !following.is_empty() {
                self.suspected = None;
                return Ok(Step::Messages(following));
            }
            let Some(message) = leg.held.front() else { continue };
            let (from, to) = (self.next, self.last.min(message.sequence - 1));
            if leg.fresh && !message.redelivered && self.suspected == Some(from) {
                if leg.subscription.stats().garbled > 0 {
                    return Err(Failure::Permanent(anyhow!(
                        "the broker sends something else than messages"
                    )));
                }
                return Ok(self.pass_over(from, to));
            }
            self.suspected = Some(from);
            self.end_leg().await;
        }
    }

    /// Nothing comes though there should be more. With the monitor it can be told whether there
    /// is; without it, or if it says so, this is a fault of the broker or of the link.
    async fn judge_silence(&mut self) -> Result<Step, Failure> {
        self.hang_up();
        let (from, last) = (self.next, self.last);
        if let Some(monitor) = &self.monitor {
            let channel = extent::ask(monitor).await?;
            if channel.last_seq < last {
                return Err(Failure::Permanent(anyhow!(
                    "the channel ended at {last} and now ends at {}: the broker has lost its \
                     messages",
                    channel.last_seq
                )));
            }
            let first = if channel.msgs == 0 { channel.last_seq + 1 } else { channel.first_seq };
            if first > from {
                return Ok(self.pass_over(from, last.min(first - 1)));
            }
        }
        Err(Failure::Transient(anyhow!(
            "the broker sent nothing for {:?}, though the channel goes on to {last}",
            self.silence
        )))
    }

    fn pass_over(&mut self, from: u64, to: u64) -> Step {
        self.next = to + 1;
        self.suspected = None;
        Step::Gone { from, to }
    }

    async fn subscribe(&mut self, options: SubscriptionOptions) -> Result<Subscription, Failure> {
        let connection = if let Some(connection) = &self.connection {
            connection.clone()
        } else {
            // A new name each time: one that the server still holds for us would be refused.
            self.options.client_id = format!("waybill-reconcile-{:016x}", fastrand::u64(..));
            self.connection.insert(Connection::connect(self.options.clone()).await?).clone()
        };
        let subscribed = connection.subscribe(options).await;
        if subscribed.is_err() {
            self.hang_up();
        }
        Ok(subscribed?)
    }

    async fn end_leg(&mut self) {
        if let Some(leg) = self.leg.take()
            && leg.subscription.close().await.is_err()
        {
            self.hang_up();
        }
    }

    /// Lets the registration go; what the server holds of it ends in the background.
    fn hang_up(&mut self) {
        self.leg = None;
        self.connection = None;
    }

    /// Ends the registration in order.
    pub(super) async fn close(mut self) {
        self.end_leg().await;
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            // The server forgets us by itself.
            let error = anyhow::Error::from(error);
            tracing::debug!(error = format!("{error:#}"), "Closing the connection failed");
        }
    }
}

impl Leg {
    /// Hands out the messages that follow each other from `next` on, up to `last`.
    fn following(&mut self, next: &mut u64, last: u64) -> Vec<Read> {
        let mut following = Vec::with_capacity(self.held.len());
        while let Some(message) = self.held.pop_front() {
            if message.sequence < *next {
                // Sent again, because its ack was late or lost.
                message.ack();
            } else if message.sequence == *next && *next <= last {
                *next += 1;
                self.fresh = false;
                following.push(Read::Delivered(message));
            } else {
                self.held.push_front(message);
                break;
            }
        }
        following
    }
}

fn lost() -> Failure {
    Failure::Transient(anyhow!("the registration with the broker was lost"))
}
