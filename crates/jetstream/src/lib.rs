//! A client for the streams of NATS JetStream, for those who may lose nothing.
//!
//! [`Session`] is a member of a durable pull consumer that all replicas share: one endless stream
//! of messages, acknowledged one by one, whatever becomes of links, servers, the stream and the
//! consumer. [`Connection`] has the rest: a [`Publisher`] with a window of unacknowledged messages,
//! and the [`Stream`] itself, to be read, measured and deleted from.
//!
//! ```no_run
//! use jetstream::{ConsumerOptions, Options, Session};
//!
//! # async fn example() -> Result<(), jetstream::Error> {
//! let options = Options::new("nats://127.0.0.1:4222", "worker-1");
//! let consumer = ConsumerOptions::new("ORDERS", "orders", "workers");
//! let session = Session::supervise(options, consumer).await?;
//! let messages = session.messages();
//! while let Some(message) = messages.recv().await {
//!     println!("{}: {:?}", message.sequence, message.data);
//!     message.ack();
//! }
//! # Ok(())
//! # }
//! ```

// The modules, from the wire up: `api` (requests in JSON over the NATS link of the crate
// `nats-link`), `ensure` (stream and consumer as a session needs them), `reply` (what the subject
// of a pulled message tells), `session` (which pulls into the queue of the crate `deliveries`),
// `publisher`, `stream` and `connection`.

mod account;
mod api;
mod connection;
mod ensure;
mod error;
mod info;
mod name;
mod options;
mod publish_error;
mod publisher;
mod reply;
mod session;
mod state;
mod stats;
mod stream;

pub use account::AccountInfo;
pub use connection::Connection;
#[doc(inline)]
pub use deliveries::{Message, Messages, QueueDepth};
pub use error::{Error, ErrorKind, RequestKind};
pub use info::{Cluster, ConsumerInfo, Replica, StreamInfo};
pub use options::{ConsumerOptions, Options, StreamOptions};
pub use publish_error::PublishError;
pub use publisher::{PublishAck, Publisher, Stored, Terms};
pub use session::{Monitor, Session};
pub use state::SessionState;
pub use stats::Stats;
pub use stream::{StoredMessage, Stream};

/// The NATS client underneath, for its options: TLS, user and password, token, nkey, credentials.
pub use async_nats;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
