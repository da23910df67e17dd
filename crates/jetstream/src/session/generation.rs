//! One stretch of pulling over one link: an inbox of its own, and what was asked for under it.

use std::time::Duration;

use async_nats::{Message as NatsMessage, StatusCode, Subscriber};
use bytes::Bytes;
use deliveries::{Ack, Deliveries, Delivery};
use futures_util::{FutureExt as _, StreamExt as _};
use nats_link::{LogLimit, Transport};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::ensure::nanoseconds;
use crate::error::{Error, RequestKind};
use crate::info::ConsumerConfig;
use crate::options::ConsumerOptions;
use crate::reply::{AckPrefix, Reply};

use super::acks::{self, AckTarget, NAK};
use super::pulls::{Limits, Pulls};

/// How long the server keeps a pull. It then says that the pull is over, so that this is also how
/// long a pull may go without a sign of life, and how long a clean stop waits for the last one.
const EXPIRES: Duration = Duration::from_secs(1);

/// Pulls that may be given up in a row before all is looked at anew; what is late of as many fits
/// into the queue.
const MOST_LAPSES: u32 = 3;

/// Why a generation cannot go on.
pub(super) type Fault = String;

/// Dropping it unsubscribes and stops its acks.
#[derive(Debug)]
pub(super) struct Generation {
    transport: Transport,
    /// Number of the link that it is bound to.
    link: u64,
    within: Duration,
    next_subject: String,
    inbox: String,
    subscriber: Subscriber,
    pulls: Pulls,
    expires: Duration,
    /// How much later than announced the end of the open pull may come.
    grace: Duration,
    /// Pulls given up in a row.
    lapses: u32,
    /// When anything came last, be it the end of a pull.
    heard: Option<Instant>,
    target: AckTarget,
    /// What `target` has.
    prefix: AckPrefix,
    acks: JoinHandle<()>,
    garbled: LogLimit,
}

/// What a generation is begun with.
pub(super) struct Plan<'a> {
    pub(super) transport: &'a Transport,
    /// Number of the link that stream and consumer were asked for over.
    pub(super) link: u64,
    pub(super) within: Duration,
    pub(super) grace: Duration,
    pub(super) options: &'a ConsumerOptions,
    pub(super) consumer: &'a ConsumerConfig,
    pub(super) target: AckTarget,
}

impl Generation {
    /// Subscribes a fresh inbox. Acks that `deliveries` has kept go out at once if stream and
    /// consumer are those from before.
    pub(super) async fn begin(
        plan: Plan<'_>,
        deliveries: &Deliveries,
        are_same: bool,
    ) -> Result<Self, Error> {
        let Plan { transport, link, within, grace, options, consumer, target } = plan;
        let inbox = transport.client().new_inbox();
        let subscriber = transport.subscribe(format!("{inbox}.*"), within).await;
        let subscriber =
            subscriber.map_err(|error| Error::of(error, RequestKind::Subscribe, within))?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let holds = {
            let transport = transport.clone();
            move || transport.link_number() == Some(link)
        };
        let client = transport.client().clone();
        let publish =
            async move |subject, payload| client.publish::<String>(subject, payload).await;
        let acks = tokio::spawn(acks::send(receiver, target.clone(), holds, publish));
        deliveries.attach(sender, are_same);
        Ok(Self {
            transport: transport.clone(),
            link,
            within,
            next_subject: format!(
                "$JS.API.CONSUMER.MSG.NEXT.{}.{}",
                options.stream, options.consumer
            ),
            inbox,
            subscriber,
            pulls: Pulls::new(limits(consumer)),
            expires: expires(consumer),
            grace,
            lapses: 0,
            heard: None,
            prefix: target.get(),
            target,
            acks,
            garbled: LogLimit::default(),
        })
    }

    /// Sends the next pull, if it is due; answers whether it was.
    pub(super) async fn pull(
        &mut self,
        deliveries: &Deliveries,
        budget: usize,
    ) -> Result<bool, Fault> {
        let Some(pull) = self.pulls.next(deliveries.room(), budget) else {
            return Ok(false);
        };
        let mut request = json!({ "batch": pull.messages, "expires": nanoseconds(self.expires) });
        if let Some(bytes) = pull.bytes {
            request["max_bytes"] = bytes.into();
        }
        let reply = format!("{}.{}", self.inbox, pull.number);
        let payload = Bytes::from(request.to_string());
        let client = self.transport.client();
        let sending = client.publish_with_reply(self.next_subject.clone(), reply, payload);
        match timeout(self.within, sending).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) => Err(format!("a pull could not be sent: {error}")),
            Err(_) => Err("a pull could not be sent: the link takes nothing".to_owned()),
        }
    }

    /// Whether anything came yet.
    pub(super) fn is_answered(&self) -> bool {
        self.heard.is_some()
    }

    /// Gives up the overdue pull, so that the next is due, if there is hope: other pulls were
    /// answered, and not too many in a row were given up. What still comes of it is taken.
    ///
    /// A server that syncs each write sends what is to be delivered after the writes that wait,
    /// seconds later if those are thousands. An inbox that is gone by then would make it send all
    /// of it again.
    pub(super) fn lapse(&mut self) -> bool {
        let has_hope = self.is_answered() && self.lapses < MOST_LAPSES;
        if has_hope {
            self.lapses += 1;
            self.grace *= 2;
            self.pulls.give_up();
        }
        has_hope
    }

    /// Waits for messages and puts all that have come into the queue.
    pub(super) async fn receive(&mut self, deliveries: &Deliveries) -> Result<(), Fault> {
        /// Then others get their turn.
        const MOST_AT_ONCE: usize = 256;
        let Some(first) = self.subscriber.next().await else {
            return Err("the subscription has ended".to_owned());
        };
        self.heard = Some(Instant::now());
        self.take(first, deliveries)?;
        for _ in 1..MOST_AT_ONCE {
            match self.subscriber.next().now_or_never() {
                Some(Some(message)) => self.take(message, deliveries)?,
                _ => break,
            }
        }
        Ok(())
    }

    fn take(&mut self, message: NatsMessage, deliveries: &Deliveries) -> Result<(), Fault> {
        if let Some(status) = message.status {
            return self.take_status(&message.subject, status, message.description.as_deref());
        }
        let Some(reply) = message.reply.as_deref().and_then(Reply::parse) else {
            deliveries.counters().garbled.add(1);
            if let Some(held_back) = self.garbled.due() {
                tracing::warn!(held_back, "A message that is none of a consumer was dropped");
            }
            return Ok(());
        };
        if !reply.has_prefix(&self.prefix) {
            self.prefix = reply.prefix();
            self.target.set(reply.prefix());
        }
        self.pulls.came(message.length);
        let Ack { sequence, timestamp, number, redelivery_count } = reply.ack();
        let redelivered = redelivery_count > 0;
        let data = message.payload;
        deliveries.offer(Delivery {
            sequence,
            timestamp,
            number,
            redelivered,
            redelivery_count,
            data,
        });
        Ok(())
    }

    /// What the server says of a pull: that it is over, or that none can be served any more.
    fn take_status(
        &mut self,
        subject: &str,
        status: StatusCode,
        description: Option<&str>,
    ) -> Result<(), Fault> {
        let description = description.unwrap_or_default();
        // Where deliveries are replicated the last messages come after this; they are counted.
        if description.starts_with("Batch Completed") {
            return Ok(());
        }
        let is_large = description.starts_with("Message Size Exceeds MaxBytes");
        if !is_large && status != StatusCode::TIMEOUT {
            return Err(format!("the server ended pulling: {status} {description}"));
        }
        let number = subject.rsplit('.').next().and_then(|number| number.parse().ok());
        let Some(ended) = number.and_then(|number| self.pulls.ended(number)) else {
            return Ok(());
        };
        (self.lapses, self.grace) = (0, self.within);
        if is_large && !ended.is_used {
            self.pulls.take_large();
        } else if !is_large && !ended.is_used && ended.lasted < self.expires / 2 {
            // To pull again at once would be to do so for ever, and fast.
            return Err(format!("the server ended a pull at once: {status} {description}"));
        }
        Ok(())
    }

    /// When the open pull is overdue: by then the server should have said that it is over, or sent
    /// more of what it is late with.
    pub(super) fn overdue(&self) -> Option<Instant> {
        let over = self.pulls.since()? + self.expires;
        Some(self.heard.map_or(over, |heard| heard.max(over)) + self.grace)
    }

    /// Whether the link is still the one that this was begun over.
    pub(super) fn holds(&self) -> bool {
        self.transport.link_number() == Some(self.link)
    }

    /// Puts what has come already into the queue, before this is given up.
    pub(super) fn drain(&mut self, deliveries: &Deliveries) {
        while let Some(Some(message)) = self.subscriber.next().now_or_never() {
            if self.take(message, deliveries).is_err() {
                return;
            }
        }
    }

    /// Waits until the server has ended the pull; acks whatever was acked; answers how many
    /// messages it then handed back. A NAK that is sent earlier would bring the message back to us.
    pub(super) async fn end(mut self, deliveries: &Deliveries) -> u64 {
        let mut late = Vec::new();
        let patience = self.expires + self.within;
        let over = timeout(patience, self.until_pull_ends(deliveries, &mut late)).await.is_ok();
        deliveries.detach();
        let sent = timeout(self.within, &mut self.acks).await.is_ok();
        if !over || !sent || !self.holds() {
            tracing::warn!(
                "Not everything could be handed back; it comes again after the ack wait"
            );
        }
        if !self.holds() {
            return 0;
        }
        late.extend(deliveries.release_all());
        late.sort_unstable_by_key(|ack| ack.sequence);
        late.dedup_by_key(|ack| ack.sequence);
        let handed = timeout(self.within, self.hand_back(&late)).await;
        self.transport.flush(self.within).await;
        handed.unwrap_or(0)
    }

    /// Takes what comes until the pull is over, or none can be served any more; `late` is what came.
    async fn until_pull_ends(&mut self, deliveries: &Deliveries, late: &mut Vec<Ack>) {
        while self.pulls.is_open() {
            let Some(message) = self.subscriber.next().await else { return };
            late.extend(message.reply.as_deref().and_then(Reply::parse).map(|reply| reply.ack()));
            if self.take(message, deliveries).is_err() {
                return;
            }
        }
    }

    async fn hand_back(&self, acks: &[Ack]) -> u64 {
        let mut handed = 0;
        for ack in acks {
            if self.transport.client().publish(self.prefix.subject(ack), NAK).await.is_err() {
                break;
            }
            handed += 1;
        }
        handed
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.acks.abort();
    }
}

fn limits(consumer: &ConsumerConfig) -> Limits {
    let some = |limit: usize| (limit > 0).then_some(limit);
    Limits { messages: some(consumer.max_batch), bytes: some(consumer.max_bytes) }
}

fn expires(consumer: &ConsumerConfig) -> Duration {
    match consumer.max_expires {
        0 => EXPIRES,
        most => EXPIRES.min(Duration::from_nanos(most)),
    }
}
