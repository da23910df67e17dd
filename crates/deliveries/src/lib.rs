//! The queue between the wire of a broker and the user of its messages.
//!
//! [`Deliveries`] is bounded by bytes and holds each message once, whatever connections come and
//! go under it; a [`Message`] travels with its acknowledgement. It knows no protocol: a client
//! offers each [`Delivery`] that it takes off the wire, and sends each [`Ack`] that comes out.
//!
//! ```
//! use deliveries::{Deliveries, Delivery, Messages};
//! use tokio::sync::mpsc;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let deliveries = Deliveries::new(1024 * 1024);
//! let (sender, mut acks) = mpsc::unbounded_channel();
//! deliveries.attach(sender, false);
//!
//! let delivery = Delivery { sequence: 7, data: "hello".into(), ..Delivery::default() };
//! deliveries.offer(delivery.clone());
//! let message = Messages::new(deliveries.clone()).recv().await.unwrap();
//! deliveries.offer(delivery);
//! assert_eq!(deliveries.depth().messages, 0, "it is in hand already");
//! message.ack();
//! assert_eq!(acks.recv().await.unwrap().sequence, 7);
//! # }
//! ```

mod message;
mod messages;
mod queue;
mod stats;

pub use message::Message;
pub use messages::Messages;
pub use queue::{Ack, Deliveries, Delivery, OVERHEAD, QueueDepth};
pub use stats::{Counter, Counters, Stats};
