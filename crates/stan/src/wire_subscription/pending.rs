//! Subscribe requests whose outcome is not known: what the server may have made is closed.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use tokio::runtime::Handle;

use crate::error::{Error, RequestKind};
use crate::protocol::{SubscriptionResponse, UnsubscribeRequest};
use crate::registration::Registration;

/// A subscribe request whose outcome is not known. Dropped before it is resolved, it closes in
/// the background what the server may have made.
pub(super) struct PendingSubscribe<'a> {
    pub(super) registration: &'a Arc<Registration>,
    pub(super) channel: &'a str,
    /// None when it is resolved.
    pub(super) inbox: Option<&'a str>,
}

impl PendingSubscribe<'_> {
    /// Tells that the outcome is known.
    pub(super) fn resolve(mut self) {
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

pub(super) fn unsubscribe_request(
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
pub(super) async fn close_unconfirmed(
    registration: &Arc<Registration>,
    channel: &str,
    inbox: String,
) {
    let request = unsubscribe_request(registration, channel, inbox.clone());
    let subject = registration.subjects.close_subscription.clone();
    let within = registration.options.request_timeout;
    if !subject.is_empty() {
        registration.orphaned().push((channel.to_owned(), inbox));
        let payload = Bytes::from(request.encode_to_vec());
        registration.transport.send(subject, payload, within).await;
    }
}

/// Closes what may be left of subscriptions whose creation was not confirmed, and waits for the
/// answers.
pub(super) async fn close_orphaned(registration: &Arc<Registration>) -> Result<(), Error> {
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
