//! The NATS link under a client that rebuilds what it had on top of it.
//!
//! [`Transport`] is a client of async-nats that reconnects for a bounded time, tells of it, and
//! bounds each call in time; [`Backoff`], [`LogLimit`] and [`Chain`] are what such a client needs
//! besides to try again and to say so.

mod backoff;
mod cause;
mod log_limit;
mod transport;

pub use backoff::Backoff;
pub use cause::{Chain, RequestError};
pub use log_limit::LogLimit;
pub use transport::{Link, LinkCounters, LinkOptions, Transport, pause};
