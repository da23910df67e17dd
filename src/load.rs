//! Load tests of a running service, from outside.

pub mod gather;
pub(crate) mod ingest;
pub(crate) mod watch;
