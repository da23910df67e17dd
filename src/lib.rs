//! waybill takes orders off a channel of NATS Streaming or a stream of JetStream, keeps them in Postgres and
//! answers lookups by id from memory.
//!
//! Data goes one way, and the modules are listed in that order:
//! channel → [`broker`] and [`session`] → [`ingest`] → [`store`] → [`cache`] → [`lookup`] → [`http`].
//! What goes that way is an [`order::Order`], of a crate of its own.

// The way, one module after the other.
pub mod broker;

pub mod session;

pub mod ingest;

pub mod store;

pub mod cache;

pub mod lookup;

pub mod http;

pub mod audit;

// Beside it: messages that could not become orders, checks of what was stored, a copy of the
// channel, the repair of its store, and load tests.
pub mod bridge;
pub mod broker_store;
pub mod load;
pub mod reconcile;
pub mod rejects;
pub mod repair;
pub mod verify;

// Who may ask.
pub mod access;

// What starts, runs and watches it.
pub mod app;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod health;
pub mod metrics;
pub mod primary;
mod schema;
pub mod shutdown;
pub mod signals;
pub mod status;
pub mod telemetry;
pub mod tls;

// Small things that several of them use.
pub mod digest;
mod http_client;
mod log_limit;
mod ranges;
mod receipt;
mod retry;
pub mod source;

#[cfg(test)]
mod corpus;
