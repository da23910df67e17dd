//! Load tests of a running service, from outside.

pub(crate) mod ingest;
pub(crate) mod watch;
