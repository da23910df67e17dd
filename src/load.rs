//! Load tests of a running service, from outside: of lookups with
//! [vegeta](https://github.com/tsenart/vegeta), and of ingest.
//!
//! [`targets`] makes requests from the ids of real [`orders`], in the ratios of a [`mix`].
//! vegeta sends them at one rate after the other and writes a file of results for each.
//! [`report`] finds these in a [`folder`], reads each by [`vegeta`], and holds the [`statistics`]
//! of each [`stage`] against an [`slo`]; [`page`] shows that. The workers of a distributed run begin
//! together and share their results by [`gather`].

// Before the attack.
pub mod mix;
pub mod orders;
pub mod targets;

// What both must agree on.
pub mod expectation;

// Beside it, and in its place for ingest.
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

pub mod report;

pub mod page;
