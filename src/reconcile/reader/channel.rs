//! The channel's messages strictly in the order of their sequences, and what is not there.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::anyhow;
use stan::{Connection, Message, Options, StartPosition, Subscription, SubscriptionOptions};
use tokio::time::timeout;

use super::super::extent;
use super::super::retry::Failure;
use crate::broker::monitor::Monitor;
use crate::config::Broker;
use leg::Leg;

mod leg;

/// How long the broker may send nothing while messages must come, before it is asked anew; less
/// if the whole patience is shorter.
const SILENCE: Duration = Duration::from_secs(10);

/// Messages the broker may send ahead of the comparison.
const MAX_IN_FLIGHT: u32 = 1024;

/// The next part of the channel, in the order of its sequences.
pub(crate) enum ChannelStep {
    /// Messages whose sequences follow each other.
    Messages(Vec<Message>),
    /// The broker has these no more.
    Gone { from: u64, to: u64 },
}

/// How to read.
pub(crate) struct ReaderOptions<'a> {
    /// How to register with the broker; a client id is made of this one for each registration.
    pub(crate) registration: Options,
    /// The channel, and the monitor to ask for its end.
    pub(crate) broker: &'a Broker,
    /// Messages that a step may have.
    pub(crate) batch_max_rows: usize,
    /// Bytes that a step may have, unless a single message has more.
    pub(crate) batch_max_bytes: usize,
    /// Bytes of messages that may wait to be read.
    pub(crate) queue_max_bytes: usize,
    /// How long the broker may be away before the caller gives up.
    pub(crate) patience: Duration,
}

/// Reads in legs: each is a subscription that begins with the next sequence. Whenever something
/// is amiss (a lost registration, a delivery that was dropped on the way) a new one begins.
pub(crate) struct ChannelReader {
    /// What the client ids of all registrations begin with.
    name: String,
    options: Options,
    subscription: SubscriptionOptions,
    monitor: Option<Monitor>,
    batch_max_rows: usize,
    batch_max_bytes: usize,
    silence: Duration,
    next: u64,
    /// None where there is no end: it waits for what is still to be published.
    last: Option<u64>,
    /// The message before the next one, by sequence and timestamp, if it was handed out.
    previous: Option<(u64, i64)>,
    connection: Option<Connection>,
    leg: Option<Leg>,
    /// A sequence at which something else came than itself.
    suspected: Option<u64>,
}

impl ChannelReader {
    /// Nothing is read before [`ChannelReader::read`] says what.
    pub(crate) fn new(options: ReaderOptions<'_>) -> Self {
        let ReaderOptions { registration, broker, .. } = options;
        let mut subscription = SubscriptionOptions::plain(&broker.channel);
        subscription.max_in_flight = MAX_IN_FLIGHT;
        subscription.ack_wait = broker.ack_wait;
        subscription.queue_max_bytes = options.queue_max_bytes;
        Self {
            name: registration.client_id.clone(),
            options: registration,
            subscription,
            monitor: Monitor::new(broker),
            batch_max_rows: options.batch_max_rows,
            batch_max_bytes: options.batch_max_bytes,
            silence: SILENCE.min(options.patience),
            next: 1,
            last: Some(0),
            previous: None,
            connection: None,
            leg: None,
            suspected: None,
        }
    }

    /// Sets the first and the last sequence to read; none means without an end.
    pub(crate) fn read(&mut self, first: u64, last: Option<u64>) {
        (self.next, self.last) = (first, last);
        self.previous = self.previous.filter(|(sequence, _)| sequence + 1 == first);
        (self.leg, self.suspected) = (None, None);
    }

    /// The sequence of the channel's newest message; 0 if it never had one.
    ///
    /// The monitor knows it. Without one the broker is asked for the channel's last message. It
    /// sends nothing from an empty channel and has no other way to say so; that silence proves
    /// nothing.
    pub(crate) async fn last_sequence(&mut self) -> Result<u64, Failure> {
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

    /// What comes next, as long as it is not behind the last sequence. After an error it may be
    /// asked again, and nothing is passed over.
    ///
    /// A jump in the sequences is no proof that messages are gone: deliveries may be dropped on
    /// the way. A new subscription that begins where the jump was, and jumps again with its very
    /// first message, is: the broker begins with the first message that it has.
    pub(crate) async fn step(&mut self) -> Result<ChannelStep, Failure> {
        loop {
            if self.leg.is_none() {
                let begin = self.begin();
                let mut options = self.subscription.clone();
                options.start_position = StartPosition::Sequence(begin);
                let subscription = self.subscribe(options).await?;
                let held = VecDeque::new();
                self.leg = Some(Leg { subscription, begin, held, fresh: true });
            }
            let Some(leg) = &mut self.leg else { continue };
            if leg.held.is_empty() {
                let messages = leg.subscription.messages();
                let batch = messages.recv_batch(self.batch_max_rows, self.batch_max_bytes);
                match timeout(self.silence, batch).await {
                    Err(_) => match self.judge_silence().await? {
                        Some(step) => return Ok(step),
                        None => continue,
                    },
                    Ok(batch) if batch.is_empty() => {
                        self.hang_up();
                        return Err(lost());
                    }
                    Ok(batch) => leg.held.extend(batch),
                }
            }
            let following = leg.following(&mut self.next, self.last, &mut self.previous);
            if !following.is_empty() {
                self.suspected = None;
                return Ok(ChannelStep::Messages(following));
            }
            let Some(message) = leg.held.front() else { continue };
            if message.sequence < self.next {
                return Err(Failure::Permanent(anyhow!(
                    "the channel began anew: it has another message under sequence {} than before",
                    message.sequence
                )));
            }
            let before = message.sequence - 1;
            let (from, to) = (self.next, self.last.map_or(before, |last| last.min(before)));
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

    /// The sequence that a subscription begins with. While nobody was registered the channel may
    /// have begun anew, which shows by the message that was the last one; under the same
    /// registration it cannot.
    fn begin(&self) -> u64 {
        match self.previous {
            Some((sequence, _)) if self.connection.is_none() => sequence,
            _ => self.next,
        }
    }

    /// Nothing comes. Where there should be more, this is a fault of the broker or of the link,
    /// unless the monitor says that the broker has deleted what was to come.
    async fn judge_silence(&mut self) -> Result<Option<ChannelStep>, Failure> {
        let (from, last) = (self.next, self.last);
        if last.is_some() {
            self.hang_up();
        }
        let Some(monitor) = &self.monitor else {
            // Without an end nothing need come, and what was dropped on the way comes again.
            return last.map_or(Ok(None), |last| Err(self.silent(last)));
        };
        let channel = extent::ask(monitor).await?;
        let was_there = last.unwrap_or(from - 1);
        if channel.last_seq < was_there {
            return Err(Failure::Permanent(anyhow!(
                "the channel ended at {was_there} or later and now ends at {}: the broker has lost \
                 its messages",
                channel.last_seq
            )));
        }
        let first = if channel.msgs == 0 { channel.last_seq + 1 } else { channel.first_seq };
        if first > from {
            self.hang_up();
            let before = first - 1;
            return Ok(Some(self.pass_over(from, last.map_or(before, |last| last.min(before)))));
        }
        if channel.last_seq < from {
            return Ok(None);
        }
        self.hang_up();
        Err(self.silent(channel.last_seq))
    }

    fn silent(&self, last: u64) -> Failure {
        Failure::Transient(anyhow!(
            "the broker sent nothing for {:?}, though the channel goes on to {last}",
            self.silence
        ))
    }

    fn pass_over(&mut self, from: u64, to: u64) -> ChannelStep {
        self.next = to + 1;
        (self.previous, self.suspected) = (None, None);
        ChannelStep::Gone { from, to }
    }

    async fn subscribe(&mut self, options: SubscriptionOptions) -> Result<Subscription, Failure> {
        let connection = if let Some(connection) = &self.connection {
            connection.clone()
        } else {
            // A new name each time: one that the server still holds for us would be refused.
            self.options.client_id = format!("{}-{:016x}", self.name, fastrand::u64(..));
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
    pub(crate) async fn close(mut self) {
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

fn lost() -> Failure {
    Failure::Transient(anyhow!("the registration with the broker was lost"))
}
