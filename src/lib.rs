//! waybill takes orders off a NATS Streaming channel, keeps them in Postgres and
//! answers lookups by id from memory.
//!
//! Data goes one way, and the modules are listed in that order:
//! channel → [`stan`] → [`ingest`] → [`store`] → [`cache`] → [`http`].

pub mod order;
pub mod store;
