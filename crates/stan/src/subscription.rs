//! One subscription under one registration, and the end that its messages are taken from.

use std::sync::Arc;

use futures_util::{Stream, stream};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::attachment::Attachment;
use crate::connection::Connection;
use crate::deliveries::{Deliveries, QueueDepth};
use crate::error::Error;
use crate::message::Message;
use crate::options::SubscriptionOptions;
use crate::state;
use crate::stats::Stats;

/// The receiving end of a subscription. Clones take from the same queue, each message going to
/// one of them.
#[derive(Debug, Clone)]
pub struct Messages(Arc<Deliveries>);

impl Messages {
    pub(crate) fn new(deliveries: Arc<Deliveries>) -> Self {
        Self(deliveries)
    }

    /// The next message, or none when the stream has ended.
    pub async fn recv(&self) -> Option<Message> {
        Message::take(&self.0, 1, usize::MAX).await.pop()
    }

    /// Waits for a message, then takes all that waits, up to `max` messages and `max_bytes` of
    /// payload, but at least one. Empty when the stream has ended.
    pub async fn recv_batch(&self, max: usize, max_bytes: usize) -> Vec<Message> {
        Message::take(&self.0, max, max_bytes).await
    }

    /// The messages as a [`Stream`], which ends as [`Messages::recv`] does.
    pub fn into_stream(self) -> impl Stream<Item = Message> + Send + Unpin {
        Box::pin(stream::unfold(self, |messages| async {
            let message = messages.recv().await?;
            Some((message, messages))
        }))
    }
}

/// A subscription that ends with its registration or by [`Subscription::close`]. When it is
/// dropped open, the same is done in the background, as far as the runtime lives on.
///
/// ```no_run
/// # async fn example(connection: stan::Connection) -> Result<(), stan::Error> {
/// let subscription = connection.subscribe(stan::SubscriptionOptions::plain("orders")).await?;
/// let messages = subscription.messages();
/// if let Some(message) = messages.recv().await {
///     println!("{}: {:?}", message.sequence, message.data);
///     message.ack();
/// }
/// subscription.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Subscription {
    connection: Connection,
    deliveries: Arc<Deliveries>,
    /// None when it is closed.
    attachment: Mutex<Option<Attachment>>,
    /// Ends the stream with the registration.
    ends_with_connection: JoinHandle<()>,
}

impl Connection {
    /// Subscribes under this registration; the subscription ends with it at the latest. A
    /// [`crate::Session`] outlives registrations.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], a time-out, or the server's refusal.
    pub async fn subscribe(&self, options: SubscriptionOptions) -> Result<Subscription, Error> {
        Subscription::open(self.clone(), options).await
    }
}

impl Subscription {
    async fn open(connection: Connection, options: SubscriptionOptions) -> Result<Self, Error> {
        options.validate()?;
        let deliveries = Deliveries::new(options.queue_max_bytes, Arc::default());
        let attachment = Attachment::open(&connection, &options, &deliveries, false).await?;
        let ends_with_connection = tokio::spawn({
            let (state, deliveries) = (connection.state(), Arc::clone(&deliveries));
            async move {
                state::until_ended(state).await;
                deliveries.detach();
                deliveries.close();
            }
        });
        let attachment = Mutex::new(Some(attachment));
        Ok(Self { connection, deliveries, attachment, ends_with_connection })
    }

    /// The receiving end.
    #[must_use]
    pub fn messages(&self) -> Messages {
        Messages::new(Arc::clone(&self.deliveries))
    }

    /// The counters so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.deliveries.counters().snapshot()
    }

    /// What is in the queue and in hand.
    #[must_use]
    pub fn depth(&self) -> QueueDepth {
        self.deliveries.depth()
    }

    /// Closes the subscription: a durable position is kept, and what a member of a group did not
    /// ack goes to the other members at once.
    ///
    /// # Errors
    /// After a time-out it may be tried again; after a success it is [`Error::Closed`].
    pub async fn close(&self) -> Result<(), Error> {
        let mut attachment = self.attachment.lock().await;
        let open = attachment.as_mut().ok_or(Error::Closed)?;
        open.close(&self.connection, &self.deliveries).await?;
        *attachment = None;
        self.deliveries.close();
        Ok(())
    }

    /// Ends the subscription and deletes its durable position, if it is the group's last member.
    ///
    /// # Errors
    /// After a time-out it may be tried again; after a success it is [`Error::Closed`].
    pub async fn unsubscribe(&self) -> Result<(), Error> {
        let mut attachment = self.attachment.lock().await;
        let open = attachment.as_mut().ok_or(Error::Closed)?;
        open.unsubscribe(&self.connection, &self.deliveries).await?;
        *attachment = None;
        self.deliveries.close();
        Ok(())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.ends_with_connection.abort();
        self.deliveries.close();
        let Some(mut attachment) = self.attachment.get_mut().take() else {
            return;
        };
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        // Else the server would go on sending to nobody, and a group's other members would get
        // those messages only after the ack wait, for as long as the connection lives.
        let (connection, deliveries) = (self.connection.clone(), Arc::clone(&self.deliveries));
        runtime.spawn(async move {
            if let Err(error) = attachment.close(&connection, &deliveries).await {
                tracing::debug!(%error, "A dropped subscription could not be closed");
            }
        });
    }
}
