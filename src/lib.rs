//! waybill takes orders off a NATS Streaming channel, keeps them in Postgres and
//! answers lookups by id from memory.
//!
//! Data goes one way, and the modules are listed in that order:
//! channel → [`stan`] → [`ingest`] → [`store`] → [`cache`] → [`lookup`] → [`http`].

pub mod order;

pub mod broker;
pub mod cache;
pub mod health;
pub mod http;
pub mod ingest;
pub mod lookup;
pub mod rejects;
pub mod store;

pub mod reconcile;
pub mod verify;

pub mod app;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod generate;
mod hex;
pub mod metrics;
mod ranges;
pub mod shutdown;
pub mod signals;
pub mod telemetry;

#[cfg(test)]
mod corpus;
