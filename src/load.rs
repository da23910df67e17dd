//! Load tests of a running service, from outside.
//!
//! [`targets`] makes requests from the ids of real [`orders`], in the ratios of a [`mix`].
//! [vegeta](https://github.com/tsenart/vegeta) sends them at one rate after the other and writes a
//! file of results for each; `ingest` does so with orders that it publishes, and `watch` samples
//! the service meanwhile. The workers of a distributed run begin together and share their results
//! by [`gather`]. [`report`] finds these in a [`folder`], reads each by [`vegeta`] or [`ingested`],
//! and holds the [`statistics`] of each [`stage`] against an [`slo`]; [`page`] shows that.

// Before the attack.
pub mod mix;
pub mod orders;
pub mod targets;

// What both must agree on.
pub mod expectation;

// Meanwhile, and besides vegeta.
pub mod gather;
pub(crate) mod ingest;
pub(crate) mod watch;

// After it: from the files to the verdict.
pub mod folder;
mod gob;
pub mod vegeta;

pub mod failures;
pub mod numbers;
pub mod statistics;

pub mod slo;

pub mod ingested;
pub mod stage;
pub mod usage;
pub mod wrk;

pub mod report;

pub mod page;
