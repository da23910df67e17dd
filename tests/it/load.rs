//! `waybill load` against real replicas.

mod ingest;
mod watch;
