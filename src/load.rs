//! Load tests with [vegeta](https://github.com/tsenart/vegeta): what it is to ask for, and what
//! its results say.
//!
//! [`targets`] makes requests from the ids of real [`orders`], in the ratios of a [`mix`].
//! vegeta sends them at one rate after the other and writes a file of results for each.
//! [`report`] finds these in a [`folder`], reads each by [`vegeta`], and holds the [`statistics`]
//! of each [`stage`] against an [`slo`]; [`page`] shows that.

// Before the attack.
pub mod mix;
pub mod orders;
pub mod targets;

// What both must agree on.
pub mod expectation;

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
