//! Load tests: what `waybill load` does, one module a subcommand.

pub mod gather;
