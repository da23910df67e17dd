//! An asynchronous client for NATS Streaming (STAN), with supervised sessions.
//!
//! NATS Streaming is a request/reply protocol on top of NATS: a *connection* registers a
//! client id with the streaming server, is kept alive by heartbeats one way and pings the
//! other, publishes with acknowledgements, and subscribes to channels whose messages are
//! acknowledged one by one.
//!
//! [`Connection`] is one such registration; it ends when the server forgets it.
//! [`Session`] is what a service wants: a durable queue-group subscription that is rebuilt
//! whenever the registration under it is lost, as one endless stream of messages.
//!
//! ```no_run
//! use stan::{Options, Session, StartPosition, SubscriptionOptions};
//!
//! # async fn example() -> Result<(), stan::Error> {
//! let options = Options::new("nats://127.0.0.1:4222", "test-cluster", "worker-1");
//! let mut group = SubscriptionOptions::durable_queue("orders", "workers", "workers");
//! group.start_position = StartPosition::First;
//! let session = Session::supervise(options, group).await?;
//! let messages = session.messages();
//! while let Some(message) = messages.recv().await {
//!     println!("{}: {:?}", message.sequence, message.data);
//!     message.ack();
//! }
//! # Ok(())
//! # }
//! ```

// The modules, from the wire up: `transport` (requests over the NATS link of the crate `nats-link`), `registration` with `publisher`
// (what holds under one client id), `wire_subscription` (which fills the queue of the crate
// `deliveries` and sends the acks), `connection`, `subscription` and
// `session`.

mod connection;
#[cfg(test)]
mod corpus;
mod error;
mod name;
mod options;
mod protocol;
mod publish_error;
mod publisher;
mod registration;
mod session;
mod state;
mod stats;
mod subscription;
mod transport;
mod wire_subscription;

pub use connection::Connection;
#[doc(inline)]
pub use deliveries::{Message, Messages, QueueDepth};
pub use error::{Error, ErrorKind, Lost, RequestKind};
pub use options::{Options, StartPosition, SubscriptionOptions};
pub use publish_error::PublishError;
pub use publisher::PublishAck;
pub use session::{Monitor, Session};
pub use state::{ConnectionState, SessionState};
pub use stats::Stats;
pub use subscription::Subscription;

/// The NATS client underneath, for its options: TLS, user and password, token, nkey, credentials.
pub use async_nats;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
