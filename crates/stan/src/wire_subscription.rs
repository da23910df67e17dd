//! One subscription on the wire: it fills [`Deliveries`] and carries the acks back.

use std::sync::Arc;

use async_nats::Subject;
use deliveries::Deliveries;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::error::{Error, MissingField, RequestKind};
use crate::options::SubscriptionOptions;
use crate::protocol::{SubscriptionRequest, SubscriptionResponse};
use crate::registration::Registration;

use pending::{PendingSubscribe, close_orphaned, close_unconfirmed, unsubscribe_request};

mod pending;
mod tasks;

/// A live subscription. Dropping it stops its tasks and sends the server nothing.
#[derive(Debug)]
pub(crate) struct WireSubscription {
    channel: String,
    ack_inbox: String,
    receiving: JoinHandle<()>,
    acks: JoinHandle<()>,
}

impl WireSubscription {
    /// Subscribes and lets messages flow into `deliveries`.
    pub(crate) async fn open(
        registration: &Arc<Registration>,
        options: &SubscriptionOptions,
        deliveries: &Arc<Deliveries>,
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
        // Also under the same registration, which outlives a restart of the server: one that lost
        // messages with its power gives their sequences to others. What was not acked before comes
        // again anyway, for its subscription was closed.
        deliveries.attach(sender, false);
        // Messages wait in `subscriber` until here, so none is taken before the ack inbox is known.
        let receiving = tasks::receive(subscriber, options.channel.clone(), Arc::clone(deliveries));
        let client = transport.client().clone();
        let ack_inbox = Subject::from(answer.ack_inbox.as_str());
        let send = async move |ack| client.publish(ack_inbox.clone(), ack).await;
        let acks = tasks::send_acks(receiver, options.channel.clone(), send);
        Ok(Self {
            channel: options.channel.clone(),
            ack_inbox: answer.ack_inbox,
            receiving: tokio::spawn(receiving),
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
            tracing::warn!("Some acks could not be sent in time; those messages come again");
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
        self.receiving.abort();
        self.acks.abort();
    }
}
