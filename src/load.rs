//! Load tests of a running service, from outside, with [vegeta](https://github.com/tsenart/vegeta):
//! what it is to ask for, and what its results say.
//!
//! [`targets`] makes requests from the ids of real [`orders`], in the ratios of a [`mix`].
//! vegeta sends them at one rate after the other and writes a file of results for each.

pub mod expectation;
pub mod gather;
pub(crate) mod ingest;
pub mod mix;
pub mod orders;
pub mod targets;
pub(crate) mod watch;
