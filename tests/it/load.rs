//! `waybill load` against real replicas, and `make load`.

mod ingest;
mod script;
mod watch;
