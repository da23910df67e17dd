//! Publishing: a window of unacknowledged messages, each with exactly one outcome.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_nats::client::PublishErrorKind;
use async_nats::{HeaderMap, HeaderValue, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use nats_link::Transport;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::{Error, RequestKind};
use crate::name;
use crate::options::Options;
use crate::publish_error::PublishError;

pub use unacked::Stored;
use unacked::{Outcome, Unacked};

mod unacked;

/// What is asked of the server with a message.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms<'a> {
    /// Names the message (`Nats-Msg-Id`), so that it is stored once within the server's window.
    pub message_id: Option<&'a str>,
    /// The message is stored only if this is the last sequence of the stream
    /// (`Nats-Expected-Last-Sequence`), so that its own will be the next one.
    pub expected_last_sequence: Option<u64>,
}

/// The acknowledgement of one message, to be awaited. Dropping it does not take the message back.
#[derive(Debug)]
pub struct PublishAck(oneshot::Receiver<Outcome>);

impl Future for PublishAck {
    type Output = Result<Stored, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|outcome| outcome.unwrap_or(Err(PublishError::ConnectionClosed)))
    }
}

/// Publishes to one subject. When it is dropped, messages still unacknowledged end with
/// [`PublishError::ConnectionClosed`].
///
/// ```no_run
/// # async fn example(connection: jetstream::Connection) -> Result<(), Box<dyn std::error::Error>> {
/// let publisher = connection.publisher("orders").await?;
/// let mut acks = Vec::new();
/// for text in ["one", "two", "three"] {
///     let terms = jetstream::Terms { message_id: Some(text), ..Default::default() };
///     acks.push(publisher.publish(text.into(), terms).await?);
/// }
/// for ack in acks {
///     println!("{}", ack.await?.sequence);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Publisher {
    transport: Transport,
    subject: Subject,
    unacked: Arc<Unacked>,
    _ends_when_dropped: DropGuard,
}

impl Publisher {
    pub(crate) async fn start(
        transport: Transport,
        options: &Options,
        subject: &str,
    ) -> Result<Self, Error> {
        name::check_subject(subject)?;
        let inbox = transport.client().new_inbox();
        let window = options.max_pub_acks_in_flight;
        let unacked = Arc::new(Unacked::new(&inbox, options.pub_ack_timeout, window));
        let within = options.request_timeout;
        let acks = transport.subscribe(unacked.ack_subjects(), within).await;
        let acks = acks.map_err(|error| Error::of(error, RequestKind::Subscribe, within))?;
        let ended = CancellationToken::new();
        tokio::spawn(settle(Arc::clone(&unacked), acks, ended.clone()));
        let subject = Subject::from(subject);
        Ok(Self { transport, subject, unacked, _ends_when_dropped: ended.drop_guard() })
    }

    /// Publishes and returns the acknowledgement to be awaited. Waits while
    /// [`Options::max_pub_acks_in_flight`] publishes are unacknowledged.
    ///
    /// # Errors
    /// Those known before anything is sent; the others come from the [`PublishAck`].
    pub async fn publish(&self, data: Bytes, terms: Terms<'_>) -> Result<PublishAck, PublishError> {
        let headers = headers(terms)?;
        let permit = self.unacked.enter_window().await?;
        // The NATS client would queue it and send it when the link is back, long after the
        // caller was told that it failed.
        if !self.transport.is_connected() {
            return Err(PublishError::Disconnected);
        }
        let client = self.transport.client();
        let (size_bytes, limit_bytes) = (data.len(), client.max_payload());
        let deadline = Instant::now() + self.unacked.timeout;
        let (number, reply, outcome) = self.unacked.expect(deadline, permit)?;
        let sending =
            client.publish_with_reply_and_headers(self.subject.clone(), reply, headers, data);
        let unsent = match timeout_at(deadline, sending).await {
            Ok(Ok(())) => return Ok(PublishAck(outcome)),
            Ok(Err(error)) => match error.kind() {
                PublishErrorKind::MaxPayloadExceeded => {
                    PublishError::TooLarge { size_bytes, limit_bytes }
                }
                PublishErrorKind::InvalidSubject => PublishError::Invalid(format!(
                    "subject {:?} must be one that the NATS client takes",
                    self.subject
                )),
                // The client has ended, and with it the link.
                PublishErrorKind::Send => PublishError::Disconnected,
            },
            Err(_) => PublishError::Disconnected,
        };
        self.unacked.settle(number, Err(unsent));
        Ok(PublishAck(outcome))
    }
}

fn headers(terms: Terms<'_>) -> Result<HeaderMap, PublishError> {
    let mut headers = HeaderMap::new();
    if let Some(id) = terms.message_id {
        let id = id.parse::<HeaderValue>().map_err(|_| {
            let text = "the message id must be one line";
            PublishError::Invalid(text.to_owned())
        })?;
        headers.insert("Nats-Msg-Id", id);
    }
    if let Some(sequence) = terms.expected_last_sequence {
        headers.insert("Nats-Expected-Last-Sequence", sequence.to_string());
    }
    Ok(headers)
}

/// Gives outcomes until the publisher is dropped: by acknowledgement or by time.
async fn settle(unacked: Arc<Unacked>, acks: Subscriber, ended: CancellationToken) {
    /// Each turn of the loop sets a timer, which costs more than to take an acknowledgement.
    const MOST_AT_ONCE: usize = 64;
    let mut acks = acks.ready_chunks(MOST_AT_ONCE);
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
            () = ended.cancelled() => break,
        }
    }
    unacked.close();
}
