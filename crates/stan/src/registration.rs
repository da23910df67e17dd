//! One registration with a streaming server, and what everything under it shares.
//!
//! It ends by [`Registration::close`], by loss, or when the last owner drops it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use nats_link::Chain;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::{Error, Lost};
use crate::options::Options;
use crate::publish_error::PublishError;
use crate::publisher::Publisher;
use crate::state::{self, ConnectionState};
use crate::transport::Transport;

use closer::Closer;
use handshake::{Handshake, Subjects};

mod closer;
mod handshake;
mod liveness;

#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) transport: Transport,
    pub(crate) options: Options,
    pub(crate) subjects: Subjects,
    /// The tasks that send acks; each ends when its subscription does and all is sent.
    pub(crate) ack_tasks: TaskTracker,
    conn_id: Bytes,
    state: Arc<watch::Sender<ConnectionState>>,
    /// Ends the tasks that answer heartbeats and send pings.
    ended: CancellationToken,
    publisher: OnceCell<Publisher>,
    /// Channels and delivery inboxes of subscriptions whose creation the server did not confirm:
    /// it may hold them without a client that reads them.
    orphaned: Mutex<Vec<(String, String)>>,
}

impl Registration {
    /// Registers over a NATS link that is there: one attempt.
    pub(crate) async fn open(transport: Transport, options: Options) -> Result<Arc<Self>, Error> {
        let Handshake { conn_id, subjects, heartbeats, pings } =
            handshake::register(&transport, &options).await?;
        let state = Arc::new(watch::Sender::new(ConnectionState::Open));
        let ended = CancellationToken::new();
        let losing = || {
            let (state, ends) = (Arc::clone(&state), ended.clone());
            move |lost| state::lose(&state, &ends, lost)
        };
        let client = transport.client().clone();
        liveness::answer_heartbeats(client, heartbeats, ended.clone(), losing());
        if let Some((interval, max_out)) = pings {
            let pings = liveness::Pings {
                transport: transport.clone(),
                subject: subjects.ping.clone(),
                conn_id: conn_id.clone(),
                interval,
                max_out,
            };
            liveness::ping(pings, ended.clone(), losing());
        }
        Ok(Arc::new(Self {
            transport,
            options,
            subjects,
            ack_tasks: TaskTracker::new(),
            conn_id,
            state,
            ended,
            publisher: OnceCell::new(),
            orphaned: Mutex::default(),
        }))
    }

    /// The publisher, which the first message starts.
    pub(crate) async fn publisher(&self) -> Result<&Publisher, PublishError> {
        let start = || {
            Publisher::start(
                self.transport.clone(),
                &self.options,
                self.conn_id.clone(),
                &self.subjects.publish,
                state::until_ended(self.state()),
            )
        };
        self.publisher.get_or_try_init(start).await
    }

    /// The state and its changes.
    pub(crate) fn state(&self) -> watch::Receiver<ConnectionState> {
        self.state.subscribe()
    }

    /// An error when it has ended: its loss, or that it was closed.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match *self.state.borrow() {
            ConnectionState::Open => Ok(()),
            ConnectionState::Lost(lost) => Err(lost.into()),
            ConnectionState::Closed => Err(Error::Closed),
        }
    }

    /// Whether this server can be asked if a registration still holds.
    pub(crate) fn takes_pings(&self) -> bool {
        !self.subjects.ping.is_empty()
    }

    /// Asks the server now whether this registration still holds; a no makes it lost.
    pub(crate) async fn verify(&self) -> Result<(), Error> {
        // Also when it ended over a link that is gone for good, through which nothing can be asked.
        self.check()?;
        if !self.takes_pings() {
            // Such a server refuses the next request instead.
            return Ok(());
        }
        let outcome = self.closer().verify().await;
        if let Err(Error::SessionLost(lost)) = &outcome {
            self.lose(*lost);
        }
        outcome
    }

    /// Marks it as lost, unless it has ended already.
    pub(crate) fn lose(&self, lost: Lost) {
        state::lose(&self.state, &self.ended, lost);
    }

    pub(crate) fn orphaned(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        // Only pushed to and removed from, so a poisoned list is whole.
        self.orphaned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the acks that wait and ends the registration, if it is open; durable positions are
    /// kept. What waits for the end of the registration is told at once.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        // Also when the caller gives up waiting.
        let _ended_on_return = self.ended.clone().drop_guard();
        let was_open = state::end(&self.state, ConnectionState::Closed);
        let outcome = if was_open {
            self.ack_tasks.close();
            // The server handles the acks sent earlier on this link before it handles the close.
            if timeout(self.options.request_timeout, self.ack_tasks.wait()).await.is_err() {
                tracing::warn!("Some acks could not be sent in time; those messages come again");
            }
            self.closer().close().await
        } else {
            Ok(())
        };
        self.ended.cancel();
        self.transport.flush(self.options.request_timeout).await;
        outcome
    }

    fn closer(&self) -> Closer {
        Closer {
            transport: self.transport.clone(),
            client_id: self.options.client_id.clone(),
            conn_id: self.conn_id.clone(),
            close: self.subjects.close.clone(),
            ping: self.subjects.ping.clone(),
            within: self.options.request_timeout,
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.ended.cancel();
        let was_open = *self.state.borrow() == ConnectionState::Open;
        self.state.send_replace(ConnectionState::Closed);
        if let (true, Ok(runtime)) = (was_open, Handle::try_current()) {
            let closer = self.closer();
            runtime.spawn(async move {
                if let Err(error) = closer.close().await {
                    tracing::debug!(error = %Chain(&error), "A dropped connection could not be closed");
                }
            });
        }
    }
}
