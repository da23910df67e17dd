//! One subscription under one registration.

use std::sync::Arc;

use deliveries::{Deliveries, Messages, QueueDepth};
use nats_link::Chain;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::options::SubscriptionOptions;
use crate::registration::Registration;
use crate::state;
use crate::stats::{Counters, Stats};
use crate::wire_subscription::WireSubscription;

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
    registration: Arc<Registration>,
    deliveries: Arc<Deliveries>,
    /// None when it is closed.
    wire: Mutex<Option<WireSubscription>>,
    /// Ends the stream with the registration.
    ends_with_registration: JoinHandle<()>,
}

impl Subscription {
    pub(crate) async fn open(
        registration: Arc<Registration>,
        options: SubscriptionOptions,
    ) -> Result<Self, Error> {
        options.validate()?;
        let deliveries = Deliveries::new(options.queue_max_bytes);
        let wire = WireSubscription::open(&registration, &options, &deliveries).await?;
        let ends_with_registration = tokio::spawn({
            let (state, deliveries) = (registration.state(), Arc::clone(&deliveries));
            async move {
                state::until_ended(state).await;
                deliveries.detach();
                deliveries.close();
            }
        });
        let wire = Mutex::new(Some(wire));
        Ok(Self { registration, deliveries, wire, ends_with_registration })
    }

    /// The receiving end; clones of it share the messages.
    #[must_use]
    pub fn messages(&self) -> Messages {
        Messages::new(Arc::clone(&self.deliveries))
    }

    /// The counters since the subscription was made.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Counters::default().snapshot(&self.deliveries)
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
        let mut wire = self.wire.lock().await;
        let open = wire.as_mut().ok_or(Error::Closed)?;
        open.close(&self.registration, &self.deliveries).await?;
        *wire = None;
        self.deliveries.close();
        Ok(())
    }

    /// Ends the subscription and deletes its durable position, if it is the group's last member.
    ///
    /// # Errors
    /// After a time-out it may be tried again; after a success it is [`Error::Closed`].
    pub async fn unsubscribe(&self) -> Result<(), Error> {
        let mut wire = self.wire.lock().await;
        let open = wire.as_mut().ok_or(Error::Closed)?;
        open.unsubscribe(&self.registration, &self.deliveries).await?;
        *wire = None;
        self.deliveries.close();
        Ok(())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.ends_with_registration.abort();
        self.deliveries.close();
        let Some(mut wire) = self.wire.get_mut().take() else {
            return;
        };
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        // Else the server would go on sending to nobody, and a group's other members would get
        // those messages only after the ack wait, for as long as the connection lives.
        let registration = Arc::clone(&self.registration);
        let deliveries = Arc::clone(&self.deliveries);
        runtime.spawn(async move {
            if let Err(error) = wire.close(&registration, &deliveries).await {
                tracing::debug!(error = %Chain(&error), "A dropped subscription could not be closed");
            }
        });
    }
}
