//! Publishing: a window of unacknowledged messages, each with exactly one outcome.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use async_nats::Subscriber;
use async_nats::client::PublishErrorKind;
use bytes::Bytes;
use futures_util::StreamExt as _;
use prost::Message as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::options::Options;
use crate::protocol::PubMsg;
use crate::publish_error::PublishError;
use crate::transport::Transport;

use unacked::{Outcome, Unacked};

mod unacked;

/// The acknowledgement of one message, to be awaited. Dropping it does not take the message back.
#[derive(Debug)]
pub struct PublishAck(oneshot::Receiver<Outcome>);

impl Future for PublishAck {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|outcome| outcome.unwrap_or(Err(PublishError::ConnectionClosed)))
    }
}

/// Publishes under the client id of one registration.
#[derive(Debug)]
pub(crate) struct Publisher {
    transport: Transport,
    client_id: String,
    conn_id: Bytes,
    publish_prefix: String,
    unacked: Arc<Unacked>,
}

impl Publisher {
    /// `ended` is ready when the registration has ended.
    pub(crate) async fn start(
        transport: Transport,
        options: &Options,
        conn_id: Bytes,
        publish_prefix: &str,
        ended: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, PublishError> {
        let token = transport.unique_token();
        let unacked =
            Arc::new(Unacked::new(&token, options.pub_ack_timeout, options.max_pub_acks_in_flight));
        let acks = transport
            .subscribe(unacked.ack_subjects(), options.request_timeout)
            .await
            .map_err(|_| PublishError::Disconnected)?;
        tokio::spawn(settle(Arc::clone(&unacked), acks, ended));
        Ok(Self {
            transport,
            client_id: options.client_id.clone(),
            conn_id,
            publish_prefix: publish_prefix.to_owned(),
            unacked,
        })
    }

    pub(crate) async fn publish(
        &self,
        channel: &str,
        data: Bytes,
    ) -> Result<PublishAck, PublishError> {
        let permit = self.unacked.enter_window().await?;
        // The NATS client would queue it and send it when the link is back, long after the
        // caller was told that it failed.
        if !self.transport.is_connected() {
            return Err(PublishError::Disconnected);
        }
        let deadline = Instant::now() + self.unacked.timeout;
        let (ticket, outcome) = self.unacked.expect(deadline, permit)?;
        let message = PubMsg {
            client_id: self.client_id.clone(),
            guid: self.unacked.guid(ticket.number),
            subject: channel.to_owned(),
            data,
            conn_id: self.conn_id.clone(),
        };
        let subject = format!("{}.{channel}", self.publish_prefix);
        let payload = Bytes::from(message.encode_to_vec());
        let (size_bytes, client) = (payload.len(), self.transport.client());
        let limit_bytes = client.max_payload();
        let sending = client.publish_with_reply(subject, ticket.slot.subject, payload);
        let unsent = match timeout_at(deadline, sending).await {
            Ok(Ok(())) => return Ok(PublishAck(outcome)),
            Ok(Err(error)) => unsent(error.kind(), channel, size_bytes, limit_bytes),
            Err(_) => PublishError::Disconnected,
        };
        self.unacked.give_up(ticket.number, unsent);
        Ok(PublishAck(outcome))
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.unacked.close();
    }
}

/// Why the NATS client did not even take a message.
fn unsent(
    kind: PublishErrorKind,
    channel: &str,
    size_bytes: usize,
    limit_bytes: usize,
) -> PublishError {
    match kind {
        PublishErrorKind::MaxPayloadExceeded => PublishError::TooLarge { size_bytes, limit_bytes },
        PublishErrorKind::InvalidSubject => PublishError::InvalidChannel(format!(
            "channel {channel:?} must be a subject that the NATS client takes"
        )),
        // The client has ended, and with it the link.
        PublishErrorKind::Send => PublishError::Disconnected,
    }
}

/// Gives outcomes until the registration ends: by acknowledgement or by time.
async fn settle(unacked: Arc<Unacked>, acks: Subscriber, ended: impl Future<Output = ()>) {
    /// Each turn of the loop sets a timer, which costs more than to take an acknowledgement.
    const MOST_AT_ONCE: usize = 64;
    let mut acks = acks.ready_chunks(MOST_AT_ONCE);
    let mut ended = pin!(ended);
    loop {
        let expiry = async {
            match unacked.next_deadline() {
                Some((deadline, _)) => sleep_until(deadline).await,
                None => unacked.until_first_deadline().await,
            }
        };
        tokio::select! {
            Some(messages) = acks.next() => messages.iter().for_each(|m| unacked.take(m)),
            () = expiry => unacked.expire(),
            () = &mut ended => break,
        }
    }
    unacked.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_the_nats_client_did_not_take_was_not_refused_by_the_server() {
        let unsent = |kind| unsent(kind, "orders", 2_000, 1_000);
        assert_eq!(unsent(PublishErrorKind::Send), PublishError::Disconnected);
        let too_large = PublishError::TooLarge { size_bytes: 2_000, limit_bytes: 1_000 };
        assert_eq!(unsent(PublishErrorKind::MaxPayloadExceeded), too_large);
        let invalid = unsent(PublishErrorKind::InvalidSubject);
        assert!(matches!(invalid, PublishError::InvalidChannel(_)), "{invalid}");
    }
}
