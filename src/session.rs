//! A session with either of the brokers, as ingest and the status see it.

use anyhow::Result;
use jetstream::ConsumerOptions;
use stan::{Messages, QueueDepth, SubscriptionOptions};
use tokio::sync::watch;

/// What to read, and how to get there.
#[derive(Debug)]
pub enum Subscription {
    /// A durable queue group of a channel of NATS Streaming.
    Stan(stan::Options, SubscriptionOptions),
    /// A durable pull consumer of a stream of JetStream.
    JetStream(jetstream::Options, ConsumerOptions),
}

/// A session that is rebuilt whenever it is lost.
#[derive(Debug)]
pub enum Session {
    /// With NATS Streaming.
    Stan(stan::Session),
    /// With JetStream.
    JetStream(jetstream::Session),
}

/// A view of a session from outside. Clones see the same.
#[derive(Debug, Clone)]
pub enum Monitor {
    /// Of a session with NATS Streaming.
    Stan(stan::Monitor),
    /// Of a session with JetStream.
    JetStream(jetstream::Monitor),
}

/// Whether messages are received, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionState {
    /// Looking for the server for the first time.
    Connecting,
    /// Messages are received.
    Live,
    /// It was lost so; another one is being made.
    Lost(String),
    /// The last attempt to have one failed so; the next will follow.
    Retrying(String),
    /// Ended by us.
    Closed,
}

/// The changes of a session's state.
#[derive(Debug)]
pub enum StateChanges {
    /// Of a session with NATS Streaming.
    Stan(watch::Receiver<stan::SessionState>),
    /// Of a session with JetStream.
    JetStream(watch::Receiver<jetstream::SessionState>),
}

/// What a session has counted since it began; each only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionStats {
    /// Redeliveries of messages that were still in hand, dropped.
    pub duplicates_suppressed: u64,
    /// Messages dropped unacknowledged because the queue was full; they come again.
    pub shed: u64,
    /// Times it was built anew.
    pub rebuilds: u64,
    /// Times the link came back.
    pub reconnects: u64,
}

impl Subscription {
    /// Begins a session; it connects in the background.
    ///
    /// # Errors
    /// An option that can never work.
    pub async fn supervise(self) -> Result<Session> {
        Ok(match self {
            Self::Stan(options, group) => {
                Session::Stan(stan::Session::supervise(options, group).await?)
            }
            Self::JetStream(options, consumer) => {
                Session::JetStream(jetstream::Session::supervise(options, consumer).await?)
            }
        })
    }
}

impl Session {
    /// The receiving end; clones of it share the messages.
    #[must_use]
    pub fn messages(&self) -> Messages {
        match self {
            Self::Stan(session) => session.messages(),
            Self::JetStream(session) => session.messages(),
        }
    }

    /// A view of it from outside.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        match self {
            Self::Stan(session) => Monitor::Stan(session.monitor()),
            Self::JetStream(session) => Monitor::JetStream(session.monitor()),
        }
    }

    /// Ends it in order: what is not acknowledged goes to the other replicas.
    pub async fn close(self) {
        match self {
            Self::Stan(session) => session.close().await,
            Self::JetStream(session) => session.close().await,
        }
    }
}

impl Monitor {
    /// The state now.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.changes().present()
    }

    /// The state, to be watched.
    #[must_use]
    pub fn changes(&self) -> StateChanges {
        match self {
            Self::Stan(monitor) => StateChanges::Stan(monitor.state()),
            Self::JetStream(monitor) => StateChanges::JetStream(monitor.state()),
        }
    }

    /// What waits in the queue and is in hand.
    #[must_use]
    pub fn depth(&self) -> QueueDepth {
        match self {
            Self::Stan(monitor) => monitor.depth(),
            Self::JetStream(monitor) => monitor.depth(),
        }
    }

    /// The counters since the session began.
    #[must_use]
    pub fn stats(&self) -> SessionStats {
        let (duplicates_suppressed, shed, rebuilds, reconnects) = match self {
            Self::Stan(monitor) => {
                let stats = monitor.stats();
                let stan::Stats { duplicates_suppressed, shed, .. } = stats;
                (duplicates_suppressed, shed, stats.session_rebuilds, stats.reconnects)
            }
            Self::JetStream(monitor) => {
                let stats = monitor.stats();
                let jetstream::Stats { duplicates_suppressed, shed, .. } = stats;
                (duplicates_suppressed, shed, stats.session_rebuilds, stats.reconnects)
            }
        };
        SessionStats { duplicates_suppressed, shed, rebuilds, reconnects }
    }
}

impl StateChanges {
    /// The state now, which is seen by this.
    pub fn present(&mut self) -> SessionState {
        match self {
            Self::Stan(state) => match &*state.borrow_and_update() {
                stan::SessionState::Connecting => SessionState::Connecting,
                stan::SessionState::Live => SessionState::Live,
                stan::SessionState::Lost(lost) => SessionState::Lost(lost.to_string()),
                stan::SessionState::Retrying(why) => SessionState::Retrying(why.clone()),
                stan::SessionState::Closed => SessionState::Closed,
            },
            Self::JetStream(state) => match &*state.borrow_and_update() {
                jetstream::SessionState::Connecting => SessionState::Connecting,
                jetstream::SessionState::Live => SessionState::Live,
                jetstream::SessionState::Retrying(why) => SessionState::Retrying(why.clone()),
                jetstream::SessionState::Closed => SessionState::Closed,
            },
        }
    }

    /// Waits for a state that was not seen; `false` when there will be none, because the session
    /// has ended.
    pub async fn changed(&mut self) -> bool {
        match self {
            Self::Stan(state) => state.changed().await.is_ok(),
            Self::JetStream(state) => state.changed().await.is_ok(),
        }
    }
}
