//! One subscription on the wire: it fills [`Deliveries`] and carries the acks back.

use std::sync::Arc;

use async_nats::{Subject, Subscriber};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use prost::Message as _;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::cause::MissingField;
use crate::deliveries::Deliveries;
use crate::error::{Error, RequestKind};
use crate::options::SubscriptionOptions;
use crate::protocol::{
    Ack, MsgProto, SubscriptionRequest, SubscriptionResponse, UnsubscribeRequest,
};
use crate::registration::Registration;

/// A live subscription. Dropping it stops its tasks and sends the server nothing.
#[derive(Debug)]
pub(crate) struct WireSubscription {
    channel: String,
    ack_inbox: String,
    pump: JoinHandle<()>,
    acks: JoinHandle<()>,
}

impl WireSubscription {
    /// Subscribes and lets messages flow into `deliveries`. `same_registration` tells that the
    /// subscription before this one was made under the same registration.
    pub(crate) async fn open(
        registration: &Arc<Registration>,
        options: &SubscriptionOptions,
        deliveries: &Arc<Deliveries>,
        same_registration: bool,
    ) -> Result<Self, Error> {
        registration.check()?;
        close_orphaned(registration).await?;
        let within = registration.options.request_timeout;
        let transport = &registration.transport;
        let (inbox, subscriber) = transport.subscribe_inbox(within).await?;
        let (start_position, start_sequence, start_time_delta) =
            options.start_position.on_the_wire();
        let request = SubscriptionRequest {
            client_id: registration.options.client_id.clone(),
            subject: options.channel.clone(),
            queue_group: options.queue_group.clone().unwrap_or_default(),
            inbox: inbox.clone(),
            max_in_flight: i32::try_from(options.max_in_flight).unwrap_or(i32::MAX),
            ack_wait_seconds: i32::try_from(options.ack_wait.as_secs()).unwrap_or(i32::MAX),
            durable_name: options.durable_name.clone().unwrap_or_default(),
            start_position,
            start_sequence,
            start_time_delta,
        };
        // A caller may give up waiting, and then nothing below is run.
        let pending =
            PendingSubscribe { registration, channel: &options.channel, inbox: Some(&inbox) };
        let subject = &registration.subjects.subscribe;
        let asked = transport.request(RequestKind::Subscribe, subject, &request, within).await;
        let answer: SubscriptionResponse = match asked {
            Ok(answer) => answer,
            Err(error) => {
                pending.resolve();
                if !matches!(error, Error::Refused { .. }) {
                    // The server may have taken the request: without this it would keep a member
                    // that nobody reads from.
                    close_unconfirmed(registration, &options.channel, inbox).await;
                }
                return Err(error);
            }
        };
        if answer.ack_inbox.is_empty() {
            return Err(Error::invalid_answer(RequestKind::Subscribe, MissingField("ack inbox")));
        }
        pending.resolve();
        let (sender, receiver) = mpsc::unbounded_channel();
        deliveries.attach(sender, same_registration);
        // Messages wait in `subscriber` until here, so none is taken before the ack inbox is known.
        let pump = pump(subscriber, options.channel.clone(), Arc::clone(deliveries));
        let acks = send_acks(
            receiver,
            transport.client().clone(),
            Subject::from(answer.ack_inbox.as_str()),
            options.channel.clone(),
        );
        Ok(Self {
            channel: options.channel.clone(),
            ack_inbox: answer.ack_inbox,
            pump: tokio::spawn(pump),
            acks: registration.ack_tasks.spawn(acks),
        })
    }

    /// Sends the acks that wait and closes the subscription; its durable position is kept, and
    /// what a member of a group did not ack goes to the others at once. May be tried again.
    pub(crate) async fn close(
        &mut self,
        registration: &Arc<Registration>,
        deliveries: &Deliveries,
    ) -> Result<(), Error> {
        let subject = &registration.subjects.close_subscription;
        if subject.is_empty() {
            return Err(Error::NotSupported);
        }
        self.end(registration, deliveries, RequestKind::CloseSubscription, subject).await
    }

    /// Ends the subscription and deletes its durable position, if it was the last member.
    pub(crate) async fn unsubscribe(
        &mut self,
        registration: &Arc<Registration>,
        deliveries: &Deliveries,
    ) -> Result<(), Error> {
        let subject = &registration.subjects.unsubscribe;
        self.end(registration, deliveries, RequestKind::Unsubscribe, subject).await
    }

    async fn end(
        &mut self,
        registration: &Arc<Registration>,
        deliveries: &Deliveries,
        kind: RequestKind,
        subject: &str,
    ) -> Result<(), Error> {
        deliveries.detach();
        let within = registration.options.request_timeout;
        if !self.acks.is_finished() && timeout(within, &mut self.acks).await.is_err() {
            tracing::warn!("Some acks could not be sent in time; those messages will come again");
        }
        registration.check()?;
        // The server handles the acks sent earlier on this link before it handles this.
        let request = unsubscribe_request(registration, &self.channel, self.ack_inbox.clone());
        let ended = registration.transport.request(kind, subject, &request, within).await;
        ended.map(|SubscriptionResponse { .. }| ())
    }
}

impl Drop for WireSubscription {
    fn drop(&mut self) {
        self.pump.abort();
        self.acks.abort();
    }
}

/// A subscribe request whose outcome is not known. Dropped before it is resolved, it closes in
/// the background what the server may have made.
struct PendingSubscribe<'a> {
    registration: &'a Arc<Registration>,
    channel: &'a str,
    /// None when it is resolved.
    inbox: Option<&'a str>,
}

impl PendingSubscribe<'_> {
    fn resolve(mut self) {
        self.inbox = None;
    }
}

impl Drop for PendingSubscribe<'_> {
    fn drop(&mut self) {
        if let (Some(inbox), Ok(runtime)) = (self.inbox, Handle::try_current()) {
            let (channel, inbox) = (self.channel.to_owned(), inbox.to_owned());
            let registration = Arc::clone(self.registration);
            runtime.spawn(async move { close_unconfirmed(&registration, &channel, inbox).await });
        }
    }
}

fn unsubscribe_request(
    registration: &Arc<Registration>,
    channel: &str,
    inbox: String,
) -> UnsubscribeRequest {
    let client_id = registration.options.client_id.clone();
    UnsubscribeRequest { client_id, subject: channel.to_owned(), inbox }
}

/// Closes by its delivery inbox a subscription whose creation was not confirmed. Nobody else has
/// this inbox, so nobody else's is closed. The request may be lost as the answer was, so it is
/// sent again, and its answer awaited, before the next subscription is made.
async fn close_unconfirmed(registration: &Arc<Registration>, channel: &str, inbox: String) {
    let request = unsubscribe_request(registration, channel, inbox.clone());
    let subject = registration.subjects.close_subscription.clone();
    let within = registration.options.request_timeout;
    if !subject.is_empty() {
        registration.orphaned().push((channel.to_owned(), inbox));
        let payload = Bytes::from(request.encode_to_vec());
        registration.transport.send(subject, payload, within).await;
    }
}

async fn close_orphaned(registration: &Arc<Registration>) -> Result<(), Error> {
    let subject = &registration.subjects.close_subscription;
    let within = registration.options.request_timeout;
    let orphaned = registration.orphaned().clone();
    for (channel, inbox) in orphaned {
        let request = unsubscribe_request(registration, &channel, inbox.clone());
        let closed = registration.transport.request(
            RequestKind::CloseSubscription,
            subject,
            &request,
            within,
        );
        match closed.await {
            // A refusal means that there is no such subscription.
            Ok(SubscriptionResponse { .. }) | Err(Error::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
        registration.orphaned().retain(|(_, orphan)| *orphan != inbox);
    }
    Ok(())
}

async fn pump(mut subscriber: Subscriber, channel: String, deliveries: Arc<Deliveries>) {
    let garbled = &deliveries.counters().garbled;
    while let Some(message) = subscriber.next().await {
        match MsgProto::decode(message.payload) {
            Ok(delivery) if delivery.subject == channel => deliveries.offer(delivery),
            Ok(delivery) => {
                garbled.add(1);
                tracing::warn!(
                    sequence = delivery.sequence,
                    "A delivery for another channel was dropped"
                );
            }
            Err(error) => {
                garbled.add(1);
                tracing::warn!(%error, "A delivery that is no STAN message was dropped");
            }
        }
    }
}

/// Ends when the sender of sequence numbers is gone and the last of them is sent.
async fn send_acks(
    mut sequences: mpsc::UnboundedReceiver<u64>,
    client: async_nats::Client,
    ack_inbox: Subject,
    channel: String,
) {
    const MOST_AT_ONCE: usize = 256;
    let mut waiting = Vec::with_capacity(MOST_AT_ONCE);
    let mut buffer = BytesMut::new();
    let mut ack = Ack { subject: channel, sequence: 0 };
    while sequences.recv_many(&mut waiting, MOST_AT_ONCE).await > 0 {
        for sequence in waiting.drain(..) {
            ack.sequence = sequence;
            buffer.reserve(ack.encoded_len());
            ack.encode(&mut buffer).expect("the buffer has the room that was just reserved");
            let payload = buffer.split().freeze();
            if let Err(error) = client.publish(ack_inbox.clone(), payload).await {
                return tracing::debug!(%error, "The NATS client is closed; acks end");
            }
        }
    }
}
